//! A crowd of replicas on one store: what they ask of it, who gets the slots, and how late
//! they come, by the code by which a node decides when it tries a slot.
//!
//! The store is a queue that takes a fixed time for each claim, by what comes of it. Nodes
//! are a little out of step, as they are. `SOLOCRON_TEST_CROWD=1000x1000000` has so many
//! replicas and jobs (30 and 20,000 by default); every job is due once in four hours, half
//! of them at a full minute.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use solocron::claim::attempt::{AT_ONCE, Pace, Place, Turn, look_back, round};
use solocron::claim::peers::{Peer, Peers, SlotSeed};
use solocron::name::NodeName;
use solocron::slot::{Slot, SlotTime};

use crate::world::{START, ms};

/// In how many seconds each job is due once.
const PERIOD: usize = 4 * 3_600;

/// What claims cost the store, in seconds of a Redis' core (`tests/store/redis/speed.rs`):
/// one that is won, one that is lost, and a look at whether it is.
const WIN: f64 = 15e-6;
const LOSS: f64 = 4.2e-6;
const LOOK: f64 = 1.5e-6;

/// A round trip, and by how much a node may be out of step.
const ROUND_TRIP: Duration = ms(1);
const OUT_OF_STEP: f64 = 0.004;

/// The start window of every slot.
const WINDOW: Duration = Duration::from_secs(60);

/// How nodes come to a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// As they do.
    InTurn,
    /// All as soon as they may, as they would if they did not take turns.
    AllAtOnce,
}

/// Claims of a node for slots of one second.
struct Batch {
    node: usize,
    second: usize,
    what: What,
    /// Whether it looks first who has them.
    looks: bool,
}

enum What {
    /// These of them.
    Ahead(Vec<usize>),
    /// All of them.
    All,
    /// So many: those that the node had not asked for before.
    Behind(usize),
}

/// What came of all the slots.
#[derive(Default)]
struct Tale {
    slots: usize,
    /// Claims before and behind the instant.
    ahead: u64,
    behind: u64,
    /// The most that the store was behind, and how long it was busy, in seconds.
    backlog: f64,
    busy: f64,
    won: Vec<u64>,
    /// By how much the winner came to know it later than it was due, in seconds.
    late: Vec<f64>,
}

/// Replicas on one store.
struct Crowd {
    nodes: Vec<Peer>,
    peers: Vec<Peers>,
    /// By the second in which they are due.
    jobs: Vec<Vec<Slot>>,
    rng: fastrand::Rng,
}

impl Crowd {
    fn new(replicas: usize, jobs: usize) -> Self {
        let names: Vec<NodeName> =
            (0..replicas).map(|n| format!("web-{n}").parse().unwrap()).collect();
        let mut by_second = vec![Vec::new(); PERIOD];
        let mut rng = fastrand::Rng::with_seed(7);
        for job in 0..jobs {
            // Every other at a full minute, as people write it.
            let second = rng.usize(..PERIOD);
            let second = if job % 2 == 0 { second } else { second / 60 * 60 };
            let at = SlotTime::from_unix_seconds(START + second as i64);
            by_second[second].push(Slot::scheduled(format!("job-{job}").parse().unwrap(), at));
        }
        Self {
            peers: names.iter().cloned().map(Peers::alone).collect(),
            nodes: names.into_iter().map(Peer::new).collect(),
            jobs: by_second,
            rng,
        }
    }

    /// A period, in which the nodes for which `is_gone` have vanished without a word.
    fn live(&mut self, manner: Manner, is_gone: impl Fn(usize) -> bool) -> Tale {
        let mut tale = Tale { won: vec![0; self.nodes.len()], ..Tale::default() };
        let here: Vec<_> = (0..self.nodes.len()).filter(|&node| !is_gone(node)).collect();
        let mut coming: BTreeMap<(i64, usize, usize), Batch> = BTreeMap::new();
        let mut winners: Vec<Vec<Option<usize>>> =
            self.jobs.iter().map(|slots| vec![None; slots.len()]).collect();
        let mut free = f64::NEG_INFINITY;
        for second in 0..PERIOD + 60 {
            if self.jobs.get(second).is_some_and(|slots| !slots.is_empty()) {
                self.expect(second, manner, &here, &mut coming);
            }
            // Nobody comes further ahead of the next.
            let until = micros(second as f64 + 0.45);
            while let Some(first) = coming.first_entry().filter(|first| first.key().0 < until) {
                let arrives = first.key().0 as f64 / 1e6;
                let batch = first.remove();
                tale.backlog = tale.backlog.max(free - arrives);
                free = self.claim(batch, free.max(arrives), &mut winners, &mut tale);
            }
        }
        tale.slots = winners.iter().map(Vec::len).sum();
        assert!(coming.is_empty() && winners.iter().flatten().all(Option::is_some));
        tale.late.sort_by(f64::total_cmp);
        tale
    }

