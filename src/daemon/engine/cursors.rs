//! Where planning begins, and which slots may have been left out: cursors and gaps.

use super::*;
use crate::daemon::gaps::key;
use crate::policy::CatchUpPolicy;

/// What the node knows of its cursors in the store. They are asked for at the
/// start, when the store comes back, and every now and then, so that they never
/// run out and a store that lost them gets them anew.
#[derive(Debug)]
pub(super) struct Cursors {
    /// They were all there at that time; at the start, the time of that.
    known: BootInstant,
    /// They are to be asked for.
    pub(super) wanted: bool,
    /// They are being asked for.
    asked: bool,
    /// Schedules that came into force while the node runs: their slots are planned once
    /// it is known how far the others have come.
    newcomers: Vec<Newcomer>,
}

/// A schedule that came into force while the node runs.
#[derive(Debug)]
struct Newcomer {
    job: Arc<Job>,
    /// When it came into force here.
    since: BootInstant,
    was: Was,
}

/// Where a schedule was before it came into force on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Was {
    /// In force, on other nodes: nothing of it may be left out.
    Elsewhere,
    /// Not in force here since then.
    Absent(BootInstant),
    /// Nobody knows.
    Unknown,
}

/// Nodes that are told to load their tables anew do so within this time of each other.
const TOGETHER: Duration = Duration::from_secs(2);

impl Cursors {
    /// At the start: those of every scheduled job are wanted.
    pub(super) fn wanted(_: &JobTable, now: BootInstant) -> Self {
        Self { known: now, wanted: true, asked: false, newcomers: Vec::new() }
    }

    /// The schedule of `job` came into force on this node at `since`.
    pub(super) fn welcome(&mut self, job: &Arc<Job>, since: BootInstant, was: Was) {
        self.newcomers.push(Newcomer { job: Arc::clone(job), since, was });
        self.wanted = true;
    }

    /// Schedules that are no longer in force need not be waited for.
    pub(super) fn dismiss(&mut self, still: impl Fn(&Job) -> bool) {
        self.newcomers.retain(|newcomer| still(&newcomer.job));
    }
}

impl Engine {
    pub(super) fn ask_for_cursors(&mut self, actions: &mut Vec<Action>) {
        if self.cursors.wanted && !self.cursors.asked && !self.is_draining() {
            self.cursors.asked = true;
            let since: HashMap<_, _> = self
                .cursors
                .newcomers
                .iter()
                .map(|newcomer| (&newcomer.job.name, newcomer.since))
                .collect();
            let known = self.cursors.known;
            let jobs = scheduled(&self.table)
                .map(|(_, job)| (Arc::clone(job), since.get(&job.name).copied().unwrap_or(known)));
            actions.push(Action::OpenCursors(jobs.collect()));
        }
    }

    pub(super) fn on_cursors_opened(
        &mut self,
        now: Now,
        answer: StoreResult<Vec<(Arc<Job>, SlotTime)>>,
        actions: &mut Vec<Action>,
    ) {
        self.cursors.asked = false;
        let Ok(cursors) = answer else {
            if let Phase::Opening { failed } = &mut self.phase {
                *failed = true;
            }
            return;
        };
        self.cursors.wanted = false;
        self.cursors.known = now.boot;
        match self.phase {
            Phase::Opening { failed } => self.open(now, failed, &cursors, actions),
            Phase::Open => self.seat_newcomers(now, &cursors),
            Phase::Draining(_) | Phase::Finished => {}
        }
    }

    /// The node begins its work.
    fn open(
        &mut self,
        now: Now,
        failed: bool,
        cursors: &[(Arc<Job>, SlotTime)],
        actions: &mut Vec<Action>,
    ) {
        self.phase = Phase::Open;
        self.cursors.newcomers.clear();
        if failed {
            // Slots went by while the store was away, and this node did not know
            // the cluster's time. It begins anew with what may still start; every
            // job is compared with its cursor. Nothing was asked of the store yet.
            self.queue = self.what_may_still_start(now);
            self.desk = Desk::default();
            self.gaps.clear();
            let table = Arc::clone(&self.table);
            for (_, job) in scheduled(&table) {
                if self.is_for_us(job) {
                    self.notice_gap(job, now, now.cluster());
                }
            }
        } else {
            self.queue = DueQueue::new();
            let cursors: HashMap<_, _> =
                cursors.iter().map(|(job, cursor)| (key(job), *cursor)).collect();
            let table = Arc::clone(&self.table);
            for (index, job) in scheduled(&table) {
                match cursors.get(&key(job)) {
                    _ if !self.is_for_us(job) => {}
                    Some(&cursor) => self.queue.seed(&table, index, cursor),
                    // The table was loaded anew while the answer was on its way.
                    None => self.cursors.welcome(job, now.boot, Was::Unknown),
                }
            }
        }
        self.look_after_the_others(now);
        self.plan(now);
        actions.push(Action::Ready);
        actions.push(Action::PublishTable);
    }

