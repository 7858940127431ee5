//! Ways to the server: passwords, users, TLS, sockets, databases.

use std::time::Duration;

use solocron::outcome::Outcome;
use solocron::store::redis::{Address, Options, Pem, RedisStore, TlsOptions};
use solocron::store::{Store, StoreError, Warning};

use super::keyspace::workout;
use super::{options, options_for};
use crate::contract::*;
use crate::harness::redis_server::{RedisServer, free_port};

/// What the store says once it has found out why it cannot be reached.
async fn refusal(options: Options) -> String {
    let password = options.password.clone();
    let store = RedisStore::open(options);
    let error = store.time().await.unwrap_err();
    let StoreError::Unavailable(why) = &error else { panic!("{error:?}") };
    if let Some(password) = password {
        for text in [why.clone(), error.to_string(), format!("{store:?} {:?}", store.health())] {
            assert!(!text.contains(&password), "{text}");
        }
    }
    why.clone()
}

async fn works(options: Options) {
    let store = RedisStore::open(options);
    let name = format!("job-{}", solocron::claim::Token::new());
    let slot = due(&store, &name).await;
    run(&store, &claimant("web-1"), &slot, Outcome::Succeeded).await;
    assert_eq!(store.slot(&slot).await.unwrap().entries.len(), 1);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_given_wrong_or_missing() {
    let server = RedisServer::builder().password("s3cret-pass").start();
    let with = |password: Option<&str>| Options {
        password: password.map(str::to_owned),
        ..options(&server)
    };
    works(with(Some("s3cret-pass"))).await;
    let wrong = refusal(with(Some("wr0ng-pass"))).await;
    assert!(wrong.contains("refuses the user name or password"), "{wrong}");
    let missing = refusal(with(None)).await;
    assert!(missing.contains("wants a password"), "{missing}");

    let open = RedisServer::start();
    let surplus = Options { password: Some("s3cret-pass".into()), ..options(&open) };
    let surplus = refusal(surplus).await;
    assert!(surplus.contains("has none"), "{surplus}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_needs_only_its_own_keys_and_commands() {
    let server = RedisServer::builder()
        .user(
            "cron on >pa55word ~prod:* -@all +eval +evalsha +script|load +ping +time +info \
             +client|setname +get +set +del +mget +exists +pexpire +pttl +zadd +zrem +zcard \
             +zrange +zscore +zrevrange +zrangebyscore +zremrangebyscore +hget +hset +hdel +hmget \
             +hgetall +xadd +xdel +xtrim +xrange +xrevrange +lpush +ltrim +lrange",
        )
        .user("nothing on >pa55word ~other:* +@all")
        .start();
    let with = |user: &str, password: &str| Options {
        username: Some(user.to_owned()),
        password: Some(password.to_owned()),
        ..options(&server)
    };
    works(with("cron", "pa55word")).await;
    let store = RedisStore::open(with("cron", "pa55word"));
    workout(&store).await;
    let warnings = store.inspect().await.unwrap();
    assert!(warnings.iter().any(|w| w.0.contains("CONFIG GET is forbidden")), "{warnings:?}");

    let wrong = refusal(with("nobody", "pa55word")).await;
    assert!(wrong.contains("refuses the user name or password"), "{wrong}");

    let store = RedisStore::open(with("nothing", "pa55word"));
    let claim = claim_of(&due(&store, "backup").await, LONG);
    let refused = store.claim(&claimant("web-1"), &[claim]).await;
    let Err(StoreError::Unavailable(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("lacks a permission"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_user_may_not_ask_is_a_warning() {
    let server = RedisServer::builder().user("cron on >pa55word ~* +@all -info -config").start();
    let options = Options {
        username: Some("cron".into()),
        password: Some("pa55word".into()),
        ..options(&server)
    };
    works(options.clone()).await;
    let warnings = RedisStore::open(options).inspect().await.unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].0.contains("could not be checked"), "{warnings:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_endangers_the_guarantee_is_warned_of() {
    let has = |warnings: &[Warning], text: &str| warnings.iter().any(|w| w.0.contains(text));
    let bare = RedisServer::start();
    let warnings = RedisStore::open(options(&bare)).inspect().await.unwrap();
    assert!(warnings.len() == 1 && has(&warnings, "persistence is off"), "{warnings:?}");

    let durable = RedisServer::builder().durable().start();
    let store = RedisStore::open(options(&durable));
    assert_eq!(store.inspect().await.unwrap(), []);
    durable.cli(&["CONFIG", "SET", "appendfsync", "everysec"]);
    durable.cli(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let warnings = store.inspect().await.unwrap();
    assert!(warnings.len() == 2 && has(&warnings, "up to one second"), "{warnings:?}");
    assert!(has(&warnings, "set maxmemory-policy noeviction"), "{warnings:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_its_own_is_used_and_one_that_is_not_there_is_named() {
    let server = RedisServer::start();
    works(Options { database: 3, ..options(&server) }).await;
    assert_eq!(server.cli_number(&["DBSIZE"]), 0, "database 0 is empty");
    let missing = refusal(Options { database: 99, ..options(&server) }).await;
    assert!(missing.contains("no database 99"), "{missing}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_in_the_file_system_is_as_good() {
    let server = RedisServer::start();
    let at = |path| Options { address: Address::Unix(path), ..options(&server) };
    works(at(server.socket())).await;
    let missing = refusal(at(server.file("nothing"))).await;
    assert!(missing.contains("no such socket"), "{missing}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_goes_by_its_own_root_and_client_certificate() {
    let server = RedisServer::builder().tls().start();
    let with = |tls| Options {
        address: Address::Tcp { host: "127.0.0.1".into(), port: server.port(), tls },
        timeout: Duration::from_secs(5),
        ..options(&server)
    };
    let file = |name: &str| Some(Pem::File(server.file(name)));
    let text = |name: &str| Some(Pem::Text(std::fs::read(server.file(name)).unwrap()));
    let full = TlsOptions { ca: file("ca.pem"), cert: file("client.pem"), key: file("client.key") };
    works(with(Some(full.clone()))).await;
    let inline =
        TlsOptions { ca: text("ca.pem"), cert: text("client.pem"), key: text("client.key") };
    works(with(Some(inline))).await;

    for (tls, expected) in [
        (TlsOptions { ca: file("other-ca.pem"), ..full.clone() }, "TLS handshake failed"),
        (TlsOptions { ca: file("nothing.pem"), ..full.clone() }, "`ca`"),
        (TlsOptions { ca: file("client.key"), ..full.clone() }, "holds no certificate"),
        (TlsOptions { key: None, ..full.clone() }, "go together"),
        (TlsOptions { key: file("server.key"), ..full.clone() }, "`cert` and `key`"),
    ] {
        let why = refusal(with(Some(tls))).await;
        assert!(why.contains(expected), "{why}");
    }
    // Without a client certificate the server ends the connection, sooner or later.
    refusal(with(Some(TlsOptions { cert: None, key: None, ..full }))).await;
    // Without TLS as well.
    refusal(with(None)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_to_a_server_without_it_says_so() {
    let server = RedisServer::start();
    let folder = RedisServer::builder().tls().start();
    let tls =
        Some(TlsOptions { ca: Some(Pem::File(folder.file("ca.pem"))), cert: None, key: None });
    let address = Address::Tcp { host: "127.0.0.1".into(), port: server.port(), tls };
    let why =
        refusal(Options { address, timeout: Duration::from_secs(2), ..options(&server) }).await;
    assert!(why.contains("TLS") || why.contains("no connection within"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_listening_is_said_at_once() {
    let why = refusal(options_for(free_port())).await;
    assert!(why.contains("nothing listens there"), "{why}");
}
