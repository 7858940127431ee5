//! Which models are checked, and what comes of it.

use stateright::{Checker, Model, Path};

use solocron::clock::BootInstant;

use crate::laws::LAWS;
use crate::scene::{Policies, SLOTS, Scene};
use crate::world::{Action, Bounds, Cluster, Fault, State};

/// A model that holds, within bounds of its own for the short and for the full check.
struct Mode {
    name: &'static str,
    policies: Policies,
    faults: &'static [Fault],
    short: Bounds,
    full: Bounds,
    /// What it reaches within the short bounds already.
    reaches: &'static [&'static str],
}

/// All that is promised to be survived.
const EVERYTHING: &[Fault] = &[
    Fault::Slow,
    Fault::Twice,
    Fault::Crash,
    Fault::Freeze,
    Fault::Drain,
    Fault::Outage,
    Fault::Skew,
];

const SHORT: Bounds = Bounds { nodes: 2, budget: 1, calm: 4, horizon: 20, longest: 3 };
const LONG_RUNS: Bounds = Bounds { calm: 6, horizon: 26, longest: 5, ..SHORT };
const FULL: Bounds = Bounds { nodes: 3, budget: 1, calm: 6, horizon: 26, longest: 5 };

const fn job(overlap: &'static str, on_crash: &'static str, catch_up: &'static str) -> Policies {
    Policies { overlap, on_crash, catch_up, attempts: 1 }
}

const MODES: &[Mode] = &[
    Mode {
        name: "skip, takeover",
        policies: job("skip", "takeover", "none"),
        faults: EVERYTHING,
        short: LONG_RUNS,
        full: FULL,
        reaches: &[
            "taken over",
            "missed",
            "handed over",
            "outlives its first lease",
            "a late copy finds it done",
        ],
    },
    Mode {
        name: "wait, takeover, catch up all",
        policies: job("wait", "takeover", "all"),
        faults: EVERYTHING,
        short: SHORT,
        full: FULL,
        reaches: &["taken over", "caught up", "waits", "handed over"],
    },
    Mode {
        name: "replace, takeover, catch up the latest",
        policies: job("replace", "takeover", "latest"),
        faults: EVERYTHING,
        short: SHORT,
        full: FULL,
        reaches: &["taken over", "missed", "replaced", "cancelled"],
    },
    Mode {
        name: "allow, no takeover, two tries",
        policies: Policies { attempts: 2, ..job("allow", "skip", "none") },
        faults: EVERYTHING,
        // Two slots that do nothing to each other: every order of both is another history.
        short: Bounds { horizon: 16, longest: 1, ..SHORT },
        full: FULL,
        reaches: &["abandoned", "missed", "together", "tried again"],
    },
];

impl Mode {
    fn cluster(&self, bounds: Bounds) -> Cluster {
        Cluster {
            scene: Scene::new(self.policies),
            bounds,
            faults: self.faults,
            broken: None,
            reaches: self.reaches,
        }
    }
}

/// Each model, with much that goes wrong.
pub(crate) fn clusters() -> impl Iterator<Item = Cluster> {
    MODES.iter().map(|mode| mode.cluster(Bounds { budget: 4, ..mode.full }))
}

fn is_full() -> bool {
    std::env::var("SOLOCRON_TEST_MODEL").is_ok_and(|mode| mode == "full")
}

/// What was explored.
struct Figures {
    states: usize,
    unique: usize,
    depth: usize,
    seconds: f64,
}

fn hold(mode: &Mode, bounds: Bounds) -> Figures {
    let cluster = mode.cluster(bounds);
    let begun = BootInstant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checker =
        cluster.checker().threads(threads).symmetry_fn(State::representative).spawn_dfs().join();
    let figures = Figures {
        states: checker.state_count(),
        unique: checker.unique_state_count(),
        depth: checker.max_depth(),
        seconds: BootInstant::now().since(begun).as_secs_f64(),
    };
    println!(
        "| {} | {} | {} | {} | {} | {} | {:.1} | {} |",
        mode.name,
        bounds.nodes,
        bounds.budget,
        figures.states,
        figures.unique,
        figures.depth,
        figures.seconds,
        LAWS.len()
    );
    for law in LAWS {
        if let Some(path) = checker.discovery(law) {
            tell(&path);
            panic!("{}: it is not so that {law}", mode.name);
        }
    }
    for &name in mode.reaches {
        assert!(checker.discovery(name).is_some(), "{}: never {name}", mode.name);
    }
    figures
}

pub(crate) fn tell(path: &Path<State, Action>) {
    for (state, action) in path.clone().into_vec() {
        match action {
            Some(action) => println!("{:>3}  {action:?}", state.now),
            None => println!("{:>3}  {}", state.now, told(&state)),
        }
    }
}

/// What runs and what is recorded.
fn told(state: &State) -> String {
    let live: Vec<_> = (0..SLOTS).map(|slot| state.live(slot)).collect();
    let ends: Vec<_> = state.held.ledger.iter().map(|told| (told.ends, told.end)).collect();
    format!("live runs of each slot: {live:?}; ends of each: {ends:?}")
}

#[test]
fn whatever_goes_wrong_the_guarantee_holds() {
    println!("| job | nodes | faults | states | unique states | depth | seconds | properties |");
    println!("|---|---|---|---|---|---|---|---|");
    for mode in MODES {
        if is_full() {
            hold(mode, mode.full);
            // What one thing that goes wrong leaves behind, another meets; and what two may
            // hold up comes to its end later.
            let horizon = mode.short.horizon + 10;
            hold(mode, Bounds { budget: 2, horizon, ..mode.short });
        } else {
            hold(mode, mode.short);
        }
    }
}
