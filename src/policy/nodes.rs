//! `nodes`: which nodes may run a job, by patterns of their names.
//!
//! In a pattern `*` stands for any run of characters, also for none, and `?`
//! for one. Everything else stands for itself, so it must be what a name can
//! have; a pattern that no name could match is refused, for it is a mistake.

use crate::name::{MAX_LEN, NodeName};

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// Nothing there.
    #[error("a pattern cannot be empty")]
    Empty,
    /// The first character is none that a name can begin with.
    #[error("no name matches: one starts with a letter or a digit, not {0:?}")]
    BadStart(char),
    /// A later character is none that a name can have.
    #[error("no name matches: one has only letters, digits, '.', '_' and '-', not {0:?}")]
    BadCharacter(char),
    /// Every name that it matches would have more than [`MAX_LEN`] characters.
    #[error("no name matches: one has at most {MAX_LEN} characters, and this asks for {0}")]
    TooLong(usize),
}

/// A pattern of node names, such as `web-*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodePattern(Box<str>);

impl NodePattern {
    /// The pattern `text`.
    ///
    /// # Errors
    /// When no node's name could match it.
    pub fn new(text: &str) -> Result<Self, InvalidPattern> {
        let first = text.chars().next().ok_or(InvalidPattern::Empty)?;
        let in_names = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if let Some(bad) = text.chars().find(|c| !(in_names(*c) || matches!(c, '*' | '?'))) {
            return Err(InvalidPattern::BadCharacter(bad));
        }
        let starts = |c: char| c.is_ascii_alphanumeric() || c == '?';
        if !(starts(first) || first == '*') {
            return Err(InvalidPattern::BadStart(first));
        }
        // In `*-x` the star stands for at least the first letter.
        let start = text.trim_start_matches('*').chars().next();
        let letter = usize::from(first == '*' && !start.is_none_or(starts));
        let least = text.bytes().filter(|byte| *byte != b'*').count() + letter;
        if least > MAX_LEN {
            return Err(InvalidPattern::TooLong(least));
        }
        Ok(Self(text.into()))
    }

