//! Addresses of stores, and the credentials beside them.

use super::*;

fn store(keys: &str) -> Result<StoreConfig, Diagnostics> {
    let env = machine()
        .set("PW", "p@ss/wörd")
        .set("URL", "redis://:hunter2@db")
        .set("WRONG", "hunter2")
        .file("/run/pw", "hunter2\n");
    read_with(keys, &Overrides::default(), &env).map(|loaded| loaded.config.cluster.store)
}

fn redis(address: &str) -> RedisConfig {
    match store(&format!("[cluster]\nstore = \"{address}\"")) {
        Ok(StoreConfig::Redis(redis)) => redis,
        Ok(other) => panic!("{other}"),
        Err(errors) => panic!("{errors}"),
    }
}

#[test]
fn an_address_is_read_and_written_without_its_password() {
    for (address, shown) in [
        ("redis://h", "redis://h:6379/0"),
        ("redis://h/", "redis://h:6379/0"),
        ("redis://h:7000/5", "redis://h:7000/5"),
        ("rediss://h", "rediss://h:6379/0"),
        ("redis://[::1]", "redis://[::1]:6379/0"),
        ("redis://[::1]:7000/1", "redis://[::1]:7000/1"),
        ("redis://u:hunter2@h", "redis://u:***@h:6379/0"),
        ("redis://:hunter2@h", "redis://:***@h:6379/0"),
        ("redis://:hu@nt:er/2@h:1/2", "redis://:***@h:1/2"),
        ("redis+unix:///run/r.sock", "redis+unix:///run/r.sock?db=0"),
        ("redis+unix:///run/r.sock?db=3&user=u&pass=hunter2", "redis+unix:///run/r.sock?db=3"),
        ("${URL}/4", "redis://:***@db:6379/4"),
        ("redis+sentinel://a/m", "redis+sentinel://a:26379/m/0"),
        ("redis+sentinel://a,b:7000,[::1]/m/", "redis+sentinel://a:26379,b:7000,[::1]:26379/m/0"),
        ("rediss+sentinel://a/m-1.x_y/3", "rediss+sentinel://a:26379/m-1.x_y/3"),
        ("redis+sentinel://u:hu,nt@er/2@a,b/m/1", "redis+sentinel://u:***@a:26379,b:26379/m/1"),
        ("redis+cluster://a", "redis+cluster://a:6379"),
        ("redis+cluster://a,[::1]:7001,c:7002/", "redis+cluster://a:6379,[::1]:7001,c:7002"),
        ("rediss+cluster://u:hunter2@a,b/0", "rediss+cluster://u:***@a:6379,b:6379"),
    ] {
        assert_eq!(redis(address).to_string(), shown);
    }
}

#[test]
fn a_password_may_hold_anything() {
    for (address, password) in [
        ("redis://u:hunter2@h", "hunter2"),
        ("redis://u:hu@nt:er/2@h", "hu@nt:er/2"),
        ("redis://u:a%40b%2fc@h", "a@b/c"),
        ("redis://u:50%off@h", "50%off"),
        ("redis://u:${PW}@h", "p@ss/wörd"),
        ("redis://u:${file:/run/pw}@h", "hunter2"),
        ("redis+unix:///r.sock?pass=a%26b", "a&b"),
        ("redis+cluster://u:a%40b,c@h,i", "a@b,c"),
    ] {
        assert_eq!(redis(address).password.unwrap().expose(), password);
    }
}

#[test]
fn credentials_beside_the_address_are_put_in() {
    let keys = concat!(
        "[cluster]\nstore = 'rediss://h'\n[cluster.redis]\nusername = 'u'\npassword = '${file:/run/pw}'\n",
        "ca = '/ca.pem'\ncert = '/cert.pem'\nkey = '/key.pem'\ntimeout = '300ms'\n",
    );
    let Ok(StoreConfig::Redis(redis)) = store(keys) else { panic!() };
    assert_eq!(
        (redis.username.as_deref(), redis.password.unwrap().expose()),
        (Some("u"), "hunter2")
    );
    assert_eq!(redis.timeout, Duration::from_millis(300));
    let RedisAddress::Tcp { tls: Some(tls), .. } = redis.address else { panic!() };
    let Ok(StoreConfig::Redis(of_cluster)) = store(&keys.replace("rediss://", "rediss+cluster://"))
    else {
        panic!()
    };
    let RedisAddress::Cluster { tls: Some(same), .. } = of_cluster.address else { panic!() };
    assert_eq!(tls, same);
    let path = |path: &str| Some(PathBuf::from(path));
    assert_eq!(
        tls,
        TlsFiles { ca: path("/ca.pem"), cert: path("/cert.pem"), key: path("/key.pem") }
    );
}

