//! What a job does when a slot cannot simply run: the keys that
//! [`crate::policy`] answers by.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::catalogue as preset;
use super::diagnostics::{Report, Spot};
use super::duration::Human;
use super::reader::Reader;
use super::retry::retry;
use super::value::Value;
use crate::policy::{
    CatchUp, CatchUpPolicy, NodePattern, NodePatterns, OnCrash, Overlap, Policies, Retry,
};
use crate::schedule::ScheduleSet;
use crate::slot::SlotTime;

/// What one table says, before defaults.
#[derive(Default)]
pub(super) struct Settings {
    overlap: Option<Overlap>,
    on_crash: Option<OnCrash>,
    max_takeovers: Option<(u32, Spot)>,
    catch_up: Option<CatchUpPolicy>,
    catch_up_window: Option<(Duration, Spot)>,
    catch_up_limit: Option<(u32, Spot)>,
    retry: Option<Retry>,
    jitter: Option<(Duration, Spot)>,
    nodes: Option<NodePatterns>,
}

impl Settings {
    pub(super) fn set(&mut self, reader: &mut Reader<'_>, name: &str, value: Value<'_>, at: Spot) {
        match (name, value) {
            ("overlap", Value::Text(word)) => self.overlap = word.parse().ok(),
            ("on_crash", Value::Text(word)) => self.on_crash = word.parse().ok(),
            ("max_takeovers", Value::Integer(most)) => self.max_takeovers = count(most, at),
            ("catch_up", Value::Text(word)) => self.catch_up = word.parse().ok(),
            ("catch_up_window", Value::Duration(value)) => self.catch_up_window = Some((value, at)),
            ("catch_up_limit", Value::Integer(most)) => self.catch_up_limit = count(most, at),
            ("retry", Value::Table(_, table)) => self.retry = Some(retry(reader, table)),
            ("jitter", Value::Duration(value)) => self.jitter = Some((value, at)),
            ("nodes", Value::Nodes(patterns)) => self.nodes = Some(patterns),
            (name, _) => debug_assert!(false, "a job has no reader for {name}"),
        }
    }

    /// Whether it says nothing.
    fn is_silent(&self) -> bool {
        let Self {
            overlap,
            on_crash,
            max_takeovers,
            catch_up,
            catch_up_window,
            catch_up_limit,
            retry,
            jitter,
            nodes,
        } = self;
        let words = overlap.is_none() && on_crash.is_none() && catch_up.is_none();
        let numbers = max_takeovers.is_none() && catch_up_limit.is_none();
        let times = catch_up_window.is_none() && jitter.is_none();
        words && numbers && times && retry.is_none() && nodes.is_none()
    }

    /// The policies of a job that says this, over `common`.
    fn over(self, common: &Policies) -> Policies {
        Policies {
            overlap: self.overlap.unwrap_or(common.overlap),
            on_crash: self.on_crash.unwrap_or(common.on_crash),
            max_takeovers: self.max_takeovers.map_or(common.max_takeovers, |(most, _)| most),
            catch_up: CatchUp {
                policy: self.catch_up.unwrap_or(common.catch_up.policy),
                window: self.catch_up_window.map_or(common.catch_up.window, |(window, _)| window),
                limit: self.catch_up_limit.map_or(common.catch_up.limit, |(limit, _)| limit),
            },
            retry: self.retry.unwrap_or(common.retry),
            jitter: self.jitter.map_or(common.jitter, |(jitter, _)| jitter),
            nodes: self.nodes.unwrap_or_else(|| common.nodes.clone()),
        }
    }

    /// Says what this job's own keys cannot do.
    fn check(&self, report: &mut Report, common: &Policies) {
        let catch_up = self.catch_up.unwrap_or(common.catch_up.policy);
        if let Some((_, at)) = &self.catch_up_window
            && catch_up == CatchUpPolicy::None
        {
            report
                .warning(at.clone(), "`catch_up_window` has no effect: nothing is caught up")
                .help("write catch_up = \"latest\" or \"all\" beside it");
        }
        if let Some((_, at)) = &self.catch_up_limit
            && catch_up != CatchUpPolicy::All
        {
            let why = match catch_up {
                CatchUpPolicy::Latest => "only the latest slot is caught up",
                _ => "nothing is caught up",
            };
            report
                .warning(at.clone(), format!("`catch_up_limit` has no effect: {why}"))
                .help("write catch_up = \"all\" beside it");
        }
        if let Some((_, at)) = &self.max_takeovers
            && self.on_crash.unwrap_or(common.on_crash) == OnCrash::Skip
        {
            report
                .warning(
                    at.clone(),
                    "`max_takeovers` has no effect: with on_crash = \"skip\" no slot is taken over",
                )
                .help("write on_crash = \"takeover\", or leave it out");
        }
    }
}

