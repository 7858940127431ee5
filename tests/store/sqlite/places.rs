//! Where the file may lie, and what is said of places where it may not.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use solocron::name::ClusterName;
use solocron::outcome::Outcome;
use solocron::store::StoreError;
use solocron::store::sqlite::SqliteStore;

use super::*;

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_missing_directory_is_made_and_all_is_private() {
    let dir = Folder::new();
    let state = dir.path().join("state").join("solocron");
    let path = state.join("solocron.db");
    let store = open(&path, patient()).unwrap();
    run(&*store, &claimant("web-1"), &due(&*store, "backup").await, Outcome::Succeeded).await;
    assert_eq!(mode(&state), 0o700);
    for name in ["solocron.db", "solocron.db-wal", "solocron.db-shm"] {
        assert_eq!(mode(&state.join(name)), 0o600, "{name}");
    }
    assert_eq!(store.describe(), format!("sqlite:{}", path.display()));
}

#[tokio::test]
async fn a_name_that_means_something_to_sqlite_is_just_a_name() {
    let dir = Folder::new();
    for name in [":memory:", "file:x?mode=memory", "with space", "ünï"] {
        let path = dir.path().join(name);
        let store = open(&path, patient()).unwrap();
        store.time().await.unwrap();
        assert!(path.is_file(), "{name}");
    }
}

#[test]
fn a_directory_in_the_way_is_refused_in_words() {
    let dir = Folder::new();
    let text = refusal(dir.path()).to_string();
    let shown = dir.path().display();
    assert_eq!(
        text,
        format!(
            "the store is not available: {shown} is a directory; name a file, such as \
             {shown}/solocron.db"
        )
    );
}

#[test]
fn a_file_where_a_directory_should_be_is_refused_in_words() {
    let dir = Folder::new();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let text = refusal(&file.join("solocron.db")).to_string();
    assert!(text.contains("cannot be created") && text.contains("file"), "{text}");
}

#[test]
fn a_place_that_cannot_be_written_is_refused_in_words() {
    // Not even root can make a file there.
    let text = refusal(Path::new("/proc/self/solocron.db")).to_string();
    assert!(text.contains("/proc/self/solocron.db cannot be created"), "{text}");
    let text = refusal(Path::new("/dev/full")).to_string();
    assert!(text.contains("/dev/full is not a regular file"), "{text}");
}

#[test]
fn what_is_not_a_database_is_refused_and_left_alone() {
    let dir = Folder::new();
    let path = dir.path().join("notes.txt");
    let notes = "buy milk\n".repeat(1000);
    std::fs::write(&path, &notes).unwrap();
    let error = refusal(&path);
    assert!(matches!(&error, StoreError::Corrupt(text) if text.contains("not a SQLite database")));
    assert!(error.to_string().contains("notes.txt"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), notes);
}

#[test]
fn the_database_of_another_program_is_refused_and_left_alone() {
    let dir = Folder::new();
    let path = dir.path().join("places.sqlite");
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE bookmarks (url TEXT)").unwrap();
    let text = refusal(&path).to_string();
    assert!(text.contains("the database of another program"), "{text}");
    let tables: i64 =
        other.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 1);
    let journal: String = other.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(journal, "delete");
}

#[tokio::test]
async fn a_newer_schema_is_refused_in_words() {
    let f = SqliteFixture::start().await;
    f.store().await.close().await;
    f.shell().pragma_update(None, "user_version", 99).unwrap();
    let text = refusal(&f.path()).to_string();
    assert!(text.contains("written by a newer solocron"), "{text}");
    assert!(text.contains("version 99"), "{text}");
}

#[tokio::test]
async fn a_file_of_an_older_version_gets_what_it_lacks() {
    let f = SqliteFixture::start().await;
    f.store().await.close().await;
    let older = f.shell();
    older.execute_batch("DROP TABLE outputs; PRAGMA user_version = 3;").unwrap();
    drop(older);
    let store = f.store().await;
    let run = claim_of(&due(&*store, "backup").await, LONG).token.run_id(1);
    assert_eq!(store.watch_output(run, KEEP).await, Ok(None));
    assert_eq!(store.watched_outputs().await, Ok(vec![run]));
}

#[tokio::test]
async fn clusters_in_one_file_do_not_see_each_other() {
    let f = SqliteFixture::start().await;
    let a = f.store().await;
    let other = ClusterName::new("other").unwrap();
    let b = SqliteStore::open(&f.path(), &other, patient()).unwrap();
    let slot = due(&*a, "backup").await;
    let (_, first) = run(&*a, &claimant("web-1"), &slot, Outcome::HandedOver).await;
    assert_eq!(b.sweep(10).await.unwrap().open, []);
    assert_eq!(b.slot(&slot).await.unwrap().record, None);
    let second = win(&b, &claimant("web-1"), &claim_of(&slot, LONG)).await;
    assert_eq!(second.attempt, 1);
    assert!(second.fence > first.fence, "fences grow over all of the file");
    assert_eq!(ledger(&b).await, []);
    assert_eq!(b.recorded(&slot.job, &[slot.at]).await, Ok(vec![true]));
}

#[tokio::test]
async fn the_file_reads_well_in_the_shell() {
    let f = SqliteFixture::start().await;
    let store = f.store().await;
    let (claim, _) =
        run(&*store, &claimant("web-1"), &due(&*store, "backup").await, Outcome::Failed).await;
    let shell = f.shell();
    let row: (String, String, String) = shell
        .query_row("SELECT slot, node, outcome FROM show_history", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    let at = claim.slot.at.to_string().replace('T', " ").replace('Z', "");
    assert_eq!(row, (at.clone(), "web-1".to_owned(), "failed".to_owned()));
    let slot: String =
        shell.query_row("SELECT slot FROM show_slots", [], |row| row.get(0)).unwrap();
    assert_eq!(slot, at);
}
