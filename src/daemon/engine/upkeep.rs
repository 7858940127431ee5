//! What recurs, and what keeps a node in step with the store and with the others:
//! beats, heartbeats, commands to all nodes, health and clocks.

use std::collections::{BTreeSet, HashSet};

use super::*;
use crate::control::Control;
use crate::log::events;
use crate::name::NodeName;
use crate::node::{BootId, Heartbeat, HeartbeatReply, KEPT};
use crate::store::Health;
use crate::ticker::beat::Duty;

/// What is known of the commands to the whole cluster.
#[derive(Debug, Default)]
pub(super) struct Commands {
    /// The last that was read; none before the first time.
    known: Option<Control>,
    reading: bool,
}

impl Commands {
    pub(super) fn is_reading(&self) -> bool {
        self.reading
    }
}

/// What is known of the other nodes.
#[derive(Debug, Default)]
pub(super) struct Others {
    beats: u64,
    pub(super) duplicates: HashSet<BootId>,
    /// Those that go by another table, as of the last heartbeat.
    differing: Vec<(NodeName, String)>,
    /// Those of which that was told.
    told: Vec<(NodeName, String)>,
}

impl Others {
    /// Whether all that are up go by the same table, as of the last heartbeat.
    pub(super) fn agree(&self) -> bool {
        self.differing.is_empty()
    }
}

impl Engine {
    pub(super) fn on_beat(&mut self, now: Now, actions: &mut Vec<Action>) {
        for duty in self.rota.take_due(now.boot) {
            match duty {
                Duty::Plan => self.plan(now),
                // One that came between the beats counts as well.
                Duty::Sweep if self.phase == Phase::Open => self.sweeps.want_next(now.boot),
                Duty::Sweep => self.sweep(now, actions),
                Duty::Heartbeat => actions.push(Action::Heartbeat(self.heartbeat(now))),
                Duty::CheckClock => actions.push(Action::CheckClock),
                Duty::Prune => {
                    self.cursors.wanted = true;
                    if self.phase == Phase::Open {
                        self.look_after_the_others(now);
                        actions.push(Action::PublishTable);
                    }
                    actions.push(Action::Prune);
                }
            }
        }
        self.ask_for_cursors(actions);
        self.settle_gaps(actions);
    }

    pub(super) fn plan(&mut self, now: Now) {
        if self.takes_slots() {
            let passed = self.queue.plan(&self.table, now.cluster(), now.cluster() + LOOKAHEAD);
            for job in passed {
                let job = Arc::clone(self.entry(job));
                self.notice_gap(&job, now, now.cluster());
            }
        }
    }

    pub(super) fn heartbeat(&self, now: Now) -> Heartbeat {
        Heartbeat {
            node: self.identity.node.clone(),
            boot: self.identity.boot,
            started_at: now.offset.cluster_time(self.identity.started),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            table: self.table.digest().to_string(),
            draining: self.is_draining(),
            running: u32::try_from(self.runs_in_progress()).ok(),
            skew_ms: self.wall_clock_ahead.map(|micros| micros / 1000),
            keep: self.settings.heartbeat * KEPT,
            heard_at: now.cluster(),
        }
    }

    pub(super) fn on_heartbeat_answered(
        &mut self,
        answer: StoreResult<HeartbeatReply>,
        actions: &mut Vec<Action>,
    ) {
        let Ok(reply) = answer else {
            // The others are to see that this node lives before they miss a second one.
            return self.rota.want(Duty::Heartbeat);
        };
        actions.push(Action::ReadNodes);
        self.others.beats += 1;
        // The first heartbeat replaces that of this node's last start, if any;
        // whoever is replaced later was alive at the same time.
        if let Some(other) = reply.replaced
            && other != self.identity.boot
            && self.others.beats > 1
            && self.others.duplicates.insert(other)
        {
            events::node_duplicate(other);
        }
        self.notice_drift(reply.differing, actions);
    }

    /// The nodes that slots are shared with: those that claim, by the same table.
    pub(super) fn on_nodes_read(&mut self, answer: StoreResult<Vec<Heartbeat>>) {
        let Ok(nodes) = answer else { return };
        let table = self.table.digest().to_string();
        let shares = |node: &Heartbeat| !node.draining && node.table == table;
        self.peers.are(nodes.into_iter().filter(shares).map(|node| node.node));
    }

