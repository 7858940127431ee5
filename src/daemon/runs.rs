//! The tasks that execute runs, and the wires to them.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::claim::Token;
use crate::clock::{BootInstant, ClusterClock};
use crate::daemon::engine::{Event, Identity, Start};
use crate::daemon::outputs::{Output, Outputs};
use crate::log::events;
use crate::run::{self, Orders, OutputSink, Stop, Stream, Task, Trust};
use crate::table::{Job, Work};
use crate::trace::Parents;

/// The wires to the runs in progress.
#[derive(Default)]
pub struct Runs {
    wires: HashMap<Token, Wires>,
    outputs: Arc<Outputs>,
    parents: Option<Arc<Parents>>,
}

#[derive(Debug)]
struct Wires {
    trust: watch::Sender<Trust>,
    stop: watch::Sender<Option<Stop>>,
    not_before: watch::Sender<BootInstant>,
}

impl Runs {
    /// What the runs in progress print.
    pub fn outputs(&self) -> &Arc<Outputs> {
        &self.outputs
    }

    /// Has runs told where in a trace they stand.
    pub fn stand_in_traces(&mut self, parents: Arc<Parents>) {
        self.parents = Some(parents);
    }

    /// Starts a run; its end comes back as [`Event::RunEnded`].
    pub fn start(
        &mut self,
        start: Start,
        identity: &Identity,
        clock: &Arc<ClusterClock>,
        events: mpsc::UnboundedSender<Event>,
    ) {
        let (trust, trusts) = watch::channel(Trust::Until(start.trusted_until));
        let (stop, stops) = watch::channel(None);
        let (not_before, begins) = watch::channel(start.not_before);
        self.wires.insert(start.token, Wires { trust, stop, not_before });
        let run_id = start.token.run_id(start.attempt);
        let identity = run::Identity {
            cluster: identity.cluster.clone(),
            node: identity.node.clone(),
            trace: self.parents.as_ref().map(|parent| parent(&start.slot, run_id)),
            slot: start.slot,
            run_id,
            attempt: start.attempt,
            fence: start.fence,
        };
        let orders = Orders { trust: trusts, stop: stops, not_before: begins };
        let token = start.token;
        let job = start.job;
        let outputs = Arc::clone(&self.outputs);
        let clock = Arc::clone(clock);
        tokio::spawn(async move {
            let run = identity.run_id;
            let output = outputs.begin(run, job.output_limit);
            let report = execute(&job, identity, orders, &clock, output).await;
            outputs.end(run);
            // The other end is gone only when the process is about to be.
            let _gone = events.send(Event::RunEnded { token, report });
        });
    }

    /// Tells a run about its lease.
    pub fn tell(&self, token: Token, trust: Trust) {
        if let Some(wires) = self.wires.get(&token) {
            wires.trust.send_replace(trust);
        }
    }

    /// Has a run that has not begun begin at `at`.
    pub fn begin(&self, token: Token, at: BootInstant) {
        if let Some(wires) = self.wires.get(&token) {
            wires.not_before.send_replace(at);
        }
    }

    /// Has a run ended.
    pub fn stop(&self, token: Token, stop: Stop) {
        if let Some(wires) = self.wires.get(&token) {
            wires.stop.send_replace(Some(stop));
        }
    }

    /// Cuts the wires to a run that is over.
    pub fn ended(&mut self, token: Token) {
        self.wires.remove(&token);
    }
}

async fn execute(
    job: &Job,
    identity: run::Identity,
    orders: Orders,
    clock: &ClusterClock,
    output: Option<Arc<Output>>,
) -> run::Report {
    let identity = Arc::new(identity);
    let sink = Arc::new(LogSink { identity: Arc::clone(&identity), output });
    let grace = job.grace_on_lost_lease();
    let started = |pid| {
        // What is tried again or asked for is not late.
        let is_first = identity.attempt == 1 && identity.slot.trigger.is_none();
        let late = is_first.then(|| clock.now().since(job.due(identity.slot.at)));
        events::run_started(as_run(&identity), pid, late);
    };
    if let Work::Http(call) = &job.work {
        return run::request(&task(job), call, &identity, orders, || started(None), sink).await;
    }
    let started = |pid| started(Some(pid));
    run::execute(&task(job), &identity, orders, grace, started, sink).await
}

/// What the job table says of how to run `job`.
fn task(job: &Job) -> Task {
    Task {
        work: job.work.clone(),
        cwd: job.cwd.as_deref().map(Into::into),
        env: Arc::clone(&job.env),
        user: job.user.as_deref().map(Into::into),
        group: job.group.as_deref().map(Into::into),
        umask: job.umask,
        timezone: job.timezone.name().into(),
        timeout: job.timeout,
        kill_grace: job.kill_grace,
        success_codes: Arc::clone(&job.success_codes),
        output_limit: job.output_limit,
    }
}

/// Puts a run's output into the log, and before who looks on.
struct LogSink {
    identity: Arc<run::Identity>,
    output: Option<Arc<Output>>,
}

impl OutputSink for LogSink {
    fn line(&self, stream: Stream, line: &str) {
        if let Some(output) = &self.output {
            output.push(line);
        }
        events::run_output(as_run(&self.identity), stream.as_str(), line);
    }
}

fn as_run(identity: &run::Identity) -> events::Run<'_> {
    events::Run {
        slot: &identity.slot,
        run_id: identity.run_id,
        attempt: identity.attempt,
        fence: identity.fence,
    }
}