/// A number with its place. Its bounds lie within u32.
fn count(number: i64, at: Spot) -> Option<(u32, Spot)> {
    u32::try_from(number).ok().map(|number| (number, at))
}

/// The policies of `[defaults]`, and every other one that some job has: jobs
/// with equal ones share them.
pub(super) struct Shared {
    common: Arc<Policies>,
    /// Where `[defaults]` sets a jitter that no job was found yet to cut.
    common_jitter: Option<Spot>,
    others: HashSet<Arc<Policies>>,
}

impl Shared {
    /// What holds when nothing is said.
    pub(super) fn new() -> Self {
        let every = preset::NODES.iter().filter_map(|pattern| NodePattern::new(pattern).ok());
        let common = Policies {
            overlap: preset::OVERLAP,
            on_crash: preset::ON_CRASH,
            max_takeovers: preset::MAX_TAKEOVERS,
            catch_up: CatchUp {
                policy: preset::CATCH_UP,
                window: preset::CATCH_UP_WINDOW,
                limit: preset::CATCH_UP_LIMIT,
            },
            retry: Retry {
                attempts: preset::RETRY_ATTEMPTS,
                backoff: preset::RETRY_BACKOFF,
                min: preset::RETRY_MIN,
                max: preset::RETRY_MAX,
            },
            jitter: Duration::ZERO,
            nodes: NodePatterns::new(every.collect()),
        };
        Self { common: Arc::new(common), common_jitter: None, others: HashSet::new() }
    }

    /// Puts what a `[defaults]` says over what held before.
    pub(super) fn default_to(&mut self, given: Settings) {
        if let Some((_, at)) = &given.jitter {
            self.common_jitter = Some(at.clone());
        }
        self.common = Arc::new(given.over(&self.common));
    }

    /// The policies of a job that says `own` of its own.
    pub(super) fn of_job(
        &mut self,
        report: &mut Report,
        own: Settings,
        schedule: Option<&ScheduleSet>,
    ) -> Arc<Policies> {
        own.check(report, &self.common);
        self.check_jitter(report, &own, schedule);
        if own.is_silent() {
            return self.common.clone();
        }
        let policies = own.over(&self.common);
        match self.others.get(&policies) {
            Some(known) => known.clone(),
            None => {
                let new = Arc::new(policies);
                self.others.insert(new.clone());
                new
            }
        }
    }

    /// Says where a jitter is cut by the job's next slot; of that in `[defaults]`
    /// once for all jobs.
    fn check_jitter(
        &mut self,
        report: &mut Report,
        own: &Settings,
        schedule: Option<&ScheduleSet>,
    ) {
        let Some(schedule) = schedule else { return };
        let (jitter, at) = match (&own.jitter, &self.common_jitter) {
            (Some((jitter, at)), _) => (*jitter, at.clone()),
            (None, Some(at)) => (self.common.jitter, at.clone()),
            (None, None) => return,
        };
        let Some(gap) = usual_gap(schedule).filter(|gap| *gap < jitter) else { return };
        if own.jitter.is_none() {
            self.common_jitter = None;
        }
        let message = format!(
            "`jitter` is cut to {} where the next slot of the job comes that soon",
            Human(gap)
        );
        report.warning(at, message);
    }
}

/// The shortest time between a few slots of `schedule`, the same few on every
/// day that somebody asks; none when it has less than two.
fn usual_gap(schedule: &ScheduleSet) -> Option<Duration> {
    /// 2024-01-01T00:00:00Z, a Monday.
    const FROM: i64 = 1_704_067_200;
    let mut at = schedule.next_after(SlotTime::from_unix_seconds(FROM - 1))?;
    let mut shortest: Option<u64> = None;
    for _ in 0..4 {
        let Some(next) = schedule.next_after(at) else { break };
        let gap = u64::try_from(next.unix_seconds() - at.unix_seconds()).ok();
        shortest = match (shortest, gap) {
            (Some(shortest), Some(gap)) => Some(shortest.min(gap)),
            (shortest, gap) => shortest.or(gap),
        };
        at = next;
    }
    shortest.map(Duration::from_secs)
}
