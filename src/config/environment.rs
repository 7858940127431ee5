//! What a config takes from the machine it is read on. Tests bring their own.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The most bytes of a file that `${file:…}` reads: secrets are short, and a
/// device would never end.
const LARGEST_SECRET: u64 = 1 << 20;

/// The machine, as far as a config depends on it.
pub trait Environment {
    /// The environment variable `name`.
    fn var(&self, name: &str) -> Option<OsString>;

    /// The content of the file at `path`, for `${file:/path}`.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The name of this host.
    fn host_name(&self) -> Option<OsString>;

    /// Whether this process is root's.
    fn is_root(&self) -> bool;

    /// Whether what is not known here is blank instead: for who only looks on.
    fn is_blank(&self) -> bool {
        false
    }
}

/// This process and its machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct ThisMachine;

impl Environment for ThisMachine {
    fn var(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(LARGEST_SECRET + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST_SECRET {
            return Err(io::Error::other("it is larger than 1 MiB"));
        }
        Ok(bytes)
    }

    fn host_name(&self) -> Option<OsString> {
        nix::unistd::gethostname().ok()
    }

    fn is_root(&self) -> bool {
        nix::unistd::geteuid().is_root()
    }
}

/// The directory for what a node keeps: `$STATE_DIRECTORY` (systemd sets it),
/// else `/var/lib/solocron` for root, else `$XDG_STATE_HOME/solocron`, else
/// `~/.local/state/solocron`. None without a home.
pub fn state_directory(env: &dyn Environment) -> Option<PathBuf> {
    let path = |name| env.var(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // A unit with several state directories gets them joined by colons.
    let given = env.var("STATE_DIRECTORY").map(|list| std::env::split_paths(&list).next());
    if let Some(first) = given.flatten().filter(|path| !path.as_os_str().is_empty()) {
        return Some(first);
    }
    if env.is_root() {
        return Some(PathBuf::from("/var/lib/solocron"));
    }
    path("XDG_STATE_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| path("HOME").map(|home| home.join(".local/state")))
        .map(|state| state.join("solocron"))
}

/// A machine that is all made up.
#[cfg(test)]
#[derive(Debug, Clone, Default)]
pub(crate) struct Fixed {
    vars: std::collections::BTreeMap<String, String>,
    files: std::collections::BTreeMap<PathBuf, Vec<u8>>,
    pub(crate) host: Option<OsString>,
    pub(crate) root: bool,
}

#[cfg(test)]
impl Fixed {
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.vars.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn file(mut self, path: &str, content: &str) -> Self {
        self.files.insert(path.into(), content.into());
        self
    }

    pub(crate) fn host(mut self, name: &str) -> Self {
        self.host = Some(name.into());
        self
    }
}

#[cfg(test)]
impl Environment for Fixed {
    fn var(&self, name: &str) -> Option<OsString> {
        self.vars.get(name).map(OsString::from)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn host_name(&self) -> Option<OsString> {
        self.host.clone()
    }

    fn is_root(&self) -> bool {
        self.root
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_directory_is_found_in_order() {
        let at = |env: &Fixed| state_directory(env).map(|path| path.display().to_string());
        let mut env = Fixed::default();
        assert_eq!(at(&env), None);
        env = env.set("HOME", "/home/ada");
        assert_eq!(at(&env).as_deref(), Some("/home/ada/.local/state/solocron"));
        env = env.set("XDG_STATE_HOME", "/state");
        assert_eq!(at(&env).as_deref(), Some("/state/solocron"));
        env.root = true;
        assert_eq!(at(&env).as_deref(), Some("/var/lib/solocron"));
        env = env.set("STATE_DIRECTORY", "/var/lib/a:/var/lib/b");
        assert_eq!(at(&env).as_deref(), Some("/var/lib/a"));
    }
}
