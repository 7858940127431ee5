//! Files of before, and reboots.

use rusqlite::Connection;
use solocron::clock::Offset;
use solocron::lock::{LockError, Locks};
use solocron::store::sqlite::{Kernel, Options, SqliteStore};

use super::File;
use crate::contract::*;

fn booted(f: &File, boot_id: &str) -> Locks {
    let kernel = Kernel { boot_id: boot_id.to_owned(), wall: Offset::of_wall_clock() };
    let options = Options { bound: PATIENT, kernel: Some(kernel) };
    Locks::new(std::sync::Arc::new(SqliteStore::open(&f.path(), &cluster(), options).unwrap()))
}

/// What the file has but what only version 2 has.
fn dump(shell: &Connection, table: &str) -> Vec<String> {
    let mut rows = shell.prepare(&format!("SELECT * FROM {table}")).unwrap();
    let columns = rows.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        let value = |column| row.get_ref(column).map(|value| format!("{value:?}"));
        (0..columns).map(value).collect::<rusqlite::Result<Vec<_>>>().map(|all| all.join(" "))
    };
    rows.query_map([], row).unwrap().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_version_1_gets_locks_and_keeps_what_it_has() {
    let f = File::start();
    f.locks().close().await;
    let shell = f.shell();
    let version = |shell: &Connection| -> i32 {
        shell.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    };
    let newest = version(&shell);
    // What this version has made, without what came since, is what version 1 made.
    shell
        .execute_batch(
            "DROP VIEW show_locks; DROP TABLE locks; DROP TABLE revoked; DROP TABLE outputs;
             ALTER TABLE nodes DROP COLUMN running; ALTER TABLE nodes DROP COLUMN skew_ms;
             INSERT INTO pauses (cluster, job, pauses) VALUES ('prod', 'backup', '1-2 3-');
             INSERT INTO published (cluster, digest, jobs, keep_until)
                 VALUES ('prod', 'abc', 'backup 1f', 9000000000000000000);
             UPDATE clock SET last_fence = 9000000000000001;
             PRAGMA user_version = 1;",
        )
        .unwrap();
    let before: Vec<_> = ["pauses", "published"].map(|table| dump(&shell, table)).into();
    assert_eq!(version(&shell), 1);

    let (first, second) = (f.locks(), f.locks());
    let guard = take(&first, "order/1").await;
    assert_eq!(guard.fence().get(), 9_000_000_000_000_002, "fences go on");
    contended(second.lock("order/1").try_acquire().await);
    assert_eq!(version(&shell), newest);
    let after: Vec<_> = ["pauses", "published"].map(|table| dump(&shell, table)).into();
    assert_eq!(before, after);
    guard.release().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_kernels_do_not_share_locks() {
    let f = File::start();
    let here = booted(&f, "boot-1");
    let guard = take(&here, "order/1").await;
    let there = booted(&f, "boot-2");
    // Nothing of what was held before may be taken early, and the first is told.
    contended(there.lock("order/1").try_acquire().await);
    let answer = guard.extend(LONG).await;
    let Err(LockError::Unavailable(why)) = answer else { panic!("{answer:?}") };
    assert!(why.contains("share it"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_see_locks_with_the_shell() {
    let f = File::start();
    let locks = f.locks();
    let request = locks.lock("order/1").ttl(LONG).metadata("web-1");
    let _guard = request.try_acquire().await.unwrap();
    let shown = dump(&f.shell(), "show_locks");
    assert_eq!(shown.len(), 1);
    assert!(!shown[0].is_empty());
    let sql = "SELECT name, metadata, released FROM show_locks";
    let row = f.shell().query_row(sql, [], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, bool>(2)?))
    });
    assert_eq!(row.unwrap(), ("order/1".to_owned(), "web-1".to_owned(), false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lapsed_is_removed_by_whoever_comes_next() {
    let f = File::start();
    let locks = f.locks();
    for number in 0..20 {
        let request = locks.lock(format!("order/{number}")).ttl(SHORT);
        let guard = request.renew(false).try_acquire().await.unwrap();
        // As if its process had died.
        std::mem::forget(guard);
    }
    clean(&f).await;
    take(&locks, "other").await.release().await.unwrap();
    let left: i64 =
        f.shell().query_row("SELECT count(*) FROM locks", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}