#[test]
fn sentinels_have_credentials_of_their_own() {
    let keys = concat!(
        "[cluster]\nstore = 'rediss+sentinel://u:p@a,b/m'\n[cluster.redis]\n",
        "sentinel_username = 'watch'\nsentinel_password = '${file:/run/pw}'\nca = '/ca.pem'\n",
    );
    let Ok(StoreConfig::Redis(redis)) = store(keys) else { panic!() };
    assert_eq!(redis.username.as_deref(), Some("u"));
    let RedisAddress::Sentinel(of) = redis.address else { panic!() };
    assert_eq!(of.sentinels, [("a".to_owned(), 26379), ("b".to_owned(), 26379)]);
    assert_eq!((of.master.as_str(), of.username.as_deref()), ("m", Some("watch")));
    assert!(!format!("{of:?}").contains("hunter2"));
    assert_eq!(of.password.unwrap().expose(), "hunter2");
    assert_eq!(of.tls.unwrap().ca, Some("/ca.pem".into()));
}

#[test]
fn acknowledgements_are_asked_of_redis_only() {
    let with = |address: &str| format!("[cluster]\nmin_acks = 2\nstore = '{address}'");
    for address in ["redis://h", "redis+sentinel://a,b,c/m", "redis+cluster://a,b"] {
        let Ok(StoreConfig::Redis(redis)) = store(&with(address)) else { panic!() };
        assert_eq!(redis.min_acks, Some(2));
    }
    assert_eq!(redis("redis://h").min_acks, None);
    let warnings = read(&with("sqlite:/x.db")).unwrap().warnings;
    let warned = |text: &str| warnings.iter().any(|warning| warning.message.contains(text));
    assert!(warned("`min_acks` has no effect"), "{warnings}");
    for bad in ["-1", "101", "1.5", "'1'"] {
        let text = format!("[cluster]\nstore = 'redis://h'\nmin_acks = {bad}");
        assert!(first_lines(&store(&text).unwrap_err())[0].starts_with("3:12: error"), "{bad}");
    }
}

#[test]
fn acknowledgements_may_be_asked_for_in_the_address() {
    for address in [
        "redis://h",
        "redis://h/1",
        "redis://u:what?min_acks=5@h/1",
        "redis+unix:///r.sock",
        "redis+sentinel://a,b,c/m",
        "redis+sentinel://a,b,c/m/1",
        "redis+cluster://a,b:7000",
        "rediss+cluster://u:p@a,b/0",
    ] {
        assert_eq!(redis(address).min_acks, None, "{address}");
        let with = redis(&format!("{address}?min_acks=2"));
        assert_eq!(with.min_acks, Some(2), "{address}");
        assert_eq!(RedisConfig { min_acks: None, ..with }, redis(address));
    }
    assert_eq!(redis("redis+unix:///r.sock?min_acks=1&db=3").database, 3);
    assert_eq!(redis("redis://h?").min_acks, None);
}

#[test]
fn two_different_numbers_of_acknowledgements_are_refused_wherever_they_come_from() {
    let both =
        |beside: u32| format!("[cluster]\nmin_acks = {beside}\nstore = 'redis://h?min_acks=1'");
    let Ok(StoreConfig::Redis(redis)) = store(&both(1)) else { panic!() };
    assert_eq!(redis.min_acks, Some(1));
    let said = |beside: u32| {
        format!("error: `min_acks` is {beside} here, and 1 in the address of the store")
    };
    for beside in [0, 2] {
        assert_eq!(
            first_lines(&store(&both(beside)).unwrap_err()),
            [format!("2:12: {}", said(beside))]
        );
    }
    let flag = Overrides {
        store: Some(Override::new("--store", "redis://h?min_acks=1")),
        ..Overrides::default()
    };
    let read = read_with("[cluster]\nmin_acks = 2", &flag, &machine());
    assert_eq!(first_lines(&read.unwrap_err()), [format!("2:12: {}", said(2))]);
}

