//! What was won here, as long as it may last: what giving it back has to know.

use std::collections::HashMap;
use std::time::Duration;

use super::REVOKED_FOR;
use crate::clock::BootInstant;
use crate::lease::Token;

/// So many are remembered before those are looked for that are over.
const FEW: usize = 64;

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Grants {
    /// Until when they may last at some server.
    lasting: HashMap<Token, BootInstant>,
    /// Requests by server and token that may still be applied, until when that matters.
    unclear: HashMap<(usize, Token), BootInstant>,
    /// When so many are remembered, those that are over are forgotten.
    limit: usize,
}

impl Grants {
    /// It may last so long from now.
    pub(super) fn lasts(&mut self, token: Token, long: Duration) {
        let until = BootInstant::now() + long;
        self.lasting.entry(token).and_modify(|known| *known = until.max(*known)).or_insert(until);
        self.tidy();
    }

    /// A server may still grant it, for so long from then.
    pub(super) fn unclear(&mut self, server: usize, token: Token, ttl: Duration) {
        let until = BootInstant::now() + ttl.max(REVOKED_FOR);
        self.unclear.insert((server, token), until);
        self.tidy();
    }

    /// Whether that server may still grant it; nobody is told twice.
    pub(super) fn was_unclear(&mut self, server: usize, token: Token) -> bool {
        self.unclear.remove(&(server, token)).is_some()
    }

    /// How long it may still last; it is given back. Of what was won elsewhere nothing is
    /// known here.
    pub(super) fn ends(&mut self, token: Token) -> Duration {
        let now = BootInstant::now();
        self.lasting.remove(&token).map_or(REVOKED_FOR, |until| until.since(now))
    }

    /// Forgets what lapsed, and was never given back.
    fn tidy(&mut self) {
        if self.lasting.len() + self.unclear.len() < self.limit.max(FEW) {
            return;
        }
        let now = BootInstant::now();
        self.lasting.retain(|_, until| *until > now);
        self.unclear.retain(|_, until| *until > now);
        self.limit = 2 * (self.lasting.len() + self.unclear.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lapsed_is_forgotten_and_what_lasts_is_not() {
        let mut grants = Grants::default();
        let token = Token::new();
        grants.lasts(token, Duration::from_secs(50));
        grants.lasts(token, Duration::from_secs(9));
        for _ in 0..10 * FEW {
            grants.lasts(Token::new(), Duration::ZERO);
        }
        assert!(grants.lasting.len() <= FEW);
        let left = grants.ends(token);
        assert!(left > Duration::from_secs(40) && left <= Duration::from_secs(50), "{left:?}");
        assert_eq!(grants.ends(token), REVOKED_FOR, "it is given back");
        grants.unclear(2, token, Duration::ZERO);
        assert!(!grants.was_unclear(1, token));
        assert!(grants.was_unclear(2, token) && !grants.was_unclear(2, token));
    }
}