    /// Nodes whose tables differ for longer than it takes to load one on all of them.
    fn notice_drift(&mut self, differing: Vec<(NodeName, String)>, actions: &mut Vec<Action>) {
        let others = &mut self.others;
        others.told.retain(|told| differing.contains(told));
        let news: Vec<_> = differing
            .iter()
            .filter(|other| others.differing.contains(other) && !others.told.contains(other))
            .cloned()
            .collect();
        others.differing = differing;
        if !news.is_empty() {
            others.told.extend(news.iter().cloned());
            actions.push(Action::ReportDrift(news));
        }
    }

    /// The version of the control state that the store says is the newest.
    pub(super) fn heed_version(&mut self, now: Now, version: u64, actions: &mut Vec<Action>) {
        let known = self.commands.known.as_ref().map(|control| control.version);
        if known != Some(version) && !self.commands.reading {
            self.commands.reading = true;
            actions.push(Action::ReadControl);
            self.hold_those_that_wait(now, actions);
        }
    }

    pub(super) fn on_control_read(
        &mut self,
        now: Now,
        answer: StoreResult<Control>,
        actions: &mut Vec<Action>,
    ) {
        self.commands.reading = false;
        if let Ok(control) = &answer {
            self.withdraw_what_is_paused(now, control, actions);
        }
        self.let_those_begin_that_wait(now, actions);
        let Ok(control) = answer else { return };
        let node = &self.identity.node;
        let known = self.commands.known.take();
        let jobs: BTreeSet<_> =
            known.iter().chain([&control]).flat_map(|control| control.pauses.keys()).collect();
        for job in jobs {
            let before = known.as_ref().is_some_and(|known| known.is_paused(job));
            match (before, control.is_paused(job)) {
                (false, true) => events::control_paused(job),
                (true, false) => events::control_resumed(job),
                _ => {}
            }
        }
        // At the first time nobody knows whether it was asked after this node loaded its
        // table. A version that went back is that of a store that lost its data.
        let heeded = match &known {
            None => 0,
            Some(known) if known.version <= control.version => known.reload_for(node),
            Some(_) => u64::MAX,
        };
        if control.reload_for(node) > heeded {
            actions.push(Action::Reload("`solocron reload`"));
        }
        self.commands.known = Some(control);
    }

    pub(super) fn on_store_health(&mut self, now: Now, health: &Health, actions: &mut Vec<Action>) {
        match health {
            Health::Starting => {}
            Health::Up | Health::Weakened { .. }
                if self.store_is_up && !self.store_is_partly_down => {}
            Health::Up | Health::Weakened { .. } => {
                self.store_is_partly_down = false;
                self.memory.store_came_up(now.boot);
                self.on_store_is_back(now, actions);
            }
            Health::Partly(_) => {
                self.store_is_partly_down = true;
                // What nobody claims now is of the part that is down.
                self.memory.store_went_down(now.boot);
                if !self.store_is_up {
                    self.on_store_is_back(now, actions);
                }
            }
            Health::Down(_) => {
                self.store_is_up = false;
                // Who is there when it comes back is not known.
                self.peers.are([]);
                self.memory.store_went_down(now.boot);
            }
        }
    }

    fn on_store_is_back(&mut self, now: Now, actions: &mut Vec<Action>) {
        self.store_is_up = true;
        // It may be another server than before, or one that lost its data.
        self.cursors.wanted = true;
        self.ask_for_cursors(actions);
        self.sweeps.store_is_back(now.boot);
        self.desk.store_is_back(now.boot);
        self.book.store_is_back(now.boot);
        self.completions.store_is_back();
        self.forfeits.store_is_back();
    }

    pub(super) fn on_wall_clock_ahead(&mut self, micros: i64) {
        let skewed = Duration::from_micros(micros.unsigned_abs()) > self.settings.max_clock_skew;
        if skewed && !self.skewed {
            events::clock_skew(micros / 1000);
        }
        self.skewed = skewed;
        self.wall_clock_ahead = Some(micros);
    }
}
