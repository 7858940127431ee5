//! Who may look and who may act: the tokens of `[http]`, which a reload exchanges.

use std::sync::{Arc, Mutex, PoisonError};

use super::access::Caller;
use super::token::Hash;
use crate::config::HttpConfig;

/// Shared between who answers and who reloads.
#[derive(Debug, Clone)]
pub struct Tokens(Arc<Mutex<Listed>>);

type Listed = Arc<[(Caller, Hash)]>;

impl Tokens {
    /// Those of `config`.
    pub fn of(config: Option<&HttpConfig>) -> Self {
        Self(Arc::new(Mutex::new(listed(config))))
    }

    /// From now on those of `config` count: whose token is gone comes in no more, nor by a
    /// session that began with it. False, and they stay, where none would be left: who needs
    /// none, and where, is settled when a node begins to listen.
    #[must_use]
    pub fn exchange(&self, config: Option<&HttpConfig>) -> bool {
        let new = listed(config);
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let leaves_some = !new.is_empty() || held.is_empty();
        if leaves_some {
            *held = new;
        }
        leaves_some
    }

    /// Those that count now.
    pub(crate) fn now(&self) -> Listed {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn listed(config: Option<&HttpConfig>) -> Listed {
    let tokens = config.into_iter().flat_map(|config| &config.tokens);
    let listed = tokens.map(|token| {
        let caller = Caller { name: token.name.as_str().into(), role: token.role };
        (caller, token.hash.clone())
    });
    listed.collect()
}
