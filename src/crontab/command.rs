//! What a line gives its shell: a command, and what the command reads.
//!
//! In a crontab `%` ends the command; what follows is its standard input, in which each
//! further `%` ends a line. `\%` is a `%`.

/// The command of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// What the shell is given.
    pub(super) line: String,
    /// What the command reads: whole lines. None where no `%` ends the command.
    pub(super) input: Option<String>,
    /// Where the `%` stands that ends it.
    pub(super) end: Option<usize>,
}

/// How a job table says it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// A line for `/bin/sh -c`.
    Shell(String),
    /// A program and its arguments.
    Program([String; 3]),
}

/// The shell of a crontab that names none, and of a job table.
pub(super) const SHELL: &str = "/bin/sh";

/// Takes the text behind the fields apart, as cron does.
pub(super) fn read(text: &str) -> Command {
    let mut line = String::with_capacity(text.len());
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '%' if escaped => {
                // Only the backslash before it goes.
                line.pop();
                line.push('%');
            }
            '%' => {
                return Command { line, input: Some(input(&text[at + 1..])), end: Some(at) };
            }
            _ => line.push(c),
        }
        escaped = c == '\\' && !escaped;
    }
    Command { line, input: None, end: None }
}

/// What stands behind the first `%`, as lines.
fn input(text: &str) -> String {
    let mut lines = String::with_capacity(text.len() + 1);
    let mut escaped = false;
    for c in text.chars() {
        let c = match c {
            '%' if !escaped => '\n',
            c => {
                if escaped && c != '%' {
                    lines.push('\\');
                }
                c
            }
        };
        // A second backslash escapes, too: cron reads the input otherwise than the command.
        escaped = c == '\\';
        if !escaped {
            lines.push(c);
        }
    }
    if escaped {
        lines.push('\\');
    }
    if !lines.is_empty() && !lines.ends_with('\n') {
        lines.push('\n');
    }
    lines
}

impl Command {
    /// What a job table runs for it, by the shell `shell`.
    pub(super) fn work(&self, shell: &str) -> Work {
        match self.input.as_deref() {
            None | Some("") if shell == SHELL => Work::Shell(self.line.clone()),
            None | Some("") => {
                Work::Program([shell.to_owned(), "-c".to_owned(), self.line.clone()])
            }
            // The shell itself gets the input, as cron gives it, whatever its language is.
            Some(input) => {
                let end = unused_word(input);
                let (shell, line) = (quoted(shell), quoted(&self.line));
                Work::Shell(format!("exec {shell} -c {line} <<'{end}'\n{input}{end}\n"))
            }
        }
    }
}

/// A word that is no line of `text`.
fn unused_word(text: &str) -> String {
    let mut word = "END".to_owned();
    while text.lines().any(|line| line == word) {
        word.push('_');
    }
    word
}

/// `text` as one word of a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command as Process, Stdio};

    use super::*;

    #[test]
    fn a_percent_sign_ends_the_command_unless_a_backslash_stands_before_it() {
        for (text, line, input) in [
            ("date", "date", None),
            (r"date +\%Y-\%m", "date +%Y-%m", None),
            ("cat%", "cat", Some("")),
            ("cat%a", "cat", Some("a\n")),
            ("cat%a%b%", "cat", Some("a\nb\n")),
            ("cat%%a", "cat", Some("\na\n")),
            (r"cat%a\%b", "cat", Some("a%b\n")),
            (r"echo \\%a", r"echo \\", Some("a\n")),
            (r"echo \n", r"echo \n", None),
            (r"echo \\\%", r"echo \\%", None),
            (r"cat%\a\\b\", "cat", Some("\\a\\\\b\\\n")),
            ("mail -s é%ä", "mail -s é", Some("ä\n")),
        ] {
            let command = read(text);
            assert_eq!((command.line.as_str(), command.input.as_deref()), (line, input), "{text}");
        }
    }

    #[test]
    fn the_shell_is_the_one_that_is_named_and_is_left_out_where_it_is_the_usual_one() {
        assert_eq!(read("a b").work("/bin/sh"), Work::Shell("a b".to_owned()));
        assert_eq!(read("a b%").work("/bin/sh"), Work::Shell("a b".to_owned()));
        let program = ["/bin/bash", "-c", "a b"].map(str::to_owned);
        assert_eq!(read("a b").work("/bin/bash"), Work::Program(program));
    }

    /// What cron would do with the text: a shell, its command, and its input in a pipe.
    fn as_cron_does(text: &str, shell: &str) -> Vec<u8> {
        let command = read(text);
        let mut child = Process::new(shell)
            .args(["-c", &command.line])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = child.stdin.take().unwrap();
        // A command that does not read has ended before.
        let _not_read = pipe.write_all(command.input.unwrap_or_default().as_bytes());
        drop(pipe);
        child.wait_with_output().unwrap().stdout
    }

    #[test]
    fn what_a_job_runs_prints_what_cron_would_have_it_print() {
        for text in [
            "cat; cat",
            "cat%one%two",
            "cat%END%END_%$HOME `x` \\$y",
            "sh -c 'cat; echo \"it'\"'\"'s\"'%over",
            "cat; exit 3%a",
            "echo a # a comment%not read",
            "while read -r line; do echo \"<$line>\"; done%a b%  c",
            r"echo 100\%; cat%50\%",
        ] {
            let program = match read(text).work("/bin/sh") {
                Work::Shell(line) => ["/bin/sh".to_owned(), "-c".to_owned(), line],
                Work::Program(program) => program,
            };
            let done = Process::new(&program[0])
                .args(&program[1..])
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let (done, cron) = (done.stdout, as_cron_does(text, "/bin/sh"));
            let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert_eq!(shown(&done), shown(&cron), "{text}");
        }
    }
}
