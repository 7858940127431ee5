//! What a server's error means to those who asked, in plain words.

use redis::{ErrorKind, RedisError, ServerError};

use crate::store::StoreError;

/// Codes with which a server refuses a command before it has done anything of it,
/// and what to do about it.
const REFUSALS: &[(&str, &str)] = &[
    ("LOADING", "Redis is still loading its data; it will answer once that is done"),
    (
        "READONLY",
        "this Redis is a read-only replica; point `store` at the primary, or use \
         redis+sentinel:// to follow it",
    ),
    (
        "OOM",
        "Redis has used up its memory (maxmemory); raise maxmemory or make room, and keep \
         maxmemory-policy noeviction",
    ),
    (
        "MISCONF",
        "Redis refuses writes because it cannot save to disk; look at its log and its disk",
    ),
    ("NOAUTH", "Redis wants a password; set `password` in [cluster.redis]"),
    (
        "WRONGPASS",
        "Redis refuses the user name or password; check `username` and `password` in \
         [cluster.redis], and that the user is on",
    ),
    (
        "NOPERM",
        "the Redis user lacks a permission; allow it the keys of this cluster and the \
         commands that solocron needs (README, ACL)",
    ),
    (
        "MASTERDOWN",
        "this Redis is a replica that has lost its primary; it answers again when the link is up",
    ),
    ("CLUSTERDOWN", "the Redis Cluster is down; see CLUSTER INFO"),
    ("MOVED", "this is a server of a Redis Cluster; use redis+cluster://"),
    ("ASK", "this is a server of a Redis Cluster; use redis+cluster://"),
    ("CROSSSLOT", "this is a server of a Redis Cluster; use redis+cluster://"),
    ("TRYAGAIN", "the Redis Cluster is moving these keys; it answers again soon"),
    ("BUSY", "Redis is busy with a script that does not end; see SCRIPT KILL"),
    (
        "NOREPLICAS",
        "Redis has fewer good replicas than min-replicas-to-write asks for and refuses writes",
    ),
    (
        "DENIED",
        "Redis runs in protected mode and takes only local clients; give it a password \
         or a bind address",
    ),
    ("NOSCRIPT", "Redis forgets scripts as fast as they are loaded; who runs SCRIPT FLUSH?"),
];

/// What an error of a server means for the command that got it.
pub(super) fn of_server(error: &ServerError) -> StoreError {
    of_text(&format!("{} {}", error.code(), error.details().unwrap_or_default()))
}

/// The same, of an error that a script caught and passed on as text.
pub(super) fn of_text(text: &str) -> StoreError {
    // So says Redis 7.0 within a script, without a code of its own.
    if text.contains("can't run this command") && !text.contains("NOPERM") {
        return of_text(&format!("NOPERM {}", text.trim_start_matches("ERR ")));
    }
    let mut words = text.split([' ', '-', ':']).take(12);
    if let Some((code, remedy)) =
        words.find_map(|word| REFUSALS.iter().find(|(code, _)| *code == word))
    {
        let detail = match *code {
            "NOPERM" => format!(": {}", text.trim()),
            _ => String::new(),
        };
        let text_of_script = *code == "NOPERM" && text.contains("script");
        let message = format!("{remedy} ({code}{detail})");
        // A script is stopped where it lacks the permission, after what it wrote.
        return if text_of_script {
            StoreError::Unknown(message)
        } else {
            StoreError::Unavailable(message)
        };
    }
    if text.contains("max number of clients") {
        return StoreError::Unavailable(
            "Redis has as many clients as it takes; raise maxclients".to_owned(),
        );
    }
    if text.contains("WRONGTYPE") {
        return StoreError::Corrupt(
            "a key that solocron did not write stands where one of its own belongs (WRONGTYPE); \
             give the cluster another name, or remove that key"
                .to_owned(),
        );
    }
    StoreError::Corrupt(format!("Redis said: {}", text.trim()))
}

/// Whether `why`, one of the messages above, says that the server is a replica.
pub(super) fn is_of_replica(why: &str) -> bool {
    ["(READONLY)", "(MASTERDOWN)"].iter().any(|code| why.contains(code))
}

/// Whether the error says that the script is not loaded, so that nothing of it ran.
pub(super) fn is_noscript(error: &ServerError) -> bool {
    error.code() == "NOSCRIPT"
}

/// Why a connection could not be made, or was lost.
pub(super) fn of_connection(error: &RedisError) -> String {
    match error.kind() {
        ErrorKind::Parse => "what answers there does not speak the Redis protocol".to_owned(),
        _ if error.is_connection_dropped() => CLOSED.to_owned(),
        _ => with_alert(error.to_string()),
    }
}

/// The same, of an error of the operating system.
pub(super) fn of_io(error: Option<&std::io::Error>, text: &str) -> String {
    use std::io::ErrorKind as Io;
    match error.map(std::io::Error::kind) {
        Some(Io::ConnectionRefused) => "nothing listens there (connection refused)".to_owned(),
        Some(Io::NotFound) => "there is no such socket".to_owned(),
        Some(Io::PermissionDenied) => "this user may not open that socket".to_owned(),
        Some(Io::UnexpectedEof | Io::BrokenPipe | Io::ConnectionReset | Io::ConnectionAborted) => {
            CLOSED.to_owned()
        }
        _ => with_alert(text.to_owned()),
    }
}

pub(super) const CLOSED: &str = "the connection was closed";

/// Says what an alert of the other side's TLS most often means.
fn with_alert(text: String) -> String {
    if text.contains("received fatal alert") {
        return format!("the server refuses our TLS certificate, or wants one ({text})");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_known_wherever_the_server_puts_its_code() {
        for text in [
            "OOM command not allowed when used memory > 'maxmemory'.",
            "@user_script: 12: -OOM command not allowed when used memory > 'maxmemory'.",
            "READONLY You can't write against a read only replica.",
        ] {
            assert!(matches!(of_text(text), StoreError::Unavailable(_)), "{text}");
        }
        let StoreError::Unavailable(why) = of_text("READONLY You can't write") else { panic!() };
        assert!(is_of_replica(&why), "{why}");
        let foreign = of_text("WRONGTYPE Operation against a key holding the wrong kind of value");
        assert!(matches!(foreign, StoreError::Corrupt(_)));
        assert!(matches!(of_text("ERR something new"), StoreError::Corrupt(_)));
    }
}
