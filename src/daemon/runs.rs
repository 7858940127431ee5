//! The tasks that execute runs, and the wires to them.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::claim::Token;
use crate::daemon::engine::{Event, Identity, Start};
use crate::log::events;
use crate::run::{self, Orders, OutputSink, Stop, Stream, Task, Trust};
use crate::table::Job;

/// The wires to the runs in progress.
#[derive(Debug, Default)]
pub struct Runs {
    wires: HashMap<Token, Wires>,
}

#[derive(Debug)]
struct Wires {
    trust: watch::Sender<Trust>,
    stop: watch::Sender<Option<Stop>>,
}

impl Runs {
    /// Starts a run; its end comes back as [`Event::RunEnded`].
    pub fn start(
        &mut self,
        start: Start,
        identity: &Identity,
        events: mpsc::UnboundedSender<Event>,
    ) {
        let (trust, trusts) = watch::channel(Trust::Until(start.trusted_until));
        let (stop, stops) = watch::channel(None);
        self.wires.insert(start.token, Wires { trust, stop });
        let identity = run::Identity {
            cluster: identity.cluster.clone(),
            node: identity.node.clone(),
            slot: start.slot,
            run_id: start.token.run_id(start.attempt),
            attempt: start.attempt,
            fence: start.fence,
        };
        let orders = Orders { trust: trusts, stop: stops };
        let token = start.token;
        let job = start.job;
        tokio::spawn(async move {
            let report = execute(&job, identity, orders).await;
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

async fn execute(job: &Job, identity: run::Identity, orders: Orders) -> run::Report {
    let identity = Arc::new(identity);
    let sink = Arc::new(LogSink { identity: Arc::clone(&identity) });
    let grace = job.grace_on_lost_lease();
    let started = |pid| {
        events::run_started(as_run(&identity), Some(pid));
    };
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

/// Puts a run's output into the log.
struct LogSink {
    identity: Arc<run::Identity>,
}

impl OutputSink for LogSink {
    fn line(&self, stream: Stream, line: &str) {
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
