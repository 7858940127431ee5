//! From a task to the recipe of its command: everything is looked up and laid out
//! before anything is started.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;

use super::account::{Account, Credentials};
use super::environment::{PATH, environment};
use super::failure::NotStarted;
use super::recipe::{Ids, Recipe};
use super::task::{Identity, Task};
use crate::table::Work;

/// A command, and the words in which to speak of it.
#[derive(Debug)]
pub(super) struct Plan {
    /// The program as the job names it.
    pub(super) program: Box<str>,
    /// The `PATH` that the candidates come from, if it was searched.
    pub(super) searched: Option<String>,
    pub(super) change: Option<Credentials>,
    pub(super) recipe: Recipe,
}

impl Plan {
    /// That of a job's run.
    pub(super) fn of_job(
        task: &Task,
        identity: &Identity,
        account: Account,
        lang: Option<OsString>,
    ) -> Result<Self, NotStarted> {
        let words: Vec<&OsStr> = match &task.work {
            Work::Command(words) => words.iter().map(|word| OsStr::new(&**word)).collect(),
            Work::Shell(text) => vec!["/bin/sh".as_ref(), "-c".as_ref(), OsStr::new(&**text)],
            // It is sent by `request`.
            Work::Http(_) => return Err(NotStarted::Empty),
        };
        let all = environment(task, identity, &account.home, lang);
        let all = all.iter().map(|(name, value)| (OsStr::new(name), value.as_os_str()));
        let mut plan = Self::of(&words, &all.collect())?;
        plan.recipe.dirs = match &task.cwd {
            Some(cwd) => vec![c_string(cwd.as_ref(), || "`cwd`".to_owned())?],
            None => {
                vec![c_string(account.home.as_ref(), || "the home".to_owned())?, c"/".to_owned()]
            }
        };
        plan.recipe.umask = task.umask.map(Mode::from_bits_truncate);
        plan.recipe.ids = account.change.as_ref().map(|change| Ids {
            uid: change.uid,
            gid: change.gid,
            groups: change.groups.clone(),
        });
        plan.change = account.change;
        Ok(plan)
    }

    /// That of a command which is as its caller is, in all that is not said here.
    pub(super) fn of(
        words: &[&OsStr],
        environment: &BTreeMap<&OsStr, &OsStr>,
    ) -> Result<Self, NotStarted> {
        let program = *words.first().ok_or(NotStarted::Empty)?;
        if program.is_empty() {
            return Err(NotStarted::Empty);
        }
        let argv = words.iter().map(|word| c_string(word, || "the command".to_owned()));

        let path = environment.get(OsStr::new("PATH")).copied().unwrap_or(PATH.as_ref());
        let (candidates, searched) = if program.as_bytes().contains(&b'/') {
            (vec![PathBuf::from(program)], None)
        } else {
            let found = std::env::split_paths(path).map(|dir| dir.join(program)).collect();
            (found, Some(path.to_string_lossy().into_owned()))
        };
        let candidates =
            candidates.iter().map(|path| c_string(path.as_ref(), || "the command".to_owned()));

        let lines = environment.iter().map(|(name, value)| {
            let mut line = OsString::from(name);
            line.push("=");
            line.push(value);
            c_string(&line, || format!("the variable {name:?}"))
        });
        let recipe = Recipe {
            candidates: candidates.collect::<Result<_, _>>()?,
            argv: argv.collect::<Result<_, _>>()?,
            environment: lines.collect::<Result<_, _>>()?,
            dirs: vec![c".".to_owned()],
            umask: None,
            ignored: 0,
            ids: None,
        };
        let program = program.to_string_lossy().into();
        Ok(Self { program, searched, change: None, recipe })
    }

    /// `path` as the command would see it.
    pub(super) fn under_cwd(&self, path: &Path) -> PathBuf {
        let dir = self.recipe.dirs.first().map_or(&b"/"[..], |dir| dir.to_bytes());
        Path::new(OsStr::from_bytes(dir)).join(path)
    }
}

fn c_string(text: &OsStr, what: impl FnOnce() -> String) -> Result<CString, NotStarted> {
    CString::new(text.as_bytes()).map_err(|_| NotStarted::Nul(what().into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::tests::{command, identity};
    use crate::table::Variable;

    fn plan(task: &Task) -> Result<Plan, NotStarted> {
        Plan::of_job(task, &identity(), Account { home: "/home/web".into(), change: None }, None)
    }

    #[test]
    fn a_bare_name_is_looked_for_in_the_jobs_own_path() {
        let mut task = command(&["tool", "-x"]);
        task.env = [Variable::plain("PATH", "/a:/b")].into();
        let plan = plan(&task).unwrap();
        assert_eq!(plan.recipe.candidates, [c"/a/tool".to_owned(), c"/b/tool".to_owned()]);
        assert_eq!(plan.recipe.argv, [c"tool".to_owned(), c"-x".to_owned()]);
        assert_eq!(plan.searched.as_deref(), Some("/a:/b"));
    }

    #[test]
    fn a_path_is_taken_as_it_is_and_meant_from_the_working_directory() {
        let mut task = command(&["./tool"]);
        task.cwd = Some("/srv".into());
        let plan = plan(&task).unwrap();
        assert_eq!(plan.recipe.candidates, [c"./tool".to_owned()]);
        assert_eq!(plan.under_cwd(Path::new("./tool")), Path::new("/srv/./tool"));
        assert_eq!(plan.recipe.dirs, [c"/srv".to_owned()]);
    }

    #[test]
    fn without_a_directory_it_starts_at_home_or_at_the_root() {
        let plan = plan(&command(&["true"])).unwrap();
        assert_eq!(plan.recipe.dirs, [c"/home/web".to_owned(), c"/".to_owned()]);
    }

    #[test]
    fn what_no_program_can_be_given_is_refused() {
        let mut task = command(&["true"]);
        task.env = [Variable::plain("A", "x\0y")].into();
        assert_eq!(
            plan(&task).unwrap_err().to_string(),
            "the variable \"A\" contains a NUL byte, which no program can be given"
        );
        assert_eq!(plan(&command(&[])).unwrap_err(), NotStarted::Empty);
        assert_eq!(plan(&command(&[""])).unwrap_err(), NotStarted::Empty);
    }
}
