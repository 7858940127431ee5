//! A value of the wrong type, and how it was probably meant.

use toml::Spanned;
use toml::de::DeValue;

use super::catalogue::{CALL, NOTIFY, RETRY};
use super::excerpt::cited;
use super::keys::{Key, Kind};
use super::reader::Reader;
use super::secret::masked;
use super::syntax::near_boolean;

impl Reader<'_> {
    /// Reports a value of the wrong type, and how the right one is written.
    pub(super) fn wrong_type(&mut self, key: &'static Key, value: &Spanned<DeValue<'_>>) {
        let is = article(value.get_ref().type_str());
        let message = format!("`{}` is {}, and this is {is}", key.name, expected(key.kind));
        // A secret is not repeated in a help either.
        let raw = match key.kind {
            Kind::Tables(_)
            | Kind::Secret
            | Kind::Store
            | Kind::Text
            | Kind::Variables
            | Kind::Program
            | Kind::Headers
            | Kind::RunText => None,
            _ => self.text.get(value.span()).map(|raw| cited(&masked(raw))),
        };
        let help = match (key.kind, value.get_ref()) {
            (Kind::Tables(_), DeValue::Table(_)) => {
                Some("each is one of a list: [[http.tokens]]".to_owned())
            }
            (kind, value) => raw.and_then(|raw| rewrite(kind, value, &raw)),
        };
        let finding = self.error(value.span(), message);
        finding.help.extend(help);
    }
}

/// How a value of the wrong type was probably meant.
fn rewrite(kind: Kind, value: &DeValue<'_>, raw: &str) -> Option<String> {
    match (kind, value) {
        (Kind::Duration(..), DeValue::Integer(_)) => {
            Some(format!("write \"{raw}s\" for seconds; the units are ms, s, m, h, d"))
        }
        (Kind::Duration(..), _) => Some("write \"30s\"".to_owned()),
        (Kind::Size(..), DeValue::Integer(_)) => Some(format!("write \"{raw}B\"")),
        (Kind::Size(..), _) => Some("write \"16KiB\"".to_owned()),
        (Kind::Umask, DeValue::Integer(_)) => {
            Some("write \"022\", in quotes: it is octal".to_owned())
        }
        (Kind::Command, DeValue::String(line)) => {
            let words: Vec<String> =
                masked(line).split_whitespace().map(|word| format!("{:?}", cited(word))).collect();
            Some(format!("write [{}], or `shell = …` for a line of shell", words.join(", ")))
        }
        (Kind::Switch, DeValue::String(text)) if near_boolean(text).is_some() => {
            near_boolean(text).map(|word| format!("write {word}, without quotes"))
        }
        (Kind::ExitCodes | Kind::Integer(..), DeValue::String(text))
            if text.parse::<i64>().is_ok() =>
        {
            let inner = cited(text);
            Some(if matches!(kind, Kind::ExitCodes) {
                format!("write [{inner}]")
            } else {
                format!("write {inner}, without quotes")
            })
        }
        (Kind::ExitCodes | Kind::Statuses, DeValue::Integer(_))
        | (Kind::Tags | Kind::Nodes | Kind::Channels, DeValue::String(_)) => {
            Some(format!("write [{raw}]"))
        }
        (Kind::Shell, DeValue::Array(_)) => {
            Some("a list of words is a `command`; `shell` is one line".to_owned())
        }
        (Kind::Account, DeValue::Integer(_)) => Some(format!("write \"{raw}\"")),
        (Kind::Named(section), DeValue::Array(_)) if std::ptr::eq(section, &NOTIFY) => {
            Some("each channel is a table with a name: [notify.ops]".to_owned())
        }
        (Kind::Named(_), DeValue::Array(_)) => {
            Some("each job is a table with a name: [jobs.nightly-backup]".to_owned())
        }
        (Kind::Table(section), DeValue::Integer(_)) if std::ptr::eq(section, &RETRY) => {
            Some(format!("write {{ attempts = {raw} }}; the first run is one of them"))
        }
        (Kind::Table(section), DeValue::String(_)) if std::ptr::eq(section, &CALL) => {
            Some("write { url = \"https://…\" }".to_owned())
        }
        (Kind::Program, _) => Some("write [\"/usr/bin/program\", \"argument\"]".to_owned()),
        (Kind::Headers, _) => Some("write headers = { NAME = \"value\" }".to_owned()),
        (Kind::Variables, _) => Some("write env = { NAME = \"value\" }".to_owned()),
        _ => None,
    }
}

/// What a kind of value is called.
fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Table(_) | Kind::Named(_) => "a table",
        Kind::Tables(_) => "a list of tables",
        Kind::Duration(..) => "a duration such as \"30s\"",
        Kind::Size(..) => "a size such as \"16KiB\"",
        Kind::Integer(..) => "a number",
        Kind::Switch => "true or false",
        Kind::Schedules => "a schedule such as \"0 3 * * *\", or a list of them",
        Kind::Command | Kind::Program => "a list of a program and its arguments",
        Kind::Variables | Kind::Headers => "a table of texts",
        Kind::Channels => "a list of channels, by name",
        Kind::Umask => "an octal number in quotes such as \"022\"",
        Kind::ExitCodes => "a list of exit codes",
        Kind::Statuses => "a list of statuses",
        Kind::Tags => "a list of words",
        Kind::Nodes => "a list of nodes, by name or pattern",
        _ => "a text",
    }
}

/// What a type of TOML is called.
pub(super) fn article(kind: &str) -> String {
    match kind {
        "string" => "a text".to_owned(),
        "array" => "a list".to_owned(),
        "integer" => "a number".to_owned(),
        "float" => "a number with a fraction".to_owned(),
        "boolean" => "true or false".to_owned(),
        "datetime" => "a date".to_owned(),
        other => format!("a {other}"),
    }
}