    /// Schedules that came into force get their place in the queue.
    fn seat_newcomers(&mut self, now: Now, cursors: &[(Arc<Job>, SlotTime)]) {
        if self.cursors.newcomers.is_empty() {
            return;
        }
        let cursors: HashMap<_, _> =
            cursors.iter().map(|(job, cursor)| (key(job), *cursor)).collect();
        for newcomer in std::mem::take(&mut self.cursors.newcomers) {
            let Newcomer { job, since, was } = newcomer;
            let place = self.table.position(&job.name).and_then(|place| u32::try_from(place).ok());
            let (Some(&cursor), Some(place)) = (cursors.get(&key(&job)), place) else {
                // Its turn to be asked for is still to come.
                self.cursors.welcome(&job, since, was);
                continue;
            };
            let began = slot_time(now.offset.cluster_time(since));
            // Another node may have loaded the table a little earlier, and some of its
            // slots may still start. What lies further back was not in force then.
            let reach = job.reach() + self.settings.max_clock_skew * 2;
            let recent = slot_time(began.cluster_time() - reach);
            // Nor was it if nobody has moved its cursor since it went out of force here.
            let begins_now = match was {
                Was::Elsewhere => false,
                Was::Unknown => cursor < recent,
                Was::Absent(since) => {
                    let gone = slot_time(now.offset.cluster_time(since + TOGETHER));
                    cursor < recent || cursor <= gone
                }
            };
            let from = if begins_now {
                self.skip_gap(&job, now, began);
                began
            } else {
                cursor
            };
            self.queue.seed(&self.table, JobIndex(place), from);
        }
        self.plan(now);
    }

    /// A queue that begins with the slots whose start window may be open at `now`.
    pub(super) fn what_may_still_start(&self, now: Now) -> DueQueue {
        let mut queue = DueQueue::new();
        for (index, job) in scheduled(&self.table).filter(|(_, job)| self.is_for_us(job)) {
            queue.seed(&self.table, index, slot_time(now.cluster() - job.reach()));
        }
        queue
    }

    /// Some slot of `job` whose window closes at `until`, or earlier, may have no record.
    pub(super) fn notice_gap(&mut self, job: &Arc<Job>, now: Now, until: ClusterTime) {
        self.enter_gap(job, now, until, None);
    }

    /// The schedule of `job` was not in force up to the slot at `upto`.
    fn skip_gap(&mut self, job: &Arc<Job>, now: Now, upto: SlotTime) {
        self.enter_gap(job, now, upto.cluster_time(), Some(upto));
    }

    fn enter_gap(
        &mut self,
        job: &Arc<Job>,
        now: Now,
        until: ClusterTime,
        skip_to: Option<SlotTime>,
    ) {
        let earliest = now.boot.minus(job.reach() + Duration::from_secs(1));
        let from = earliest.max(self.identity.started);
        let gap = self.gaps.entry(key(job)).or_insert_with(|| Gap {
            job: Arc::clone(job),
            from,
            until,
            skip_to,
        });
        // One that is switched off tells nothing of the slots since it is on again.
        if job.enabled && !gap.job.enabled {
            gap.job = Arc::clone(job);
        }
        gap.until = gap.until.max(until);
        gap.skip_to = gap.skip_to.max(skip_to);
    }

    /// Jobs that this node does not run: nobody else may be there to say that their
    /// slots were missed; and the cursor of one that is switched off moves on, so that
    /// nothing was missed when it is switched on again.
    pub(super) fn look_after_the_others(&mut self, now: Now) {
        let table = Arc::clone(&self.table);
        for job in table.iter() {
            if !job.enabled {
                // While tables differ another node may have it switched on, and what it
                // has not run is not to be forgotten.
                if self.others.agree() {
                    let closed = now.cluster() - job.reach() - self.settings.max_clock_skew;
                    self.skip_gap(job, now, slot_time(closed));
                }
            } else if !self.is_for_us(job) && job.policies.catch_up.policy == CatchUpPolicy::None {
                self.notice_gap(job, now, now.cluster());
            }
        }
    }

    pub(super) fn settle_gaps(&mut self, actions: &mut Vec<Action>) {
        let ready = self.phase == Phase::Open && self.store_is_up && !self.settling;
        if ready && !self.gaps.is_empty() && self.forfeits.is_empty() {
            self.settling = true;
            let gaps = self.gaps.values().cloned().collect();
            actions.push(Action::SettleGaps(gaps, self.memory.clone()));
        }
    }

    pub(super) fn on_gaps_settled(&mut self, now: Now, schedules: &[(CursorKey, ClusterTime)]) {
        self.settling = false;
        if !schedules.is_empty() {
            // Some of their slots may be ready now, to be caught up.
            self.sweeps.want(now.boot);
        }
        for (schedule, upto) in schedules {
            // A slot is looked at only after its window has closed.
            if self.gaps.get(schedule).is_some_and(|gap| *upto > gap.until) {
                self.gaps.remove(schedule);
            }
        }
    }
}