#[test]
fn a_relative_path_is_below_the_state_directory() {
    for (address, path) in [
        ("sqlite:x.db", "/home/ada/.local/state/solocron/x.db"),
        ("sqlite:a/x.db", "/home/ada/.local/state/solocron/a/x.db"),
        ("sqlite:/a/x.db", "/a/x.db"),
        ("sqlite:///a/x.db", "/a/x.db"),
        ("sqlite:${HOME}/x.db", "/home/ada/x.db"),
    ] {
        let found = store(&format!("[cluster]\nstore = '{address}'")).unwrap();
        assert_eq!(found, StoreConfig::Sqlite { path: path.into() });
    }
}

/// An address, what is underlined of it, what is said, and the way out.
#[test]
fn a_bad_address_is_underlined_where_it_goes_wrong() {
    let kinds = "the stores are sqlite:PATH";
    for (address, marked, said, help) in [
        ("redsi://h", "redsi", "this is not a kind of store", "did you mean redis://HOST?"),
        ("valkey://h", "valkey", "this is not a kind of store", "did you mean redis://HOST?"),
        ("sqlite3:x", "sqlite3", "this is not a kind of store", "did you mean sqlite:PATH?"),
        ("unix:///x", "unix", "this is not a kind of store", "did you mean redis+unix:///SOCKET?"),
        ("postgres://h", "postgres", "this is not a kind of store", kinds),
        ("", "''", "this is not the address of a store", kinds),
        ("x.db", "x.db", "this is not the address of a store", "a file is written sqlite:PATH"),
        ("localhost", "localhost", "this is not the address of a store", kinds),
        ("redis:h", "'redis:h'", "`//` is missing here", "write redis://"),
        ("redis://", "'redis://'", "the host is missing", "write redis://127.0.0.1"),
        ("redis:///0", "'redis:///0'", "the host is missing", "write redis://127.0.0.1"),
        ("redis://h:x", "x", "a port is a number from 1 to 65535", ""),
        ("redis://h:0", "0", "a port is a number from 1 to 65535", ""),
        ("redis://h:70000", "70000", "a port is a number from 1 to 65535", ""),
        ("redis://h/x", "x", "a database is a number, 0 by default", ""),
        ("redis://::1", "::1", "there is more than one `:` here", "an IPv6 address"),
        ("redis://[::1", "[::1", "this `[` is never closed", "an IPv6 address"),
        ("redis://h?x=1", "x=1", "this is not understood here", "behind `?` may stand min_acks="),
        ("redis://h/1?db=1", "db=1", "this is not understood here", "behind `?` may stand min"),
        (
            "redis+cluster://a,b?min_acks=1&min_akcs=2",
            "min_akcs=2",
            "this is not understood here",
            "behind `?` may stand min_acks=",
        ),
        (
            "redis+sentinel://a,b/m/1?min_acks=-1",
            "-1",
            "min_acks is a number of replicas, from 0 to 100",
            "write ?min_acks=1",
        ),
        (
            "redis+cluster://a?min_acks=101",
            "101",
            "min_acks is a number of replicas, from 0 to 100",
            "write ?min_acks=1",
        ),
        ("redis://h{i}", "h{i}", "a host has only letters, digits, `.` and `-`", "give users"),
        (
            "redis+unix://r.sock",
            "r.sock",
            "the path of the socket must be absolute",
            "write redis+unix:///",
        ),
        ("redis+unix:///r.sock?x=1", "x=1", "this is not understood here", "behind `?`"),
        ("redis+unix:///r.sock?db=x", "x", "a database is a number, 0 by default", ""),
        (
            "redis://a,b,c",
            "redis://a,b,c",
            "the servers of a quorum have an address each",
            "write redis://HOST,redis://HOST",
        ),
        (
            "redis://a,redis://b",
            "redis://a,redis://b",
            "a quorum has three servers or five, not 2",
            "write redis://HOST,redis://HOST",
        ),
        (
            "redis-sentinel://a/m",
            "redis-sentinel",
            "this is not a kind of store",
            "did you mean redis+sentinel://HOST,HOST,HOST/MASTER?",
        ),
        ("redis+sentinel:a/m", "'redis+sentinel:a/m'", "`//` is missing here", "write redis+"),
        ("redis+sentinel://", "'redis+sentinel://'", "the host is missing", "write redis+"),
        ("redis+sentinel:///m", "'redis+sentinel:///m'", "the host is missing", "write redis+"),
        ("redis+sentinel://a,,b/m", "'redis+sentinel://a,,b/m'", "the host is missing", ""),
        ("redis+sentinel://a,b:x/m", "x", "a port is a number from 1 to 65535", ""),
        (
            "redis+sentinel://a,b:/m",
            "'redis+sentinel://a,b:/m'",
            "a port is a number from 1 to 65535",
            "",
        ),
        ("redis+sentinel://a,b,a/m", "a", "this sentinel is here twice", "name each"),
        ("redis+sentinel://a,b", "a,b", "the name of the master is missing", "write redis+"),
        ("redis+sentinel://a,b/", "a,b/", "the name of the master is missing", "write redis+"),
        ("redis+sentinel://a//0", "a//0", "the name of the master is missing", "write redis+"),
        (
            "redis+sentinel://a/m n",
            " ",
            "the name of a master has only letters, digits, `.`, `-` and `_`",
            "",
        ),
        ("redis+sentinel://a/m/x", "x", "a database is a number, 0 by default", ""),
        ("redis+sentinel://a/m/1/2", "1/2", "a database is a number, 0 by default", ""),
        ("redis+cluster:a", "'redis+cluster:a'", "`//` is missing here", "write redis+cluster://"),
        ("redis+cluster://a,,b", "'redis+cluster://a,,b'", "the host is missing", "write redis+"),
        ("redis+cluster://a,b:x,c", "x", "a port is a number from 1 to 65535", ""),
        ("redis+cluster://a,b/1", "1", "a Redis Cluster has no databases but 0", "leave it out"),
        (
            "redis+custer://a",
            "redis+custer",
            "this is not a kind of store",
            "did you mean redis+cluster://",
        ),
        ("sqlite:", "'sqlite:'", "the path is missing", "write sqlite:solocron.db"),
        (
            "sqlite::memory:",
            ":memory:",
            "a store in memory locks nobody else out",
            "write sqlite:PATH",
        ),
        ("sqlite:~/x.db", "~/x.db", "`~` is not replaced here", "write sqlite:${HOME}"),
        ("sqlite:a/", "a/", "this is a directory", "name a file in it"),
        ("sqlite://x.db", "//", "a path does not begin with `//`", "write sqlite:PATH"),
        ("redis://${NOPE}", "${NOPE}", "the variable `NOPE` is not set", "set NOPE"),
        ("${WRONG}", "'${WRONG}'", "after expansion, this is not the address of a store", kinds),
        ("redis://u@h", "'redis://u@h'", "", "give `password`"),
    ] {
        let text = format!("[cluster]\nstore = '{address}'");
        let errors = store(&text).unwrap_err();
        assert_eq!(errors.iter().len(), 1, "{errors}");
        let error = errors.iter().next().unwrap();
        assert_eq!(underlined(&text, error), marked, "{errors}");
        assert!(said.is_empty() || error.message == format!("`store`: {said}"), "{errors}");
        assert!(help.is_empty() || error.help[0].starts_with(help), "{errors}");
    }
}

