//! Reboots and wall clocks that are set: what the cluster's clock makes of them.

use std::time::Duration;

use solocron::clock::{BootInstant, Offset};
use solocron::store::sqlite::Kernel;
use solocron::store::{OpenState, Ownership, StoreError};

use super::*;

const DAY: i64 = 86_400_000_000;

/// A boot whose wall clock is `off` microseconds from the real one.
fn booted(boot_id: &str, off: i64) -> Options {
    let wall = Offset::from_micros(Offset::of_wall_clock().micros() + off);
    Options { kernel: Some(Kernel { boot_id: boot_id.to_owned(), wall }), ..patient() }
}

#[tokio::test]
async fn a_stepped_wall_clock_lapses_nothing_and_is_told() {
    for step in [DAY, -DAY] {
        let f = SqliteFixture::start().await;
        let before = open(&f.path(), booted("boot-1", 0)).unwrap();
        assert_eq!(before.inspect().await.unwrap(), []);
        let claim = claim_of(&due(&*before, "backup").await, LONG);
        win(&*before, &claimant("web-1"), &claim).await;

        let after = open(&f.path(), booted("boot-1", step)).unwrap();
        let (a, b, c) = (now(&*before).await, now(&*after).await, now(&*before).await);
        assert!(a <= b && b <= c, "all go by the clock in the file");
        assert_eq!(after.sweep(10).await.unwrap().open, []);
        let verdict = try_claim(&*after, &claimant("web-2"), &claim_of(&claim.slot, LONG)).await;
        assert!(holder(verdict).remaining > LONG / 2);
        let warnings = after.inspect().await.unwrap();
        let told = if step > 0 { "behind this machine's wall" } else { "ahead of this machine's" };
        assert!(warnings.iter().any(|warning| warning.0.contains(told)), "{warnings:?}");
    }
}

#[tokio::test]
async fn a_reboot_lapses_every_lease_at_once() {
    let f = SqliteFixture::start().await;
    let before = open(&f.path(), booted("boot-1", 0)).unwrap();
    let claim = claim_of(&due(&*before, "backup").await, LONG);
    let grant = win(&*before, &claimant("web-1"), &claim).await;
    before.close().await;

    let after = open(&f.path(), booted("boot-2", 1_000_000)).unwrap();
    let lapsed = after.sweep(10).await.unwrap().open;
    assert_eq!(lapsed.len(), 1);
    assert_eq!((lapsed[0].token, lapsed[0].state), (claim.token, OpenState::Lost));
    assert!(abandon(&*after, &claimant("web-2"), &abandonment(&claim)).await);

    let next = claim_of(&due(&*after, "other").await, LONG);
    assert!(win(&*after, &claimant("web-2"), &next).await.fence > grant.fence);
    let again = open(&f.path(), booted("boot-2", 1_000_000)).unwrap();
    assert_eq!(again.sweep(10).await.unwrap().open, [], "and only those of the boot before");
}

#[tokio::test]
async fn a_reboot_with_a_wall_clock_that_is_behind_does_not_turn_time_back() {
    let f = SqliteFixture::start().await;
    let before = open(&f.path(), booted("boot-1", 0)).unwrap();
    let claim = claim_of(&due(&*before, "backup").await, LONG);
    let grant = win(&*before, &claimant("web-1"), &claim).await;
    let seen = now(&*before).await;
    before.close().await;

    let after = open(&f.path(), booted("boot-2", -DAY)).unwrap();
    let first = now(&*after).await;
    assert!(first + Duration::from_secs(10) > seen, "not a day before {seen}, but {first}");
    let claimed = after.slot(&claim.slot).await.unwrap().record.unwrap().claimed_at;
    assert!(first >= claimed, "{first} is before {claimed}");
    let start = BootInstant::now();
    await_time(&*after, first).await;
    assert!(BootInstant::now().since(start) < Duration::from_secs(5), "and it goes on");
    let next = claim_of(&due(&*after, "other").await, LONG);
    assert!(win(&*after, &claimant("web-2"), &next).await.fence > grant.fence);
}

#[tokio::test]
async fn a_reboot_with_a_right_wall_clock_catches_up_with_it() {
    let f = SqliteFixture::start().await;
    let before = open(&f.path(), booted("boot-1", -DAY)).unwrap();
    let slow = now(&*before).await;
    before.close().await;
    let after = open(&f.path(), booted("boot-2", 0)).unwrap();
    let caught_up = now(&*after).await.since(slow);
    assert!(caught_up >= Duration::from_micros(DAY as u64), "{caught_up:?}");
}

#[tokio::test]
async fn a_file_that_two_kernels_share_is_refused_to_the_first() {
    let f = SqliteFixture::start().await;
    let here = open(&f.path(), booted("boot-1", 0)).unwrap();
    let claim = claim_of(&due(&*here, "backup").await, LONG);
    win(&*here, &claimant("web-1"), &claim).await;
    let there = open(&f.path(), booted("boot-2", 0)).unwrap();
    assert_eq!(there.sweep(10).await.unwrap().open.len(), 1);
    for _ in 0..3 {
        match here.renew(&[renewal(&claim, LONG)]).await {
            Err(StoreError::Unavailable(text)) => assert!(text.contains("share it"), "{text}"),
            wrong => panic!("{wrong:?}"),
        }
    }
    assert_eq!(renew(&*there, &renewal(&claim, LONG)).await, Ownership::Ours, "which goes on");
}
