//! What recurs, and what keeps a node in step with the store: opening, beats,
//! heartbeats, lapsed slots, gaps, health and clocks.

use super::*;
use crate::log::events;
use crate::store::LapsedState;

impl Engine {
    pub(super) fn on_beat(&mut self, now: Now, actions: &mut Vec<Action>) {
        for duty in self.rota.take_due(now.boot) {
            match duty {
                Duty::Plan => self.plan(now),
                Duty::Sweep => self.sweep(actions),
                Duty::Heartbeat => actions.push(Action::Heartbeat(self.heartbeat(now))),
                Duty::CheckClock => actions.push(Action::CheckClock),
                Duty::Prune => {
                    self.cursors.wanted = true;
                    actions.push(Action::Prune);
                }
            }
        }
        self.ask_for_cursors(actions);
        self.settle_gaps(actions);
    }

    fn ask_for_cursors(&mut self, actions: &mut Vec<Action>) {
        if self.cursors.wanted && !self.cursors.asked && !self.is_draining() {
            self.cursors.asked = true;
            actions.push(Action::OpenCursors(self.cursors.known));
        }
    }

    fn plan(&mut self, now: Now) {
        if self.takes_slots() {
            let passed = self.queue.plan(&self.table, now.cluster(), now.cluster() + LOOKAHEAD);
            for job in passed {
                self.notice_gap(job, now, now.cluster());
            }
        }
    }

    fn heartbeat(&self, now: Now) -> Heartbeat {
        Heartbeat {
            node: self.identity.node.clone(),
            boot: self.identity.boot,
            started_at: now.offset.cluster_time(self.identity.started),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            table: self.table.digest().to_string(),
            draining: self.is_draining(),
            keep: self.settings.heartbeat * 3,
        }
    }

    pub(super) fn on_cursors_opened(
        &mut self,
        now: Now,
        answer: StoreResult<Vec<SlotTime>>,
        actions: &mut Vec<Action>,
    ) {
        self.cursors.asked = false;
        let opening = match self.phase {
            Phase::Opening { failed } => Some(failed),
            _ => None,
        };
        let Ok(cursors) = answer else {
            if opening.is_some() {
                self.phase = Phase::Opening { failed: true };
            }
            return;
        };
        self.cursors.wanted = false;
        self.cursors.known = now.boot;
        let Some(failed) = opening else { return };
        self.phase = Phase::Open;
        if failed {
            // Slots went by while the store was away, and this node did not know
            // the cluster's time. It begins anew with what may still start; every
            // job is compared with its cursor. Nothing was asked of the store yet.
            self.queue = what_may_still_start(&self.table, now);
            self.desk = Desk::default();
            self.gaps.clear();
            let table = Arc::clone(&self.table);
            for (job, _) in jobs(&table) {
                self.notice_gap(job, now, now.cluster());
            }
        } else {
            self.queue = DueQueue::new();
            for ((job, _), cursor) in jobs(&self.table).zip(cursors) {
                self.queue.seed(&self.table, job, cursor);
            }
        }
        self.plan(now);
        actions.push(Action::Ready);
    }

    /// Some slot of `job` whose window closes at `until`, or earlier, may have no record.
    pub(super) fn notice_gap(&mut self, job: JobIndex, now: Now, until: ClusterTime) {
        let window = self.entry(job).start_within.unwrap_or(LONGEST_IMPLIED_WINDOW);
        let from = now.boot.minus(window + Duration::from_secs(1)).max(self.identity.started);
        let gap = self.gaps.entry(job).or_insert(Gap { from, until });
        gap.until = gap.until.max(until);
    }

    fn settle_gaps(&mut self, actions: &mut Vec<Action>) {
        let ready = self.phase == Phase::Open && self.store_is_up && !self.settling;
        if ready && !self.gaps.is_empty() && self.forfeits.is_empty() {
            self.settling = true;
            let gaps = self.gaps.iter().map(|(&job, &gap)| (job, gap)).collect();
            actions.push(Action::SettleGaps(gaps, self.memory.clone()));
        }
    }

    pub(super) fn on_gaps_settled(&mut self, jobs: &[(JobIndex, ClusterTime)]) {
        self.settling = false;
        for (job, upto) in jobs {
            // A slot is looked at only after its window has closed.
            if self.gaps.get(job).is_some_and(|gap| *upto > gap.until) {
                self.gaps.remove(job);
            }
        }
    }

    fn sweep(&mut self, actions: &mut Vec<Action>) {
        if self.phase == Phase::Open && self.store_is_up && !self.sweeping {
            self.sweeping = true;
            actions.push(Action::FindLapsed);
        }
    }

    pub(super) fn on_lapsed_found(
        &mut self,
        now: Now,
        answer: StoreResult<Vec<Lapsed>>,
        actions: &mut Vec<Action>,
    ) {
        self.sweeping = false;
        let Ok(lapsed) = answer else { return };
        if self.phase != Phase::Open {
            return;
        }
        let mut abandoned = Vec::new();
        for lapsed in lapsed {
            let job = self.find(&lapsed.slot).map(|(_, job)| Arc::clone(job));
            match (lapsed.state, job) {
                (LapsedState::HandedOver, Some(job)) if job.enabled => {
                    self.desk.put(lapsed.slot, Cause::HandedOver, now.cluster(), now.boot);
                }
                (LapsedState::HandedOver, _) => {}
                // Our own run: its completion is under way, or it is being ended.
                (LapsedState::Lost, _) if self.running.contains_key(&lapsed.token) => {}
                (LapsedState::Lost, job) => {
                    let keep_record = match job {
                        Some(job) => self.keep_settled(&job, lapsed.slot.at),
                        None => RECORD_MARGIN,
                    };
                    let retention = self.settings.retention;
                    let abandonment = Abandonment {
                        slot: lapsed.slot,
                        token: lapsed.token,
                        keep_record,
                        retention,
                    };
                    abandoned.push((abandonment, lapsed.node));
                }
            }
        }
        if !abandoned.is_empty() {
            actions.push(Action::Abandon(abandoned));
        }
    }

    pub(super) fn on_heartbeat_answered(&mut self, answer: StoreResult<HeartbeatReply>) {
        let Ok(reply) = answer else { return };
        self.beats += 1;
        // The first heartbeat replaces that of this node's last start, if any;
        // whoever is replaced later was alive at the same time.
        if let Some(other) = reply.replaced
            && other != self.identity.boot
            && self.beats > 1
            && self.duplicates.insert(other)
        {
            events::node_duplicate(other);
        }
    }

    pub(super) fn on_store_health(&mut self, now: Now, health: &Health, actions: &mut Vec<Action>) {
        match health {
            Health::Starting => {}
            Health::Up if self.store_is_up => {}
            Health::Up => {
                self.store_is_up = true;
                self.memory.store_came_up(now.boot);
                // It may be another server than before, or one that lost its data.
                self.cursors.wanted = true;
                self.ask_for_cursors(actions);
                self.desk.store_is_back(now.boot);
                self.book.store_is_back(now.boot);
                self.completions.store_is_back();
                self.forfeits.store_is_back();
            }
            Health::Down(_) => {
                self.store_is_up = false;
                self.memory.store_went_down(now.boot);
            }
        }
    }

    pub(super) fn on_wall_clock_ahead(&mut self, micros: i64) {
        let skewed = Duration::from_micros(micros.unsigned_abs()) > self.settings.max_clock_skew;
        if skewed && !self.skewed {
            events::clock_skew(micros / 1000);
        }
        self.skewed = skewed;
    }
}