#[test]
fn credentials_must_go_together() {
    for (store_and_keys, said) in [
        (
            "redis://u:p@h'\n[cluster.redis]\nusername='x'",
            "4:10: error: `username` is in the address of the store, too",
        ),
        (
            "redis://u:p@h'\n[cluster.redis]\npassword='x'",
            "4:10: error: `password` is in the address of the store, too",
        ),
        (
            "redis://h'\n[cluster.redis]\nusername='x'",
            "4:10: error: there is a user for Redis, and no password",
        ),
        (
            "redis://h'\n[cluster.redis]\nca='/x'",
            "4:4: error: this is for TLS, and the address of the store is without",
        ),
        (
            "redis+sentinel://h/m'\n[cluster.redis]\nca='/x'",
            "4:4: error: this is for TLS, and the address of the store is without",
        ),
        (
            "redis://h'\n[cluster.redis]\nsentinel_password='x'",
            "4:19: error: this is for sentinels, and the address of the store has none",
        ),
        (
            "redis+sentinel://h/m'\n[cluster.redis]\nsentinel_username='x'",
            "4:19: error: there is a user for the sentinels, and no password",
        ),
        (
            "rediss://h'\n[cluster.redis]\ncert='/x'",
            "4:6: error: `cert` goes with `key`, and there is none",
        ),
        (
            "rediss://h'\n[cluster.redis]\nkey='/x'",
            "4:5: error: `key` goes with `cert`, and there is none",
        ),
    ] {
        let errors = store(&format!("[cluster]\nstore='{store_and_keys}")).unwrap_err();
        assert_eq!(first_lines(&errors), [said]);
    }
}

