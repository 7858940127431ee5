//! What stands behind the `?` of an address.

use super::{InvalidValue, MOST_ACKS, RedisAddress, RedisConfig, Secret, database, decode};

/// The address up to its `?`, and what stands behind that; the host begins at `host`.
/// Before it a `?` is part of a password.
pub(super) fn split_off(rest: &str, host: usize) -> (&str, &str) {
    match rest[host..].find('?') {
        Some(at) => (&rest[..host + at], &rest[host + at + 1..]),
        None => (rest, ""),
    }
}

/// Takes in what is asked for there; it begins at `start` of the address.
pub(super) fn read(redis: &mut RedisConfig, query: &str, start: usize) -> Result<(), InvalidValue> {
    // Elsewhere these have a place of their own.
    let is_socket = matches!(redis.address, RedisAddress::Unix(_));
    let mut at = start;
    for part in query.split('&').filter(|_| !query.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let value_at = at + part.len() - value.len();
        match name {
            "min_acks" => redis.min_acks = Some(count(value, value_at)?),
            "db" if is_socket => redis.database = database(value, value_at)?,
            "user" if is_socket => redis.username = Some(decode(value, value_at)?),
            "pass" if is_socket => redis.password = Some(Secret::new(decode(value, value_at)?)),
            _ => {
                let error = InvalidValue::new(at..at + part.len(), "this is not understood here");
                return Err(error.help(match is_socket {
                    true => {
                        "behind `?` may stand db=, user=, pass= and min_acks=, with `&` between"
                    }
                    false => {
                        "behind `?` may stand min_acks=; a database is written behind a `/`, a \
                         user and a password before an `@`"
                    }
                }));
            }
        }
        at += part.len() + 1;
    }
    Ok(())
}

fn count(number: &str, at: usize) -> Result<u32, InvalidValue> {
    let count = number.parse().ok().filter(|count| *count <= MOST_ACKS);
    count.ok_or_else(|| {
        let what = format!("min_acks is a number of replicas, from 0 to {MOST_ACKS}");
        InvalidValue::new(at..at + number.len(), what).help("write ?min_acks=1")
    })
}