    /// When the nodes that are here will claim the slots of a second.
    fn expect(
        &mut self,
        second: usize,
        manner: Manner,
        here: &[usize],
        coming: &mut BTreeMap<(i64, usize, usize), Batch>,
    ) {
        let (due, of, count) = (second as f64, self.nodes.len(), self.jobs[second].len());
        let pace = Pace { round_trip: ROUND_TRIP, max_clock_skew: Duration::from_secs(5) };
        let mut turns: Vec<[Vec<usize>; AT_ONCE]> = vec![Default::default(); of];
        if manner == Manner::InTurn {
            for (number, slot) in self.jobs[second].iter().enumerate() {
                for (before, node) in self.first(slot).into_iter().enumerate() {
                    turns[node][before].push(number);
                }
            }
        }
        let at = SlotTime::from_unix_seconds(START + second as i64).cluster_time();
        for &node in here {
            let mut put = |arrives: f64, before: usize, what| {
                let key = (micros(arrives), node, second * (AT_ONCE + 1) + before);
                let looks = manner == Manner::InTurn && pace.looks_first(Place { before, of });
                coming.insert(key, Batch { node, second, what, looks });
            };
            let mut asked = 0;
            for (before, slots) in turns[node].iter_mut().enumerate() {
                let all = manner == Manner::AllAtOnce && before == 0;
                if slots.is_empty() && !all {
                    continue;
                }
                let Turn::Ahead(ahead) = pace.turn(Place { before, of }) else { continue };
                let ahead = ahead.as_secs_f64() - ROUND_TRIP.as_secs_f64() / 2.0;
                let what = if all { What::All } else { What::Ahead(std::mem::take(slots)) };
                asked += if let What::Ahead(slots) = &what { slots.len() } else { count };
                put(due - ahead + self.rng.f64() * OUT_OF_STEP, before, what);
            }
            if asked < count {
                let round = round(of);
                let looks = look_back(at, WINDOW, round, self.peers[node].phase(round));
                let looks = due + looks.since(at).as_secs_f64();
                put(looks, AT_ONCE, What::Behind(count - asked));
            }
        }
    }

    /// A batch comes to its turn in the store at `begin`; when that is done with it.
    fn claim(
        &self,
        Batch { node, second, what, looks }: Batch,
        begin: f64,
        winners: &mut [Vec<Option<usize>>],
        tale: &mut Tale,
    ) -> f64 {
        let winners = &mut winners[second];
        let (count, wanted, total) = match what {
            What::Ahead(slots) => (slots.len(), Some(slots), &mut tale.ahead),
            What::All => (winners.len(), None, &mut tale.ahead),
            What::Behind(count) => (count, None, &mut tale.behind),
        };
        *total += count as u64;
        let is_free = |winner: &Option<usize>| usize::from(winner.is_none());
        let wins: usize = match &wanted {
            Some(slots) => slots.iter().map(|&slot| is_free(&winners[slot])).sum(),
            None => winners.iter().map(is_free).sum(),
        };
        let lost = if looks { count as f64 * LOOK } else { (count - wins) as f64 * LOSS };
        let took = lost + wins as f64 * WIN;
        tale.busy += took;
        let end = begin + took;
        let late = (end + ROUND_TRIP.as_secs_f64() / 2.0 - second as f64).max(0.0);
        let mut win = |winner: &mut Option<usize>| {
            if winner.is_none() {
                *winner = Some(node);
                tale.won[node] += 1;
                tale.late.push(late);
            }
        };
        match wanted {
            Some(slots) => slots.into_iter().for_each(|slot| win(&mut winners[slot])),
            None if wins == 0 => {}
            None => winners.iter_mut().for_each(win),
        }
        end
    }

