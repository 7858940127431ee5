//! From text to lines: comments, variables, jobs.

use super::Form;
use super::part::Part;
use super::times::{self, When};
use crate::config::{Report, account, cited};

/// What a line is.
#[derive(Debug)]
pub(super) enum Line<'t> {
    Blank,
    /// Without the blanks around it, with its `#`.
    Comment(&'t str),
    Variable(Variable<'t>),
    Job(Job<'t>),
}

/// `NAME=VALUE`, without quotes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Variable<'t> {
    pub(super) name: Part<'t>,
    pub(super) value: Part<'t>,
    /// All of the line.
    pub(super) line: Part<'t>,
}

/// A line that says when and what to run.
#[derive(Debug)]
pub(super) struct Job<'t> {
    pub(super) when: When<'t>,
    pub(super) user: Option<&'t str>,
    /// What stands behind all that, as it is written.
    pub(super) command: Part<'t>,
    /// The `-` by which cronie is told not to log it.
    pub(super) unlogged: Option<Part<'t>>,
    /// All of the line.
    pub(super) line: Part<'t>,
}

/// The lines of `text`; those that cannot be read are reported and missing.
pub(super) fn read<'t>(text: &'t str, form: Form, report: &mut Report) -> Vec<Line<'t>> {
    Part::lines(text).filter_map(|line| line_of(line.trim_start(), form, report)).collect()
}

fn line_of<'t>(line: Part<'t>, form: Form, report: &mut Report) -> Option<Line<'t>> {
    if line.text.is_empty() {
        return Some(Line::Blank);
    }
    if line.text.starts_with('#') {
        return Some(Line::Comment(line.trim_end().text));
    }
    if let Some(at) = line.text.find('\0') {
        report.error(line.from(at).to(1).spot(), "a line cannot hold a NUL character");
        return None;
    }
    match name_of(line) {
        Some((name, rest)) => variable(line, name, rest, report).map(Line::Variable),
        None => job(line, form, report).map(Line::Job),
    }
}

/// The name of a variable, and what is behind its `=`.
fn name_of(line: Part<'_>) -> Option<(Part<'_>, Part<'_>)> {
    let (name, rest) = match quote_of(line) {
        Some(quote) => {
            let end = 1 + line.from(1).text.find(quote)?;
            (line.to(end).from(1), line.from(end + 1))
        }
        None => {
            let end = line.text.find([' ', '\t', '='])?;
            (line.to(end), line.from(end))
        }
    };
    let rest = rest.trim_start();
    rest.text.starts_with('=').then(|| (name, rest.from(1).trim_start()))
}

fn quote_of(part: Part<'_>) -> Option<char> {
    part.text.chars().next().filter(|first| ['"', '\''].contains(first))
}

fn variable<'t>(
    line: Part<'t>,
    name: Part<'t>,
    rest: Part<'t>,
    report: &mut Report,
) -> Option<Variable<'t>> {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    let is_name =
        name.text.starts_with(letter) && name.text.chars().all(|c| letter(c) || c.is_ascii_digit());
    if !is_name {
        let at = if name.text.is_empty() { line } else { name };
        report
            .error(at.spot(), format!("`{}` is not the name of a variable", cited(name.text)))
            .help("a line is `NAME=VALUE`, or five fields and a command, or a comment with `#`");
        return None;
    }
    let value = match quote_of(rest) {
        None => rest.trim_end(),
        Some(quote) => {
            let Some(end) = rest.from(1).text.find(quote) else {
                report.error(rest.spot(), "this quote is never closed");
                return None;
            };
            let behind = rest.from(end + 2).trim_start();
            if !behind.text.is_empty() {
                report
                    .error(behind.spot(), "nothing can stand behind the closing quote")
                    .help("leave the quotes out: then they need not be closed, and blanks stay");
                return None;
            }
            rest.to(end + 1).from(1)
        }
    };
    Some(Variable { name, value, line: line.trim_end() })
}

fn job<'t>(line: Part<'t>, form: Form, report: &mut Report) -> Option<Job<'t>> {
    let unlogged = line.text.starts_with('-').then(|| line.to(1));
    let body = line.from(usize::from(unlogged.is_some()));
    let (when, rest) = if body.text.starts_with('@') {
        body.first_word()
    } else {
        body.first_words(5).or_else(|| {
            report.error(line.trim_end().spot(), "this is no line of a crontab").help(
                "a line is `NAME=VALUE`, or `minute hour day-of-month month day-of-week \
                 COMMAND`, or a comment with `#`",
            );
            None
        })?
    };
    let when = times::read(when, report)?;
    let (user, command) = match form {
        Form::OfUser => {
            let (word, _) = rest.first_word();
            if word.text == "root" {
                report
                    .warning(word.spot(), "this command begins with the name of a user")
                    .help("a system's crontab has users before commands: say --system");
            }
            (None, rest)
        }
        Form::OfSystem => {
            let (user, command) = rest.first_word();
            (Some(user_of(user, line, report)?), command)
        }
    };
    if command.text.trim().is_empty() {
        report.error(line.trim_end().spot(), "there is no command on this line");
        return None;
    }
    if command.text.starts_with('*') {
        report
            .error(command.first_word().0.spot(), "a command cannot begin with `*`")
            .help("a crontab has five fields and no seconds; a job table may have them");
        return None;
    }
    Some(Job { when, user, command, unlogged, line: line.trim_end() })
}

fn user_of<'t>(user: Part<'t>, line: Part<'t>, report: &mut Report) -> Option<&'t str> {
    let help = "a system's crontab has a user before each command; a user's own has none: \
                leave --system out";
    if user.text.is_empty() {
        report.error(line.trim_end().spot(), "there is no user on this line").help(help);
        return None;
    }
    if let Err(invalid) = account::check(user.text) {
        report
            .error(user.spot(), format!("`{}`: {}", cited(user.text), invalid.message))
            .help(help);
        return None;
    }
    Some(user.text)
}