    /// Whether `node` is one of those that are meant.
    pub fn matches(&self, node: &NodeName) -> bool {
        matches(self.0.as_bytes(), node.as_str().as_bytes())
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `pattern` matches all of `name`.
///
/// Where the two part, the last star takes one more character. Stars before the
/// last need no second look, because what stood between matched as early as it
/// could. So no pattern costs more than one look at it for each character.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Behind the last star, and where what comes behind it was tried.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                star = Some((p, n));
            }
            Some(byte) if *byte == b'?' || *byte == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((behind, tried)) => {
                    star = Some((behind, tried + 1));
                    (p, n) = (behind, tried + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// The nodes that may run a job: those that match one of the patterns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodePatterns(Box<[NodePattern]>);

impl NodePatterns {
    /// Nodes that match one of `patterns`; no node when there are none. Neither
    /// order nor repetition makes a difference.
    pub fn new(mut patterns: Vec<NodePattern>) -> Self {
        patterns.sort_unstable();
        patterns.dedup();
        Self(patterns.into())
    }

    /// Whether `node` matches one of them.
    pub fn allow(&self, node: &NodeName) -> bool {
        self.0.iter().any(|pattern| pattern.matches(node))
    }

    /// The patterns, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, NodePattern> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a NodePatterns {
    type Item = &'a NodePattern;
    type IntoIter = std::slice::Iter<'a, NodePattern>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> NodePattern {
        NodePattern::new(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn node(text: &str) -> NodeName {
        NodeName::new(text).unwrap()
    }

    #[test]
    fn a_star_is_any_run_of_characters_and_a_question_mark_is_one() {
        for (text, yes, no) in [
            ("web-1", &["web-1"][..], &["web-11", "aweb-1", "web", "WEB-1", "web.1"][..]),
            ("*", &["a", "web-1", "0"], &[]),
            ("**", &["a", "web-1"], &[]),
            ("?", &["a", "0"], &["ab"]),
            ("?*", &["a", "ab"], &[]),
            ("??", &["ab", "a-"], &["a", "abc"]),
            ("web-*", &["web-", "web-1", "web-1-2"], &["web", "xweb-1", "we"]),
            ("*-1", &["web-1", "a-1", "a-1-1"], &["web-11", "a1"]),
            ("web-?", &["web-1", "web--"], &["web-", "web-12"]),
            ("web-?*", &["web-1", "web-12"], &["web-"]),
            ("*web*", &["web", "aweb", "weba", "a-web-b"], &["wxeb", "we"]),
            ("a*b*c", &["abc", "aXbYc", "abbc", "abcbc"], &["acb", "ab", "abcd"]),
            ("a*a", &["aa", "aba", "aaa"], &["a", "ab"]),
            ("*aab", &["aab", "aaab", "aabaab"], &["aaba"]),
            ("*a?c*d", &["abcd", "a.c-d", "axxabcd"], &["abd", "acd"]),
        ] {
            let pattern = pattern(text);
            for name in yes {
                assert!(pattern.matches(&node(name)), "{text} {name}");
            }
            for name in no {
                assert!(!pattern.matches(&node(name)), "{text} {name}");
            }
        }
    }

    #[test]
    fn a_pattern_that_no_name_could_match_is_refused() {
        let long = "a".repeat(MAX_LEN);
        for good in
            ["*-x", "*.", "**-", "?-", &long, &format!("*{long}*"), &format!("*-{}", &long[2..])]
        {
            pattern(good);
        }
        for (bad, why) in [
            ("", InvalidPattern::Empty),
            ("-*", InvalidPattern::BadStart('-')),
            (".a", InvalidPattern::BadStart('.')),
            ("web 1", InvalidPattern::BadCharacter(' ')),
            ("web-[12]", InvalidPattern::BadCharacter('[')),
            ("!web", InvalidPattern::BadCharacter('!')),
            ("wéb", InvalidPattern::BadCharacter('é')),
            ("web\n", InvalidPattern::BadCharacter('\n')),
            (&format!("{long}?"), InvalidPattern::TooLong(MAX_LEN + 1)),
            (&format!("*-{}", &long[1..]), InvalidPattern::TooLong(MAX_LEN + 1)),
        ] {
            assert_eq!(NodePattern::new(bad), Err(why), "{bad}");
        }
    }

    #[test]
    fn the_worst_pattern_is_answered_at_once() {
        let name = node(&"a".repeat(MAX_LEN));
        let stars = pattern(&format!("{}b", "*a".repeat(MAX_LEN - 1)));
        for _ in 0..1_000 {
            assert!(!stars.matches(&name));
        }
    }

    #[test]
    fn one_pattern_that_matches_is_enough() {
        let nodes = |texts: &[&str]| NodePatterns::new(texts.iter().map(|t| pattern(t)).collect());
        let some = nodes(&["web-*", "db-1"]);
        assert!(some.allow(&node("web-7")) && some.allow(&node("db-1")));
        assert!(!some.allow(&node("db-2")) && !nodes(&[]).allow(&node("db-1")));
        assert_eq!(nodes(&["b", "a", "b"]), nodes(&["a", "b"]));
    }

    /// What a pattern means, word for word.
    fn meant(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => (0..=name.len()).any(|cut| meant(rest, &name[cut..])),
            (Some((b'?', rest)), Some((_, name))) => meant(rest, name),
            (Some((byte, rest)), Some((first, name))) if byte == first => meant(rest, name),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_match_is_what_the_pattern_means(text in "[ab*?]{1,8}", name in "[ab]{1,10}") {
            let found = pattern(&text).matches(&node(&name));
            prop_assert_eq!(found, meant(text.as_bytes(), name.as_bytes()));
        }

        #[test]
        fn a_pattern_that_is_taken_matches_some_name(text in "[a.*?-]{1,6}") {
            if let Ok(pattern) = NodePattern::new(&text) {
                let fill = |star: &str| text.replace('*', star).replace('?', "a");
                let name = [fill(""), fill("a")].into_iter().find_map(|name| NodeName::new(&name).ok());
                prop_assert!(name.is_some_and(|name| pattern.matches(&name)));
            }
        }

        #[test]
        fn any_text_is_a_pattern_or_is_explained(text in "\\PC*") {
            let _ = NodePattern::new(&text).map_err(|error| error.to_string());
        }
    }
}
