//! The operations that must be atomic. Each is one Lua file or a few, behind a prelude and
//! the parts that it shares with others.

use std::sync::LazyLock;

use std::time::Duration;

use redis::{Arg, Cmd};

#[cfg(feature = "daemon")]
use crate::clock::ClusterTime;
use crate::store::redis::keys::Keys;

/// One operation.
#[derive(Debug)]
pub(super) struct Script {
    code: &'static str,
    hash: LazyLock<String>,
}

macro_rules! scripts {
    ($($name:ident = $($part:literal)+;)+) => {
        $(pub(super) static $name: Script = Script {
            code: concat!($(include_str!(concat!("scripts/", $part)),)+),
            hash: LazyLock::new(|| redis::Script::new($name.code).get_hash().to_owned()),
        };)+

        impl Script {
            pub(super) const ALL: &[&Script] = &[$(&$name),+];
        }
    };
}

scripts! {
    CLAIM = "clock.lua" "prelude.lua" "cursor.lua" "record.lua" "turn.lua" "missed.lua" "claim/terms.lua"
        "claim/writes.lua" "claim/waiting.lua" "claim/claims.lua";
    RENEW = "clock.lua" "prelude.lua" "renew.lua";
    COMPLETE = "clock.lua" "prelude.lua" "record.lua" "turn.lua" "complete.lua";
    ABANDON = "clock.lua" "prelude.lua" "record.lua" "turn.lua" "abandon.lua";
    FORFEIT = "clock.lua" "prelude.lua" "record.lua" "turn.lua" "forfeit.lua";
    SWEEP = "clock.lua" "prelude.lua" "sweep.lua";
    OPEN_CURSORS = "clock.lua" "prelude.lua" "cursor.lua" "open_cursors.lua";
    RECORD_MISSED = "clock.lua" "prelude.lua" "cursor.lua" "record.lua" "turn.lua" "record_missed.lua";
    TRIGGER = "clock.lua" "prelude.lua" "trigger.lua";
    CANCEL = "clock.lua" "prelude.lua" "cancel.lua";
    PAUSE = "clock.lua" "prelude.lua" "control.lua" "pause.lua";
    RELOAD = "clock.lua" "prelude.lua" "control.lua" "reload.lua";
    HEARTBEAT = "clock.lua" "prelude.lua" "heartbeat.lua";
    NODES = "clock.lua" "prelude.lua" "nodes.lua";
    LEAVE = "clock.lua" "prelude.lua" "leave.lua";
    WATCH_OUTPUT = "clock.lua" "prelude.lua" "output/watch.lua";
    WATCHED_OUTPUTS = "clock.lua" "prelude.lua" "output/watched.lua";
    PRUNE = "clock.lua" "prelude.lua" "record.lua" "turn.lua" "control.lua"
        "prune/hashes.lua" "prune/indexes.lua" "prune/ledgers.lua";
    GIVE_AND_TAKE_ONE_LOCK = "lock/prelude.lua" "lock/give_one.lua" "lock/time.lua" "lock/take_one.lua"
        "lock/standing.lua" "lock/queue.lua" "lock/rest_of_one.lua";
    TAKE_LOCKS = "lock/prelude.lua" "lock/time.lua" "lock/standing.lua" "lock/member.lua" "lock/beside.lua"
        "lock/take.lua";
    EXTEND_LOCKS = "lock/prelude.lua" "lock/time.lua" "lock/standing.lua" "lock/member.lua" "lock/extend.lua";
    WRITE_LOCKS = "lock/prelude.lua" "lock/time.lua" "lock/standing.lua" "lock/member.lua" "lock/write.lua";
    SIGHT = "lock/prelude.lua" "lock/time.lua" "lock/standing.lua" "lock/member.lua" "lock/sight.lua";
    MEMORY = "lock/prelude.lua" "lock/time.lua" "lock/member.lua" "lock/memory.lua";
    ADMIT = "lock/prelude.lua" "lock/time.lua" "lock/member.lua" "lock/admit.lua";
    RELEASE_LOCKS = "lock/prelude.lua" "lock/standing.lua" "lock/queue.lua" "lock/beside.lua"
        "lock/release.lua";
    LOCK_HOLDER = "lock/prelude.lua" "lock/time.lua" "lock/standing.lua" "lock/holder.lua";
    LEAVE_QUEUE = "lock/prelude.lua" "lock/time.lua" "lock/queue.lua" "lock/leave.lua";
    SWEEP_AT = "replica/clock.lua" "prelude.lua" "sweep.lua";
    PRUNE_AT = "replica/clock.lua" "prelude.lua" "record.lua" "control.lua" "replica/pruning.lua"
        "prune/hashes.lua" "prune/ledgers.lua";
    RELEASE_PROMISE = "replica/state.lua" "replica/release.lua";
    PREPARE = "replica/state.lua" "replica/read.lua" "replica/prepare.lua";
    ACCEPT = "replica/state.lua" "replica/accept.lua";
    COMMIT = "replica/state.lua" "replica/apply.lua" "replica/commit.lua";
    LEARN = "replica/state.lua" "replica/apply.lua" "replica/learn.lua";
    LOOK = "replica/state.lua" "replica/read.lua" "replica/look.lua";
    GLANCE = "replica/state.lua" "replica/glance.lua";
    MEMBERSHIP = "replica/state.lua" "replica/membership.lua";
    IMPORT = "replica/state.lua" "replica/import.lua";
}

impl Script {
    /// A call with these keys; the arguments are added to it.
    pub(super) fn call(&self, keys: &[&str]) -> Cmd {
        let mut cmd = self.call_with(keys.len());
        for key in keys {
            cmd.arg(key);
        }
        cmd
    }

