//! Ways to the server: passwords, users, TLS, and addresses that lead nowhere.

use std::sync::Arc;
use std::time::Duration;

use solocron::lock::{LockError, Locks, Wait};
use solocron::store::redis::{Address, Options, Pem, RedisStore, TlsOptions};

use super::options;
use crate::contract::waiting::only_called;
use crate::contract::*;
use crate::harness::redis_server::{RedisServer, free_port};
use crate::watched::{Kind, Said, Watched};

/// All that can be done with locks.
async fn works(options: Options) {
    let store = Watched::new(Arc::new(RedisStore::open(options)));
    let locks = store.locks();
    let request = locks.lock_all(["a", "b"]).ttl(LONG).min_hold(Duration::from_millis(1));
    let guard = request.try_acquire().await.unwrap();
    contended(locks.lock("a").try_acquire().await);
    guard.extend(LONG).await.unwrap();
    let waiting = tokio::spawn(async move { request.acquire(only_called()).await });
    store.queued(1).await;
    guard.release().await.unwrap();
    let guard = soon("the call", waiting).await.unwrap().unwrap();
    assert!(locks.ttl("b").await.unwrap().is_some());
    let given_up = locks.lock("a").acquire(Wait::at_most(SHORT / 4)).await;
    assert!(matches!(given_up, Err(LockError::Deadline { .. })), "{given_up:?}");
    store.answered(1, |call| call.kind == Kind::Leave && call.said == Said::Done).await;
    guard.release().await.unwrap();
    locks.close().await;
}

/// Why there is no lock; the password is not in it.
async fn refusal(options: Options) -> String {
    let password = options.password.clone();
    let locks = Locks::new(Arc::new(RedisStore::open(options)));
    let answer = locks.lock("order/1").try_acquire().await;
    let Err(error @ LockError::Unavailable(_)) = answer else { panic!("{answer:?}") };
    let told = format!("{error} {error:?} {locks:?}");
    if let Some(password) = password {
        assert!(!told.contains(&password), "{told}");
    }
    told
}

/// What the README says that locks need, beside the keys.
const FOR_LOCKS: &str = "+eval +evalsha +script|load +ping +time +info +client|setname +mget \
                         +set +del +exists +pexpire +pttl +zadd +zrem +zpopmin +publish +subscribe";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_needs_only_its_own_keys_channels_and_commands() {
    let readme = include_str!("../../../README.md");
    for word in FOR_LOCKS.split_whitespace().chain(["&prod:*"]) {
        assert!(readme.contains(word), "{word} is not in README.md");
    }
    let server = RedisServer::builder()
        .user(&format!("cron on >pa55word ~prod:* resetchannels &prod:* -@all {FOR_LOCKS}"))
        .user(&format!("reader on >pa55word ~prod:* -@all {FOR_LOCKS} -mget -set"))
        .user("nothing on >pa55word ~other:* +@all")
        .start();
    let with = |user: &str, password: &str| Options {
        username: Some(user.to_owned()),
        password: Some(password.to_owned()),
        ..options(server.port())
    };
    works(with("cron", "pa55word")).await;
    assert_eq!(server.cli_list(&["ACL", "LOG"]).len(), 0, "nothing was refused");
    let wrong = refusal(with("cron", "wr0ng-pass")).await;
    assert!(wrong.contains("refuses the user name or password"), "{wrong}");
    let foreign = refusal(with("nothing", "pa55word")).await;
    assert!(foreign.contains("lacks a permission"), "{foreign}");

    // A script is stopped where it lacks one, so it may have written something.
    let locks = Locks::new(Arc::new(RedisStore::open(with("reader", "pa55word"))));
    let answer = locks.lock("order/1").try_acquire().await;
    let Err(LockError::Unknown(why)) = answer else { panic!("{answer:?}") };
    assert!(why.contains("lacks a permission"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_is_wrong_or_missing_is_named() {
    let server = RedisServer::builder().password("s3cret-pass").start();
    let with = |password: Option<&str>| Options {
        password: password.map(str::to_owned),
        ..options(server.port())
    };
    works(with(Some("s3cret-pass"))).await;
    let wrong = refusal(with(Some("wr0ng-pass"))).await;
    assert!(wrong.contains("refuses the user name or password"), "{wrong}");
    let missing = refusal(with(None)).await;
    assert!(missing.contains("wants a password"), "{missing}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_with_a_client_certificate() {
    let server = RedisServer::builder().tls().start();
    let with = |tls| Options {
        address: Address::Tcp { host: "127.0.0.1".into(), port: server.port(), tls },
        ..options(server.port())
    };
    let file = |name: &str| Some(Pem::File(server.file(name)));
    let full = TlsOptions { ca: file("ca.pem"), cert: file("client.pem"), key: file("client.key") };
    works(with(Some(full.clone()))).await;
    let why = refusal(with(Some(TlsOptions { ca: file("other-ca.pem"), ..full }))).await;
    assert!(why.contains("TLS handshake failed"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_that_are_none_are_refused() {
    for address in [
        "",
        "redis://",
        "redis://:::",
        "redis://127.0.0.1:port/0",
        "http://127.0.0.1:6379",
        "garbage",
        "redis://127.0.0.1:6379/zero",
        "sqlite:",
        "\u{0}",
        "redis://[::1",
    ] {
        let answer = Locks::open(address);
        let Err(LockError::Invalid(why)) = answer else { panic!("{address:?}: {answer:?}") };
        assert!(!why.is_empty() && !why.contains('\u{0}'), "{address:?}: {why}");
    }
    let nowhere = Locks::open("sqlite:/proc/nowhere/solocron.db");
    let Err(LockError::Unavailable(why)) = nowhere else { panic!("{nowhere:?}") };
    assert!(why.contains("/proc/nowhere"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cannot_be_found_is_named_in_bounded_time() {
    let port = free_port();
    for address in [format!("redis://127.0.0.1:{port}/0"), "redis://nowhere.invalid/0".to_owned()] {
        let locks = Locks::open(&address).unwrap();
        let (took, answer) = timed(locks.lock("order/1").try_acquire()).await;
        let Err(LockError::Unavailable(why)) = answer else { panic!("{answer:?}") };
        assert!(why.contains(address.split(['/', ':']).nth(3).unwrap()), "{why}");
        assert!(took < Duration::from_secs(1) + SLACK, "{took:?}");
        let (took, answer) = timed(locks.lock("order/1").acquire(Wait::at_most(SHORT))).await;
        assert!(matches!(answer, Err(LockError::Unavailable(_))), "{answer:?}");
        assert!(took >= SHORT && took < SHORT + SLACK, "{took:?}");
    }
}
