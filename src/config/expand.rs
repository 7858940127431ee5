//! `${VAR}` and `${file:/path}` in the few values that may hold secrets.

use std::path::Path;

use super::environment::Environment;
use super::invalid::InvalidValue;
use super::source::reason;
use crate::table::{Piece, RunText, RunVariable};

/// A text after expansion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expanded {
    pub(crate) text: String,
    /// Whether anything was put in: then the text is not what the file shows.
    pub(crate) changed: bool,
}

/// Replaces every `${VAR}` and `${file:/path}` of `text`; `$${` is a literal `${`.
/// All mistakes are reported, not the first alone.
pub(crate) fn expand(text: &str, env: &dyn Environment) -> Result<Expanded, Vec<InvalidValue>> {
    let mut out = Expanded { text: String::with_capacity(text.len()), changed: false };
    for piece in pieces(text, env, |_| None)? {
        if let Piece::Fixed { text, local } = piece {
            out.text.push_str(&text);
            out.changed |= local;
        }
    }
    Ok(out)
}

/// The same of a text of a request: what a run is, `${SOLOCRON_SLOT}` and the like, stays
/// to be put in by each.
pub(crate) fn expand_for_runs(
    text: &str,
    env: &dyn Environment,
) -> Result<RunText, Vec<InvalidValue>> {
    pieces(text, env, |name| name.parse().ok()).map(RunText::new)
}

fn pieces(
    text: &str,
    env: &dyn Environment,
    of_run: impl Fn(&str) -> Option<RunVariable>,
) -> Result<Vec<Piece>, Vec<InvalidValue>> {
    let fixed = |text: &str| Piece::Fixed { text: text.into(), local: false };
    let mut pieces = Vec::new();
    let mut errors = Vec::new();
    let mut at = 0;
    while let Some(open) = text[at..].find("${").map(|open| at + open) {
        if text[at..open].ends_with('$') {
            pieces.push(fixed(&text[at..open - 1]));
            pieces.push(fixed("${"));
            at = open + 2;
            continue;
        }
        pieces.push(fixed(&text[at..open]));
        let Some(close) = text[open..].find('}').map(|close| open + close) else {
            errors.push(
                InvalidValue::new(open..text.len(), "this `${` is never closed")
                    .help("write `$${` for a literal `${`"),
            );
            at = text.len();
            break;
        };
        let name = &text[open + 2..close];
        match (of_run(name), look_up(name, env)) {
            (Some(variable), _) => pieces.push(Piece::Run(variable)),
            (None, Ok(value)) => pieces.push(Piece::Fixed { text: value.into(), local: true }),
            (None, Err((message, help))) => {
                let mut error = InvalidValue::new(open..close + 1, message);
                error.help = help;
                errors.push(error);
            }
        }
        at = close + 1;
    }
    pieces.push(fixed(&text[at..]));
    if errors.is_empty() { Ok(pieces) } else { Err(errors) }
}

fn look_up(name: &str, env: &dyn Environment) -> Result<String, (String, Option<String>)> {
    if let Some(path) = name.strip_prefix("file:") {
        return look_into(path, env);
    }
    let valid = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !valid {
        let help = match name.split_once(":-") {
            Some((name, _)) => format!("there are no fallbacks: write `${{{name}}}`"),
            None => "write `${VAR}` or `${file:/path}`, and `$${` for a literal `${`".to_owned(),
        };
        return Err(("this names neither a variable nor a file".to_owned(), Some(help)));
    }
    let value = env.var(name).ok_or_else(|| {
        let help = format!("set {name} in the environment of solocron");
        (format!("the variable `{name}` is not set"), Some(help))
    })?;
    value.into_string().map_err(|_| (format!("the variable `{name}` is not UTF-8"), None))
}

fn look_into(path: &str, env: &dyn Environment) -> Result<String, (String, Option<String>)> {
    let shown = super::excerpt::cited(path);
    if !path.starts_with('/') {
        let help = format!("write `${{file:/{shown}}}` with the whole path");
        return Err((format!("`{shown}` is not an absolute path"), Some(help)));
    }
    let bytes = env
        .read(Path::new(path))
        .map_err(|error| (format!("`{shown}` cannot be read: {}", reason(&error)), None))?;
    let mut text =
        String::from_utf8(bytes).map_err(|_| (format!("`{shown}` is not UTF-8 text"), None))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::super::environment::Fixed;
    use super::*;

    fn env() -> Fixed {
        Fixed::default()
            .set("USER_1", "ada")
            .set("EMPTY", "")
            .set("NESTED", "${USER_1}")
            .file("/run/pw", "hunter2\n")
            .file("/run/two", "a\n\n")
    }

    #[test]
    fn variables_and_files_are_put_in() {
        for (text, expanded) in [
            ("plain", "plain"),
            ("", ""),
            ("${USER_1}", "ada"),
            ("<${USER_1}:${file:/run/pw}>", "<ada:hunter2>"),
            ("${EMPTY}", ""),
            ("${NESTED}", "${USER_1}"),
            ("${file:/run/two}", "a\n"),
            ("$${USER_1}", "${USER_1}"),
            ("$$${USER_1}", "$${USER_1}"),
            ("$USER_1 $ $$ {}", "$USER_1 $ $$ {}"),
        ] {
            assert_eq!(expand(text, &env()).unwrap().text, expanded, "{text}");
        }
    }

    #[test]
    fn each_mistake_is_told_at_its_place() {
        for (text, at, message) in [
            ("a${NOPE}b", "${NOPE}", "the variable `NOPE` is not set"),
            ("é${", "${", "this `${` is never closed"),
            ("${}", "${}", "this names neither a variable nor a file"),
            ("${A-B}", "${A-B}", "this names neither a variable nor a file"),
            ("${NOPE:-x}", "${NOPE:-x}", "this names neither a variable nor a file"),
            ("${file:pw}", "${file:pw}", "`pw` is not an absolute path"),
            ("${file:/nope}", "${file:/nope}", "`/nope` cannot be read: it does not exist"),
        ] {
            let errors = expand(text, &env()).unwrap_err();
            assert_eq!(errors.len(), 1);
            assert_eq!(errors[0].message, message, "{text}");
            assert_eq!(&text[errors[0].span.clone()], at, "{text}");
        }
        assert_eq!(expand("${A} ${B}", &env()).unwrap_err().len(), 2);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_expanded_or_refused(text in "\\PC*|[${}a-z:/é]*") {
            if let Err(errors) = expand(&text, &env()) {
                for error in errors {
                    proptest::prop_assert!(text.get(error.span).is_some());
                }
            }
        }
    }
}