    #[cfg(feature = "daemon")]
    /// A call of a script that ends slots (`scripts/record.lua`), with these keys more.
    pub(super) fn call_on_records(&self, keys: &Keys, more: &[String]) -> Cmd {
        let shared = keys.for_records();
        let mut cmd = self.call_with(shared.len() + more.len());
        for key in shared.iter().chain(more) {
            cmd.arg(key);
        }
        keys.add_prefixes(&mut cmd);
        cmd
    }

    #[cfg(feature = "daemon")]
    /// The same, with the instant at which it is made.
    pub(super) fn call_on_records_at(&self, keys: &Keys, more: &[String], now: ClusterTime) -> Cmd {
        let shared = keys.for_records();
        let mut cmd = self.call_with(shared.len() + more.len());
        for key in shared.iter().chain(more) {
            cmd.arg(key);
        }
        add_instant(&mut cmd, now);
        keys.add_prefixes(&mut cmd);
        cmd
    }

    /// A call with so many keys; they and the arguments are added to it.
    pub(super) fn call_with(&self, keys: usize) -> Cmd {
        // Room for as many arguments and for short ones, as calls have that are made often.
        let mut cmd = Cmd::with_capacity(10 + 2 * keys, 200 + 80 * keys);
        cmd.arg("EVALSHA").arg(self.hash.as_str()).arg(keys);
        cmd
    }

    /// Makes the server remember it.
    pub(super) fn load(&self) -> Cmd {
        let mut cmd = redis::cmd("SCRIPT");
        cmd.arg("LOAD").arg(self.code);
        cmd
    }

    /// The first key of a call, or of another command that has its keys in front.
    pub(super) fn first_key(command: &Cmd) -> Option<&[u8]> {
        let mut args = command.args_iter();
        let place = match args.next()? {
            Arg::Simple(b"EVALSHA" | b"EVAL") => 2,
            _ => 0,
        };
        match args.nth(place)? {
            Arg::Simple(key) => Some(key),
            _ => None,
        }
    }

    /// The same call with one key more, behind the others; other commands stay as they are.
    pub(super) fn with_key(call: Cmd, key: &str) -> Cmd {
        let args: Vec<_> = call.args_iter().collect();
        let [Arg::Simple(b"EVALSHA"), Arg::Simple(hash), Arg::Simple(count), rest @ ..] = &args[..]
        else {
            return call;
        };
        let keys = std::str::from_utf8(count).ok().and_then(|count| count.parse::<usize>().ok());
        let Some((keys, others)) = keys.and_then(|keys| rest.split_at_checked(keys)) else {
            return call;
        };
        let mut cmd = redis::cmd("EVALSHA");
        cmd.arg(*hash).arg(keys.len() + 1);
        let more = [Arg::Simple(key.as_bytes())];
        for arg in keys.iter().chain(&more).chain(others) {
            if let Arg::Simple(bytes) = arg {
                cmd.arg(*bytes);
            }
        }
        cmd
    }

    /// Whether the command calls a script.
    pub(super) fn is_called_by(command: &Cmd) -> bool {
        matches!(command.args_iter().next(), Some(Arg::Simple(b"EVALSHA")))
    }

    /// The same call, with the script's text in it, so that it cannot be unknown.
    pub(super) fn in_full(call: &Cmd) -> Option<Cmd> {
        let mut args = call.args_iter().skip(1);
        let Arg::Simple(hash) = args.next()? else { return None };
        let script = Self::ALL.iter().find(|script| script.hash.as_bytes() == hash)?;
        let mut cmd = redis::cmd("EVAL");
        cmd.arg(script.code);
        for arg in args {
            if let Arg::Simple(bytes) = arg {
                cmd.arg(bytes);
            }
        }
        Some(cmd)
    }
}

#[cfg(feature = "daemon")]
/// Adds an instant as `scripts/replica/clock.lua` reads it.
pub(super) fn add_instant(call: &mut Cmd, now: ClusterTime) {
    let micros = now.unix_micros();
    call.arg(micros.div_euclid(1_000_000)).arg(micros.rem_euclid(1_000_000));
}

/// The longest time to live: a thousand years. Redis refuses an end beyond 2^63.
pub(super) const LONGEST: u64 = 1000 * 365 * 86_400_000;

/// A time to live for Redis, which refuses zero.
pub(super) fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(LONGEST).clamp(1, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(call: &Cmd) -> Vec<String> {
        let word = |arg| match arg {
            Arg::Simple(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            _ => panic!("no cursor"),
        };
        call.args_iter().map(word).collect()
    }

    #[test]
    fn a_key_more_stands_behind_the_keys() {
        let hash = NODES.hash.as_str();
        let bare = Script::with_key(NODES.call(&["nodes"]), "more");
        assert_eq!(words(&bare), ["EVALSHA", hash, "2", "nodes", "more"]);
        let mut call = NODES.call(&["nodes", "b"]);
        call.arg("a").arg(7);
        let with = Script::with_key(call, "more");
        assert_eq!(words(&with), ["EVALSHA", hash, "3", "nodes", "b", "more", "a", "7"]);
        assert_eq!(words(&Script::with_key(redis::cmd("TIME"), "more")), ["TIME"]);
    }

    #[test]
    fn a_call_in_full_has_the_text_in_place_of_the_hash() {
        let mut call = CLAIM.call(&["open", "cursors"]);
        call.arg("a").arg(7);
        assert_eq!(Script::first_key(&call), Some(&b"open"[..]));
        assert_eq!(Script::first_key(redis::cmd("MGET").arg("a").arg("b")), Some(&b"a"[..]));
        let full = Script::in_full(&call).unwrap();
        assert_eq!(words(&full), ["EVAL", CLAIM.code, "2", "open", "cursors", "a", "7"]);
    }
}