    /// The nodes that try a slot ahead, in their order.
    fn first(&self, slot: &Slot) -> Vec<usize> {
        let seed = SlotSeed::of(slot);
        let mut first = Vec::with_capacity(AT_ONCE + 1);
        for (node, peer) in self.nodes.iter().enumerate() {
            let number = peer.number(seed);
            let place = first.iter().position(|&(other, _)| other < number).unwrap_or(first.len());
            if place < AT_ONCE {
                first.insert(place, (number, node));
                first.truncate(AT_ONCE);
            }
        }
        first.into_iter().map(|(_, node)| node).collect()
    }
}

fn micros(seconds: f64) -> i64 {
    (seconds * 1e6) as i64
}

impl Tale {
    fn late(&self, share: f64) -> f64 {
        self.late[((self.late.len() - 1) as f64 * share) as usize] * 1000.0
    }

    fn largest_share(&self) -> f64 {
        *self.won.iter().max().unwrap() as f64 / self.slots as f64
    }

    /// How busy the store was.
    fn load(&self) -> f64 {
        self.busy / PERIOD as f64
    }
}

impl fmt::Display for Tale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = |claims: u64| claims as f64 / self.slots as f64;
        write!(
            f,
            "{:.1} claims ahead and {:.1} behind for each of {} slots; the store is busy for \
             {:.1} % of the time and {:.0} ms behind at most; known after the instant: median \
             {:.0} ms, 99 % {:.0} ms, longest {:.0} ms; largest share {:.4}",
            each(self.ahead),
            each(self.behind),
            self.slots,
            self.load() * 100.0,
            self.backlog * 1000.0,
            self.late(0.5),
            self.late(0.99),
            self.late(1.0),
            self.largest_share(),
        )
    }
}

fn size() -> (usize, usize) {
    let text = std::env::var("SOLOCRON_TEST_CROWD").unwrap_or_else(|_| "30x20000".to_owned());
    let (replicas, jobs) = text.split_once('x').expect("REPLICASxJOBS");
    (replicas.parse().unwrap(), jobs.parse().unwrap())
}

#[test]
fn a_crowd_asks_three_times_ahead_of_a_slot_and_shares_evenly_also_when_a_third_is_gone() {
    let (replicas, jobs) = size();
    let mut crowd = Crowd::new(replicas, jobs);

    let in_turn = crowd.live(Manner::InTurn, |_| false);
    println!("{replicas} replicas in turn: {in_turn}");
    assert_eq!((in_turn.slots, in_turn.late.len()), (jobs, jobs), "each is won once");
    assert_eq!(in_turn.ahead, (jobs * AT_ONCE) as u64);
    assert_eq!(in_turn.behind, (jobs * (replicas - AT_ONCE)) as u64);
    assert_eq!(in_turn.late(1.0), 0.0, "{in_turn}");
    let even = jobs as f64 / replicas as f64;
    let most = (even + 6.0 * even.sqrt()) / jobs as f64;
    assert!(in_turn.largest_share() < most, "{in_turn}");

    let all_at_once = crowd.live(Manner::AllAtOnce, |_| false);
    println!("{replicas} replicas all at once: {all_at_once}");
    assert_eq!(all_at_once.ahead, (jobs * replicas) as u64);
    assert!(all_at_once.backlog > in_turn.backlog * 3.0, "{all_at_once}");

    // They have vanished, and the others do not know yet.
    let gone = |node: usize| node % 10 < 3;
    let vanished = crowd.live(Manner::InTurn, gone);
    println!("30 % of them gone: {vanished}");
    assert_eq!(vanished.late.len(), jobs, "each is won once");
    let late = vanished.late.iter().filter(|late| **late > 0.0).count();
    // All three are gone for 27 of a thousand.
    assert!((late as f64 / jobs as f64 - 0.027).abs() < 0.01, "{late} of {jobs}");
    assert!(vanished.late(1.0) <= 1_250.0, "{vanished}");
}

#[test]
fn the_order_of_a_crowd_is_the_one_that_each_node_sees() {
    let crowd = Crowd::new(12, 400);
    let names: Vec<NodeName> = (0..12).map(|n| format!("web-{n}").parse().unwrap()).collect();
    for slot in crowd.jobs.iter().flatten() {
        let mut first = vec![0; AT_ONCE];
        for (node, name) in names.iter().enumerate() {
            let mut peers = Peers::alone(name.clone());
            peers.are(names.iter().cloned());
            let before = peers.place(slot, |_| true).before;
            if before < AT_ONCE {
                first[before] = node;
            }
        }
        assert_eq!(crowd.first(slot), first, "{slot}");
    }
}