#[test]
fn a_list_of_servers_is_a_quorum() {
    let list = "[cluster]\nstore = [\"redis://a\", \"redis://b:7000/1\", \"${URL}\"]\n";
    let shown = "redis://a:6379/0,redis://b:7000/1,redis://:***@db:6379/0";
    assert_eq!(store(list).unwrap().to_string(), shown);
    let commas = "[cluster]\nstore = \"redis://a,redis://b:7000/1,${URL}\"\n";
    assert_eq!(store(commas).unwrap(), store(list).unwrap());
    // What is said of Redis is said of each.
    let keys = "[cluster]\nstore = [\"redis://a\", \"redis://b\", \"redis://c\"]\n\
                [cluster.redis]\nusername = \"cron\"\npassword = \"${PW}\"\ntimeout = \"300ms\"";
    let Ok(StoreConfig::Quorum(servers)) = store(keys) else { panic!() };
    assert_eq!(servers.len(), 3);
    for server in servers {
        assert_eq!(server.username.as_deref(), Some("cron"));
        assert_eq!(server.password.unwrap().expose(), "p@ss/wörd");
        assert_eq!(server.timeout, Duration::from_millis(300));
    }
}

#[test]
fn a_quorum_that_is_none_is_refused_and_shows_no_password() {
    for (keys, why) in [
        ("store = [\"redis://a\", \"redis://b\"]", "three servers or five, not 2"),
        ("store = []", "`store`"),
        ("store = [\"redis://a\", \"redis://b\", 7]", "a server of a quorum is a text"),
        ("store = [\"redis://a\", \"redis://b\", \"redis://a\"]", "this server is here twice"),
        ("store = [\"redis://a\", \"redis://b\", \"sqlite:c\"]", "`store`"),
        ("store = [\"redis://a\", \"redis://b\", \"redis+cluster://c\"]", "`store`"),
        ("store = [\"redis://:hunter2@a\", \"redis://b\", \"redis://c:x\"]", "a port is a number"),
        ("store = [\"redis://a\", \"redis://b\", \"${WRONG}\"]", "after expansion"),
        (
            "store = [\"redis://a\", \"redis://b\", \"redis://c\"]\nmin_acks = 1",
            "a quorum has none",
        ),
        (
            "store = \"redis://a?min_acks=1,redis://b,redis://:hunter2@c\"",
            "`store`: `min_acks` is for a Redis with replicas, and a quorum has none",
        ),
        ("store = [\"redis://a\", \"redis://b\", \"redis://a?min_acks=0\"]", "a quorum has none"),
    ] {
        let errors = store(&format!("[cluster]\n{keys}")).unwrap_err().to_string();
        assert!(errors.contains(why) && !errors.contains("hunter2"), "{keys}: {errors}");
    }
}
