//! Several processes on one file, also when one is killed in the middle.

use std::collections::HashSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use solocron::claim::Verdict;
use solocron::clock::BootInstant;
use solocron::outcome::Outcome;
use solocron::slot::{Slot, SlotTime};

use super::*;

const FILE: &str = "SOLOCRON_TEST_FILE";
const START: &str = "SOLOCRON_TEST_START";
const SLOTS: i64 = 150;

/// Not a case: what a child process does, claiming every slot and printing those it won.
#[tokio::test]
#[ignore = "started by the other tests of this file"]
async fn child() {
    let Ok(path) = std::env::var(FILE) else { return };
    let start: i64 = std::env::var(START).unwrap().parse().unwrap();
    let store = open(Path::new(&path), patient()).unwrap();
    let who = claimant(&format!("pid-{}", std::process::id()));
    for i in 0..SLOTS {
        let slot = Slot::scheduled(job("shared"), SlotTime::from_unix_seconds(start + i));
        let claim = claim_of(&slot, LONG);
        if let Verdict::Won(grant) = try_claim(&*store, &who, &claim).await {
            println!("won {i} {}", grant.fence);
            let end = completion(&claim, grant, Outcome::Succeeded, now(&*store).await);
            complete(&*store, &who, &end).await;
        }
    }
}

fn spawn(f: &SqliteFixture, start: i64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sqlite::processes::child", "--ignored", "--nocapture"])
        .env(FILE, f.path())
        .env(START, start.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The slots and fences that a child printed.
fn won(child: Child) -> Vec<(i64, u64)> {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.split_once("won ")?.1.split_once(' '))
        .map(|(slot, fence)| (slot.parse().unwrap(), fence.parse().unwrap()))
        .collect()
}

#[tokio::test]
async fn each_slot_is_won_by_one_of_several_processes() {
    let f = SqliteFixture::start().await;
    // The children make the file, all at once.
    let start = wall_seconds() - 1000;
    let children: Vec<Child> = (0..4).map(|_| spawn(&f, start)).collect();
    let wins: Vec<_> = children.into_iter().flat_map(won).collect();
    let slots: HashSet<i64> = wins.iter().map(|(slot, _)| *slot).collect();
    let fences: HashSet<u64> = wins.iter().map(|(_, fence)| *fence).collect();
    assert_eq!(wins.len(), SLOTS as usize, "each once");
    assert_eq!((slots.len(), fences.len()), (SLOTS as usize, SLOTS as usize));
    assert_eq!(ledger(&*f.store().await).await.len(), SLOTS as usize);
}

#[tokio::test]
async fn a_process_killed_while_it_writes_leaves_the_file_sound() {
    let f = SqliteFixture::start().await;
    let store = f.store().await;
    let start = slot_in(&*store, "shared", -1000).await.at.unix_seconds();
    for round in 0..3 {
        let mut child = spawn(&f, start + round * SLOTS);
        let before = ledger(&*store).await.len();
        eventually("the child writes", async || ledger(&*store).await.len() > before + 5).await;
        child.kill().unwrap();
        won(child);
        let check: String =
            f.shell().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
        let next = due(&*store, &format!("after-{round}")).await;
        win(&*store, &claimant("web-1"), &claim_of(&next, LONG)).await;
    }
}

#[tokio::test]
async fn a_stopped_process_delays_the_others_no_longer_than_their_bound() {
    let f = SqliteFixture::start().await;
    let store = f.store().await;
    let start = slot_in(&*store, "shared", -1000).await.at.unix_seconds();
    let mut child = spawn(&f, start);
    eventually("the child writes", async || ledger(&*store).await.len() > 5).await;
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    let stopped = BootInstant::now();
    let hasty =
        open(&f.path(), Options { bound: Duration::from_millis(300), ..Options::default() });
    let outcome = match hasty {
        Ok(hasty) => hasty.leave(&node("web-1"), claimant("web-1").boot).await,
        Err(error) => Err(error),
    };
    let waited = BootInstant::now().since(stopped);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).unwrap();
    assert!(waited < Duration::from_secs(5), "{waited:?}");
    if let Err(error) = outcome {
        assert!(matches!(error, solocron::store::StoreError::Unavailable(_)), "{error}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    store.leave(&node("web-1"), claimant("web-1").boot).await.unwrap();
}

fn wall_seconds() -> i64 {
    solocron::clock::wall_now().as_second()
}
