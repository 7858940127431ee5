//! What went wrong with the file, in words for people and as a [`StoreError`].

use std::path::Path;

use rusqlite::ErrorCode;

use crate::store::StoreError;

/// Why a step on the file failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite refused it.
    Sql(rusqlite::Error),
    /// A row holds what this version cannot read.
    Unreadable(String),
    /// The file is not one to work with; why, and what to do.
    Unusable(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// How far a transaction had come when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Before its commit: it was rolled back.
    Before,
    /// In its commit.
    Commit,
}

impl Fault {
    /// The error of a call on the file at `path` that failed at `stage`.
    pub(super) fn into_error(self, path: &Path, stage: Stage) -> StoreError {
        let code = self.code();
        let (text, path) = (self.in_words(), path.display().to_string());
        let text = if text.contains(&path) { text } else { format!("{path}: {text}") };
        match code {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt(text),
            // Nothing of a commit that met a lock or a full disk is valid in the log.
            Some(ErrorCode::DatabaseBusy | ErrorCode::DiskFull | ErrorCode::ReadOnly) => {
                StoreError::Unavailable(text)
            }
            _ if matches!(self, Self::Unreadable(_)) => StoreError::Corrupt(text),
            _ if stage == Stage::Before => StoreError::Unavailable(text),
            _ => StoreError::Unknown(text),
        }
    }

    /// Whether the connection is to be given up: a new one may see a sound file.
    pub(super) fn breaks_connection(&self) -> bool {
        match self.code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull) => {
                false
            }
            Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig) => false,
            Some(_) => true,
            None => matches!(self, Self::Unusable(_)),
        }
    }

    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sql(error) => error.sqlite_error_code(),
            Self::Unreadable(_) | Self::Unusable(_) => None,
        }
    }

    /// What it is and what to do about it.
    pub(super) fn in_words(&self) -> String {
        let error = match self {
            Self::Unreadable(text) | Self::Unusable(text) => return text.clone(),
            Self::Sql(error) => error,
        };
        let advice = match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                "another process has held the file's write lock for too long; if it is stopped \
                 or hangs, continue or end it (`fuser` names it)"
            }
            Some(ErrorCode::NotADatabase) => {
                "the file is not a SQLite database; name another file, or move this one away \
                 and a new one is made"
            }
            Some(ErrorCode::DatabaseCorrupt) => {
                "the file is damaged; stop every node, keep a copy, and either recover it \
                 (`sqlite3 FILE .recover`) or move it away with its -wal and -shm files, and a \
                 new one is made"
            }
            Some(ErrorCode::DiskFull) => "the disk is full; make room on its filesystem",
            Some(ErrorCode::ReadOnly) => {
                "the file, its directory or its filesystem is read-only for this user; give \
                 write permission to the file, its -wal and -shm files and the directory"
            }
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                "the file or the -wal and -shm files beside it cannot be opened; give this \
                 user read and write permission to them and to the directory"
            }
            Some(ErrorCode::SystemIoFailure) => {
                "reading or writing the file failed; look at the disk and the kernel's log"
            }
            _ => return format!("SQLite: {error}"),
        };
        format!("{advice} (SQLite: {error})")
    }
}

/// A text of the file that does not read as what it should be.
pub(super) fn unreadable(what: &str, text: &str) -> Fault {
    Fault::Unreadable(format!(
        "{text:?} is not {what}; it was not written by this version of solocron"
    ))
}
