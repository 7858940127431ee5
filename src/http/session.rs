//! Sessions of people who signed in on the page: kept by the node where they did, in
//! memory alone, so a restart ends them, and nothing on a disk lets anybody in.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::access::Caller;
use super::token::Hash;
use crate::clock::BootInstant;

/// How long one lasts: a working day.
pub(crate) const LASTS: Duration = Duration::from_secs(12 * 3600);

/// So many at a time; who signs in after that ends the oldest.
const MOST: usize = 1000;

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    held: Mutex<HashMap<String, Session>>,
}

#[derive(Debug, Clone)]
struct Session {
    caller: Caller,
    /// The hash of the secret with which it began.
    by: Hash,
    until: BootInstant,
}

impl Sessions {
    /// Begins one for `caller`, who knew the secret of `by`; its id, which nobody can guess.
    pub(crate) fn begin(&self, caller: Caller, by: Hash, now: BootInstant) -> String {
        // Two random UUIDs have 244 bits that the system's generator drew.
        let id = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, session| session.until > now);
        if held.len() >= MOST
            && let Some(oldest) =
                held.iter().min_by_key(|(_, session)| session.until).map(|(id, _)| id.clone())
        {
            held.remove(&oldest);
        }
        held.insert(id.clone(), Session { caller, by, until: now + LASTS });
        id
    }

    /// Whose session it is, with the hash by which it began.
    pub(crate) fn caller(&self, id: &str, now: BootInstant) -> Option<(Caller, Hash)> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let session = held.get(id).filter(|session| session.until > now)?;
        Some((session.caller.clone(), session.by.clone()))
    }

    /// Ends it.
    pub(crate) fn end(&self, id: &str) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::token::Role;

    fn caller() -> Caller {
        Caller { name: "ada".into(), role: Role::Viewer }
    }

    #[test]
    fn a_session_is_its_caller_s_until_it_ends() {
        let sessions = Sessions::default();
        let start = BootInstant::from_nanos(1);
        let id = sessions.begin(caller(), Hash::of("secret"), start);
        assert_eq!(sessions.caller(&id, start), Some((caller(), Hash::of("secret"))));
        assert_eq!(sessions.caller(&id[1..], start), None);
        assert_eq!(sessions.caller(&id, start + LASTS), None);
        sessions.end(&id);
        assert_eq!(sessions.caller(&id, start), None);
    }

    #[test]
    fn there_are_never_more_than_a_thousand() {
        let sessions = Sessions::default();
        let at = |second: u64| BootInstant::from_nanos(second * 1_000_000_000);
        let first = sessions.begin(caller(), Hash::of("secret"), at(0));
        for second in 1..=MOST as u64 {
            sessions.begin(caller(), Hash::of("secret"), at(second));
        }
        assert_eq!(sessions.held.lock().unwrap().len(), MOST);
        assert_eq!(sessions.caller(&first, at(0)), None, "the oldest made room");
    }
}
