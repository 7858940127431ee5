//! The servers of a quorum, read from their addresses.

use super::invalid::InvalidValue;
use super::{RedisAddress, RedisConfig, StoreConfig, parse};

/// How the addresses begin that may stand in a list.
const SCHEMES: [&str; 3] = ["redis://", "rediss://", "redis+unix://"];
pub(super) const THREE: &str =
    "write redis://HOST,redis://HOST,redis://HOST: three servers or five, each once";
/// Why no server of a quorum is asked for acknowledgements, and what is in their place.
pub(crate) const NO_REPLICAS: &str =
    "`min_acks` is for a Redis with replicas, and a quorum has none";
pub(crate) const A_MAJORITY: &str =
    "leave it out: what counts is what a majority of the servers has";

/// Reads the address of one store, or those of the servers of a quorum, with commas
/// between. No message repeats a part of it: it may hold a secret.
///
/// # Errors
/// [`InvalidValue`], with what is wrong, where, and what would be right.
pub fn parse_all(addresses: &str) -> Result<StoreConfig, InvalidValue> {
    let mut servers: Vec<StoreConfig> = Vec::new();
    let each = split(addresses);
    let is_alone = each.len() == 1;
    for (start, address) in each {
        let server = parse(address).map_err(|mut error| {
            error.span = start + error.span.start..start + error.span.end;
            error
        })?;
        let place = start..start + address.len();
        if let StoreConfig::Redis(RedisConfig { min_acks: Some(_), .. }) = server
            && !is_alone
        {
            return Err(InvalidValue::new(place, NO_REPLICAS).help(A_MAJORITY));
        }
        if start > 0 && servers.contains(&server) {
            return Err(InvalidValue::new(place, "this server is here twice").help(THREE));
        }
        servers.push(server);
    }
    let whole = |what: String| InvalidValue::new(0..addresses.len(), what).help(THREE);
    let count = servers.len();
    if count == 1 {
        return servers.pop().ok_or_else(|| whole("there is no store".to_owned()));
    }
    let alone = |server| match server {
        StoreConfig::Redis(redis)
            if matches!(redis.address, RedisAddress::Tcp { .. } | RedisAddress::Unix(_)) =>
        {
            Some(redis)
        }
        _ => None,
    };
    match servers.into_iter().map(alone).collect::<Option<Vec<_>>>() {
        Some(servers) if matches!(count, 3 | 5) => Ok(StoreConfig::Quorum(servers)),
        _ => Err(whole(format!("a quorum has three servers or five, not {count}"))),
    }
}

/// The addresses, and where each begins. A comma may also stand in a password.
pub(super) fn split(addresses: &str) -> Vec<(usize, &str)> {
    let mut starts = vec![0];
    let begins = |at: usize| SCHEMES.iter().any(|scheme| addresses[at..].starts_with(scheme));
    if begins(0) {
        starts.extend(addresses.match_indices(',').map(|(at, _)| at + 1).filter(|at| begins(*at)));
    }
    let ends = starts.iter().skip(1).map(|start| start - 1).chain([addresses.len()]);
    starts.iter().copied().zip(ends).map(|(start, end)| (start, &addresses[start..end])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_a_quorum_have_commas_between() {
        let shown = |addresses: &str| parse_all(addresses).unwrap().to_string();
        assert_eq!(shown("redis://a"), "redis://a:6379/0");
        assert_eq!(shown("sqlite:a,redis://b"), "sqlite:a,redis://b");
        assert_eq!(
            shown("redis://u:pa,ss@a:1/2,rediss://b,redis+unix:///s"),
            "redis://u:***@a:1/2,rediss://b:6379/0,redis+unix:///s?db=0"
        );
        for (addresses, why) in [
            ("redis://a,b,c", "an address each"),
            ("redis://a,redis://b", "three servers or five, not 2"),
            ("redis://a,redis://b,redis://c,redis://d", "three servers or five, not 4"),
            ("redis://a,redis://b,redis://a", "twice"),
            ("redis://a,redis://b,redis://c:x", "a port is a number"),
        ] {
            let error = parse_all(addresses).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
            assert!(error.span.end <= addresses.len());
        }
    }
}
