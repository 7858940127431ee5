//! The machine as a command sees it that runs no job: what its environment lacks
//! of the daemon's secrets is blank.
//!
//! The daemon gets its secrets from its service manager. Who asks for the history
//! at a prompt has none of them, and of most configs only the jobs' `env` needs any.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::Path;

use crate::config::{Environment, ThisMachine};

/// Keeps in mind what was blank.
#[derive(Debug, Default)]
pub(super) struct Onlooker {
    blank: RefCell<BTreeSet<String>>,
}

/// What the state directory goes by; nobody misses these.
const PLACES: [&str; 3] = ["STATE_DIRECTORY", "XDG_STATE_HOME", "HOME"];

impl Onlooker {
    /// What could not be known here, in words; none if everything could.
    pub(super) fn lacked(&self) -> Option<String> {
        let blank = self.blank.borrow();
        let all: Vec<_> = blank.iter().map(String::as_str).collect();
        (!all.is_empty()).then(|| format!("not known here: {}", all.join(", ")))
    }

    fn missed(&self, what: String) {
        self.blank.borrow_mut().insert(what);
    }
}

impl Environment for Onlooker {
    fn var(&self, name: &str) -> Option<OsString> {
        let known = ThisMachine.var(name);
        if known.is_none() && !PLACES.contains(&name) {
            self.missed(name.to_owned());
            return Some(OsString::new());
        }
        known
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        ThisMachine.read(path).or_else(|_| {
            self.missed(path.display().to_string());
            Ok(Vec::new())
        })
    }

    fn host_name(&self) -> Option<OsString> {
        ThisMachine.host_name()
    }

    fn is_root(&self) -> bool {
        ThisMachine.is_root()
    }

    fn is_blank(&self) -> bool {
        true
    }
}
