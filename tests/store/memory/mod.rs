//! The store in memory that simulations use: the contract, and what only it can do.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use solocron::outcome::Outcome;
use solocron::store::{Health, Store, StoreError};

use crate::contract::*;
use crate::harness::memory::{MemoryStore, Weather};

mod histories;

contract!(crate::memory::MemoryFixture);

pub(crate) struct MemoryFixture(MemoryStore);

impl Fixture for MemoryFixture {
    async fn start() -> Self {
        Self(MemoryStore::in_real_time())
    }

    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.0.handle())
    }
}

#[tokio::test]
async fn its_time_is_what_the_test_says() {
    let clock = Arc::new(AtomicI64::new(1_795_316_400_000_000));
    let store = MemoryStore::at(clock.clone());
    let claim = claim_of(&due(&store, "backup").await, LONG);
    win(&store, &claimant("web-1"), &claim).await;
    assert_eq!(open_slots(&store).await, []);
    clock.fetch_add(i64::try_from(LONG.as_micros()).unwrap(), Ordering::SeqCst);
    assert_eq!(open_slot(&store).await, claim.slot);
}

#[tokio::test]
async fn the_weather_of_a_handle_befalls_its_calls_alone() {
    let clock = Arc::new(AtomicI64::new(1_795_316_400_000_000));
    let (a, b) = (MemoryStore::at(clock), claimant("web-1"));
    let other = a.handle();
    let slots = [due(&a, "unavailable").await, due(&a, "lost").await, due(&a, "applied").await];
    let weathers = [Weather::Unavailable, Weather::RequestsLost, Weather::RepliesLost];
    for (slot, weather) in slots.iter().zip(weathers) {
        a.set_weather(weather);
        let error = a.claim(&b, &[claim_of(slot, LONG)]).await.unwrap_err();
        let known = matches!(error, StoreError::Unavailable(_));
        assert_eq!(known, weather == Weather::Unavailable, "{error}");
        assert!(matches!(*a.health().borrow(), Health::Down(_)));
        let applied = other.slot(slot).await.unwrap().record.is_some();
        assert_eq!(applied, weather == Weather::RepliesLost);
    }
    a.set_weather(Weather::Fair);
    run(&a, &b, &slots[0], Outcome::Succeeded).await;
    assert_eq!(*a.health().borrow(), Health::Up);
    assert_eq!(now(&a).await, now(&other).await);
}
