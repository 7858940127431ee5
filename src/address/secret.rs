//! Text that must never be shown: kept behind `***`, and found in lines that are
//! about to be shown.

use std::fmt;
use std::ops::Range;

use super::servers::split;

/// A text that prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` from being printed.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that must send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("***")
    }
}

/// Whether a key of this name is likely to hold a secret, also when misspelt.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "pasw", "passwd", "pwd", "secret", "token", "credential", "api_key", "apikey", "auth"]
        .iter()
        .any(|word| name.contains(word))
}

/// The part of a store's address that holds its password: between the first
/// `:` of the user info and the last `@`.
pub(crate) fn secrets_in_address(addresses: &str) -> Vec<Range<usize>> {
    let moved = |start: usize| move |secret: Range<usize>| secret.start + start..secret.end + start;
    let each = split(addresses).into_iter();
    each.flat_map(|(start, address)| secrets_in_one(address).into_iter().map(moved(start)))
        .collect()
}

fn secrets_in_one(address: &str) -> Vec<Range<usize>> {
    let start = address.find("://").map_or(0, |at| at + 3);
    let mut found = Vec::new();
    if let Some(at) = address[start..].rfind('@').map(|at| start + at)
        && let Some(colon) = address[start..at].find(':').map(|colon| start + colon + 1)
    {
        found.push(colon..at);
    } else if let Some(colon) = address[start..].find(':').map(|colon| start + colon + 1)
        && !address[start..].starts_with('[')
        && start > 0
    {
        // Without an `@`, what stands where the port belongs may be a password.
        let end = address[colon..].find(['/', '?']).map_or(address.len(), |end| colon + end);
        if !address[colon..end].bytes().all(|byte| byte.is_ascii_digit() || byte == b',') {
            found.push(colon..end);
        }
    }
    for name in ["pass=", "password="] {
        for (at, _) in address.match_indices(name) {
            let value = at + name.len();
            let end = address[value..].find(['&', '#']).map_or(address.len(), |end| value + end);
            found.push(value..end);
        }
    }
    found.retain(|range| !range.is_empty());
    found
}

/// What a line of a file that could not be understood may hold in secrets: the
/// passwords of addresses, and whatever is given to a name like `password`.
pub(crate) fn secrets_in_line(line: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices("://") {
        let start = line[..at].rfind(['"', '\'', ' ', '=']).map_or(0, |start| start + 1);
        let end = line[at..].find(['"', '\'', ' ', '\t']).map_or(line.len(), |end| at + end);
        found.extend(
            secrets_in_address(&line[start..end])
                .into_iter()
                .map(|range| range.start + start..range.end + start),
        );
    }
    let mut at = 0;
    for word in line.split_inclusive(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')) {
        let name = word.trim_end_matches(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'));
        if is_secret_name(name) {
            found.extend(value_after(line, at + name.len()));
        }
        at += word.len();
    }
    found
}

/// `line` with its secrets as stars.
pub(crate) fn masked(line: &str) -> String {
    let mut shown = line.to_owned();
    for secret in without_references(line, secrets_in_line(line)).into_iter().rev() {
        shown.replace_range(secret, "***");
    }
    shown
}

/// The value that is given to the name that ends at `at`, without its quotes.
/// The `=` between may be missing: then a text in quotes is taken for it.
fn value_after(line: &str, at: usize) -> Option<Range<usize>> {
    let rest = line[at..].trim_start_matches(['"', '\'']).trim_start_matches([' ', '\t']);
    let value = rest.trim_start_matches(['=', ':']).trim_start_matches([' ', '\t']);
    let start = line.len() - value.len();
    let first = value.chars().next()?;
    let quoted = first == '"' || first == '\'';
    if value.len() == rest.len() && !quoted {
        return None;
    }
    if first == '[' || first == '{' {
        return Some(start..line.len());
    }
    let (start, end) = if quoted {
        let inner = value.trim_start_matches(first);
        let start = line.len() - inner.len();
        (start, inner.find(first).map_or(line.len(), |end| start + end))
    } else {
        let end = value.find([',', '}', ']', ' ', '\t', '"', '\'']);
        (start, end.map_or(line.len(), |end| start + end))
    };
    (start < end).then_some(start..end)
}

/// `ranges` in order, joined where they touch, and without the `${…}` in them:
/// the name of a variable is no secret and is what an error is about.
pub(crate) fn without_references(text: &str, mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut hidden: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match hidden.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => hidden.push(range),
        }
    }
    let mut parts = Vec::new();
    for range in hidden {
        let mut at = range.start;
        while let Some(open) = text[at..range.end].find("${").map(|open| at + open) {
            let Some(close) = text[open..range.end].find('}').map(|close| open + close + 1) else {
                break;
            };
            if at < open {
                parts.push(at..open);
            }
            at = close;
        }
        if at < range.end {
            parts.push(at..range.end);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(line: &str, ranges: Vec<Range<usize>>) -> String {
        let mut out = line.to_owned();
        for range in without_references(line, ranges).into_iter().rev() {
            out.replace_range(range, "***");
        }
        out
    }

    #[test]
    fn a_secret_prints_as_stars() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn the_password_of_an_address_is_found() {
        for (address, shown) in [
            ("redis://user:hunter2@host:6379/0", "redis://user:***@host:6379/0"),
            ("redis://:p@ss:w/rd@host", "redis://:***@host"),
            ("redis://host:6379/0", "redis://host:6379/0"),
            ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
            ("redis://user:hunter2", "redis://user:***"),
            ("user:hunter2@host", "user:***@host"),
            (
                "redis+unix:///run/redis.sock?db=1&pass=hunter2&user=a",
                "redis+unix:///run/redis.sock?db=1&pass=***&user=a",
            ),
            ("redis://:${PW}@host", "redis://:${PW}@host"),
            ("redis://:a${PW}b@host", "redis://:***${PW}***@host"),
            ("sqlite:solocron.db", "sqlite:solocron.db"),
        ] {
            assert_eq!(masked(address, secrets_in_address(address)), shown);
        }
    }

    #[test]
    fn the_secrets_of_a_line_that_nobody_understands_are_found() {
        for (line, shown) in [
            ("pasword = \"hunter2\"", "pasword = \"***\""),
            ("PASSWORD = hunter2 # old", "PASSWORD = *** # old"),
            ("x = { api_token='hunter2', y = 1 }", "x = { api_token='***', y = 1 }"),
            (
                "command = [\"mysql\", \"--password=hunter2\"]",
                "command = [\"mysql\", \"--password=***\"]",
            ),
            ("store = redis://u:hunter2@h/0 # here", "store = redis://u:***@h/0 # here"),
            ("password = \"hunter2", "password = \"***"),
            ("password 'hunter2'", "password '***'"),
            ("password: hunter2", "password: ***"),
            ("command = [\"pass\", \"show\"]", "command = [\"pass\", \"show\"]"),
            ("password = \"${PW}\"", "password = \"${PW}\""),
            ("schedule = \"0 3 * * *\"", "schedule = \"0 3 * * *\""),
            ("éé\u{3000}password = 'hunter2'", "éé\u{3000}password = '***'"),
        ] {
            assert_eq!(masked(line, secrets_in_line(line)), shown);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_line_can_be_searched(line in "\\PC*|[a-z:/@\"'= ${}é]*(://|pass=)[a-z:/@\"'= ${}é]*") {
            masked(&line, secrets_in_line(&line));
            masked(&line, secrets_in_address(&line));
        }
    }
}
