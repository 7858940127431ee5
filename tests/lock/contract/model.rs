//! Random histories, held against a model that is a page long.

use std::collections::BTreeMap;
use std::time::Duration;

use solocron::lock::{Fence, Holder, LockName};
use solocron::store::locks::{LockStore, Release, Standing, Take, Taken};

use super::*;

const NAMES: [&str; 3] = ["{order}a", "{order}b", "{order}c"];
const HISTORIES: u64 = 20;
const DEEDS: u64 = 25;
/// In a history no lock lapses by itself, and one second is told from the next.
const TTLS: [Duration; 3] =
    [Duration::from_secs(1000), Duration::from_secs(2000), Duration::from_secs(3000)];
const TOLERATED: Duration = Duration::from_secs(500);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    /// None when it was released, and is kept.
    by: Option<usize>,
    fence: Fence,
    ttl: Duration,
}

/// What a store of locks is, without its troubles.
#[derive(Debug, Default)]
struct Model {
    held: BTreeMap<LockName, Held>,
    last: Option<Fence>,
    revoked: [bool; 3],
}

#[derive(Debug, Clone)]
enum Deed {
    Take { names: Vec<LockName>, by: usize, ttl: Duration },
    Extend { names: Vec<LockName>, by: usize, ttl: Duration },
    Release { names: Vec<LockName>, by: usize, hold: Duration, revoke: bool },
    Lapse { name: LockName },
    Ask { name: LockName },
}

fn any_deed(random: &mut fastrand::Rng) -> Deed {
    let mut names: Vec<_> = NAMES.iter().map(|name| lock_name(name)).collect();
    names.retain(|_| random.bool());
    let name = lock_name(NAMES[random.usize(0..3)]);
    if names.is_empty() {
        names.push(name.clone());
    }
    let (by, ttl) = (random.usize(0..3), TTLS[random.usize(0..3)]);
    match random.u8(0..10) {
        0..4 => Deed::Take { names, by, ttl },
        4..6 => Deed::Extend { names, by, ttl },
        6..8 => {
            let hold = if random.u8(0..4) == 0 { ttl } else { Duration::ZERO };
            Deed::Release { names, by, hold, revoke: random.u8(0..12) == 0 }
        }
        8 => Deed::Lapse { name },
        _ => Deed::Ask { name },
    }
}

impl Model {
    /// Whether `holder` is who has `name`.
    #[track_caller]
    fn check(&self, name: &LockName, holder: &Holder) {
        let held = self.held.get(name).unwrap_or_else(|| panic!("nobody holds {name}"));
        assert_eq!((holder.fence, holder.released), (held.fence, held.by.is_none()), "{name}");
        let age = held.ttl.checked_sub(holder.remaining).expect("no longer than its TTL");
        assert!(age < TOLERATED, "{holder:?} {held:?}");
        assert_eq!(holder.metadata, "somebody");
    }

    fn is_of(&self, name: &LockName, by: usize) -> bool {
        self.held.get(name).is_some_and(|held| held.by == Some(by))
    }

    fn take(&mut self, names: &[LockName], by: usize, ttl: Duration, taken: &Taken) {
        if self.revoked[by] {
            return assert_eq!(*taken, Taken::Revoked);
        }
        let foreign = |name: &&LockName| self.held.contains_key(*name) && !self.is_of(name, by);
        if let Some(expected) = names.iter().find(foreign) {
            let Taken::Held { name, holder, since: None } = taken else { panic!("{taken:?}") };
            assert_eq!(name, expected, "the first that is held");
            return self.check(name, holder);
        }
        let Taken::Granted(fence) = taken else { panic!("{taken:?}") };
        if names.iter().all(|name| self.is_of(name, by)) {
            let kept = names.iter().map(|name| self.held[name].fence).max();
            assert_eq!(Some(*fence), kept, "the same token again has the same fence");
        } else {
            assert!(Some(*fence) > self.last, "a new holder has a larger fence");
        }
        self.last = self.last.max(Some(*fence));
        let held = Held { by: Some(by), fence: *fence, ttl };
        self.held.extend(names.iter().map(|name| (name.clone(), held)));
    }

    /// What is said of each name to who holds it or not; `write` is what becomes of its own.
    fn by_token(
        &mut self,
        names: &[LockName],
        by: usize,
        told: &[Standing],
        write: impl Fn(Held) -> Option<Held>,
    ) {
        assert_eq!(names.len(), told.len());
        for (name, standing) in names.iter().zip(told) {
            match standing {
                Standing::Ours => {
                    assert!(self.is_of(name, by), "{name}");
                    let held = self.held.remove(name).and_then(&write);
                    self.held.extend(held.map(|held| (name.clone(), held)));
                }
                Standing::HeldBy(holder) => {
                    assert!(!self.is_of(name, by), "{name}");
                    self.check(name, holder);
                }
                Standing::Free => assert!(!self.held.contains_key(name), "{name}"),
            }
        }
    }
}

/// Does it to the store and to the model, and holds the one's answer against the other.
async fn both(
    f: &impl Fixture,
    store: &dyn LockStore,
    model: &mut Model,
    ids: &[Token; 3],
    deed: &Deed,
) {
    match deed {
        Deed::Take { names, by, ttl } => {
            let (names, by, ttl) = (names.clone(), *by, *ttl);
            let take = Take {
                names: names.clone().into(),
                token: ids[by],
                ttl,
                metadata: "somebody".into(),
                queue: None,
            };
            model.take(&names, by, ttl, &store.take(&take).await.unwrap());
        }
        Deed::Extend { names, by, ttl } => {
            let told = store.extend(names, ids[*by], *ttl).await.unwrap();
            model.by_token(names, *by, &told, |held| Some(Held { ttl: *ttl, ..held }));
        }
        Deed::Release { names, by, hold, revoke } => {
            let release = Release {
                names: names.clone().into(),
                token: ids[*by],
                hold: *hold,
                revoke_for: revoke.then_some(LONG),
            };
            let told = store.release(&release).await.unwrap();
            let kept = |held: Held| Held { by: None, ttl: *hold, ..held };
            model.by_token(names, *by, &told, |held| (!hold.is_zero()).then(|| kept(held)));
            model.revoked[*by] |= revoke;
        }
        Deed::Lapse { name } => {
            f.lapse(name.as_str());
            model.held.remove(name);
        }
        Deed::Ask { name } => match store.holder(name).await.unwrap() {
            Some(holder) => model.check(name, &holder),
            None => assert!(!model.held.contains_key(name), "{name}"),
        },
    }
}

pub(crate) async fn random_histories_are_answered_as_the_model_does(f: &impl Fixture) {
    let stores = [f.store(), f.store()];
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    for history in 0..HISTORIES {
        println!("history {history}");
        let mut random = fastrand::Rng::with_seed(seed.wrapping_add(history));
        let (mut model, ids) = (Model::default(), [Token::new(), Token::new(), Token::new()]);
        for number in 0..DEEDS {
            let deed = any_deed(&mut random);
            // Where it fails, this is what led there.
            println!("{number} {deed:?}");
            both(f, &*stores[random.usize(0..2)], &mut model, &ids, &deed).await;
            f.settle();
        }
        NAMES.iter().for_each(|name| f.lapse(name));
    }
}
