//! What a job is called: after the program that it runs.

use std::collections::HashMap;

/// The most characters of a name that is taken from a command; a number may follow.
const LONGEST: usize = 40;

/// Words that only lead to the program: what they run is what the job is about.
const LEADING: [&str; 28] = [
    "bash", "bundle", "chronic", "command", "dash", "doas", "env", "eval", "exec", "flock",
    "ionice", "java", "ksh", "nice", "node", "nohup", "perl", "php", "poetry", "python", "python2",
    "python3", "ruby", "setsid", "sh", "sudo", "time", "zsh",
];
/// Commands that only prepare the next one.
const PREPARING: [&str; 9] = [".", ":", "[", "cd", "export", "set", "sleep", "source", "test"];
/// How scripts end.
const ENDINGS: [&str; 8] = [".bash", ".jar", ".js", ".php", ".pl", ".py", ".rb", ".sh"];

/// Names that are taken, each with the last number that was tried behind it.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<String, usize>);

impl Names {
    /// A name for the job that runs `command`, with a number if it is taken.
    pub(super) fn take(&mut self, command: &str) -> String {
        let name = name_of(command);
        if !self.0.contains_key(&name) {
            self.0.insert(name.clone(), 1);
            return name;
        }
        loop {
            let number = self.0.entry(name.clone()).or_insert(1);
            *number += 1;
            let numbered = format!("{name}-{number}");
            if !self.0.contains_key(&numbered) {
                self.0.insert(numbered.clone(), 1);
                return numbered;
            }
        }
    }
}

/// The name of the first program in `command` that is more than a preparation.
fn name_of(command: &str) -> String {
    let mut steps = command.split([';', '&', '|', '(', ')', '{', '}', '\n']);
    let name = steps.find_map(|step| {
        let mut words = step.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
        let word = words.find(|word| !leads(word))?;
        let name = sanitized(word);
        (!PREPARING.contains(&word) && !name.is_empty()).then_some(name)
    });
    name.unwrap_or_else(|| "job".to_owned())
}

/// Whether the program stands behind `word`: a variable, an option, a number or a file
/// descriptor, or a program that runs another.
fn leads(word: &str) -> bool {
    let program = word.rsplit('/').next().unwrap_or(word);
    word.contains(['=', '<', '>'])
        || word.starts_with(['-', '$', '!', '@'])
        || word.chars().all(|c| c.is_ascii_digit())
        || LEADING.contains(&program)
}

/// The last part of a path, with nothing in it but what a name can have.
fn sanitized(word: &str) -> String {
    let word = word.trim_end_matches('/');
    let file = word.rsplit('/').next().unwrap_or(word);
    let file = ENDINGS.iter().find_map(|ending| file.strip_suffix(ending)).unwrap_or(file);
    let mut name = String::new();
    for c in file.chars() {
        match c {
            c if c.is_ascii_alphanumeric() || c == '_' => name.push(c),
            _ if name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    let name = name.trim_start_matches(['-', '_']);
    name[..name.len().min(LONGEST)].trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::JobName;

    #[test]
    fn a_job_is_called_after_what_it_runs() {
        for (command, name) in [
            ("/usr/local/bin/backup --full", "backup"),
            ("cd /srv/app && php artisan schedule:run >> /dev/null 2>&1", "artisan"),
            ("cd / && run-parts --report /etc/cron.hourly", "run-parts"),
            ("test -x /usr/sbin/anacron || ( cd / && run-parts /etc/cron.daily )", "run-parts"),
            ("[ -x /usr/lib/php/sessionclean ] && /usr/lib/php/sessionclean", "sessionclean"),
            ("FOO=bar /opt/x/sync_all.sh", "sync_all"),
            ("nice -n 19 ionice -c 3 /opt/dump", "dump"),
            ("/usr/bin/python3 -u /srv/report.py --month", "report"),
            ("bash -c 'rsync -a /a /b'", "rsync"),
            ("pg_dump app | zstd > /backup/app.zst", "pg_dump"),
            ("sleep 30; curl -s https://example.com/", "curl"),
            ("sudo -u www $HOME/bin/clear-cache", "www"),
            ("\"/opt/my tool/run\"", "my"),
            ("$BACKUP", "job"),
            ("{ echo hi; }", "echo"),
            ("日本", "job"),
            ("-- -_x", "job"),
            ("a.b.c", "a-b-c"),
        ] {
            assert_eq!(name_of(command), name, "{command}");
        }
    }

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        let mut names = Names::default();
        let all: Vec<_> = ["a", "a", "a-2", "a", "b"].map(|command| names.take(command)).into();
        assert_eq!(all, ["a", "a-2", "a-2-2", "a-3", "b"]);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_run_has_a_name(command in "\\PC{0,60}|[-a-z0-9_/.;&|=$ ]{0,90}") {
            let mut names = Names::default();
            for _ in 0..3 {
                let name = names.take(&command);
                proptest::prop_assert!(JobName::new(&name).is_ok(), "{name:?}");
                proptest::prop_assert!(!name.contains('.'), "a bare key: {name:?}");
            }
        }
    }
}
