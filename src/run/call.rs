//! A run that is a request over HTTP: nothing is started on this machine, so there is
//! nothing to end but the request.
//!
//! Orders are heeded at once: on a cancel, a timeout, a drain whose time is up, or a lease
//! that may be trusted no longer, the connection is closed. What the server makes of a
//! request that it has is its own business; what tells it which requests belong together
//! is sent with each: the key of slot and attempt, and the fence.
//!
//! The answer is the output: its status is the first line, its text the rest.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::alarm::Alarm;
use super::decide::{Cause, Decider, Leader, Limits, Opening, Seen, Step, Verdict};
use super::orders::{Orders, Standing};
use super::output::{Splitter, readable};
use super::pump::{OutputSink, Stream};
use super::story::Ending;
use super::tail::Tail;
use super::task::{Identity, Task};
use super::{Report, error};
use crate::clock::BootInstant;
use crate::outcome::Outcome;
use crate::request::{self, Address, Answer, Request};
use crate::table::{Call, RunVariable, percent_encoded};
use crate::tls::{Pem, TlsOptions};

/// So much of an answer is read. No ledger keeps more of it.
const LONGEST: usize = 1 << 20;

/// At once: there is nobody to whom time could be given.
const AT_ONCE: Limits =
    Limits { kill_grace: std::time::Duration::ZERO, grace_on_loss: std::time::Duration::ZERO };

/// Sends the request of `call` and reads the answer, within the limits of `task`.
///
/// `started` is called once, before the request goes out: at its instant and never before
/// it. It never fails: what goes wrong
/// is in the report.
pub async fn request(
    task: &Task,
    call: &Call,
    identity: &Identity,
    mut orders: Orders,
    started: impl FnOnce() + Send,
    sink: Arc<dyn OutputSink>,
) -> Report {
    let mut began = BootInstant::now();
    let mut output = Output { tail: Tail::new(task.output_limit), sink, room: String::new() };
    let mut decider = Decider::new(AT_ONCE);
    let report = |outcome, error, began: Option<BootInstant>, output: Output| Report {
        outcome,
        began: began.is_some(),
        exit_code: None,
        signal: None,
        error,
        started: began.unwrap_or_else(BootInstant::now),
        finished: BootInstant::now(),
        tail: output.tail.finish(),
        pid: None,
    };
    let alarm = match Alarm::new() {
        Ok(alarm) => alarm,
        Err(why) => {
            return report(Outcome::Failed, Some(format!("no timer: {why}")), Some(began), output);
        }
    };
    let ended = |task: &Task, cause: Cause, ending: fn(Option<Cause>) -> Ending| {
        let verdict = Verdict::on(None, Some(cause), &[]);
        (verdict.outcome, error(task, verdict, ending(Some(cause))))
    };
    if let Err(cause) = its_instant_comes(&mut decider, &mut orders, &alarm).await {
        let (outcome, error) = ended(task, cause, Ending::NeverBegan);
        return report(outcome, error, None, output);
    }
    began = BootInstant::now();
    started();
    decider.started(began, task.timeout);
    let talked = {
        let mut talk = std::pin::pin!(talk(call, identity, &mut output));
        loop {
            match look(&mut decider, &mut orders) {
                Err(cause) => break Err(cause),
                Ok(wake) => alarm.set(wake),
            }
            tokio::select! {
                said = &mut talk => break Ok(said),
                () = orders.changed() => {}
                () = alarm.rung() => {}
            }
        }
    };
    match talked {
        Ok(Ok(())) => report(Outcome::Succeeded, None, Some(began), output),
        Ok(Err(why)) => report(Outcome::Failed, Some(why), Some(began), output),
        Err(cause) => {
            let (outcome, error) = ended(task, cause, Ending::KeeperLost);
            report(outcome, error, Some(began), output)
        }
    }
}

/// Returns when the request is to go out, or with why it is not to.
async fn its_instant_comes(
    decider: &mut Decider,
    orders: &mut Orders,
    alarm: &Alarm,
) -> Result<(), Cause> {
    loop {
        let standing = orders.read();
        match decider.open(&seen(Leader::Absent, standing), standing.not_before) {
            Opening::Begin => return Ok(()),
            Opening::Wait(at) => alarm.set(Some(at)),
            // Without a cause nothing is over.
            Opening::Over => return Err(decider.cause().unwrap_or(Cause::Withdrawn)),
        }
        tokio::select! {
            () = orders.changed() => {}
            () = alarm.rung() => {}
        }
    }
}

/// When to look again, or why the request is to end.
fn look(decider: &mut Decider, orders: &mut Orders) -> Result<Option<BootInstant>, Cause> {
    let wake = match decider.decide(&seen(Leader::Running, orders.read())) {
        Step::Go { wake, .. } => wake,
        Step::Over => None,
    };
    decider.cause().map_or(Ok(wake), Err)
}

fn seen(leader: Leader, standing: Standing) -> Seen {
    let Standing { trust, stop, .. } = standing;
    Seen { now: BootInstant::now(), leader, tree_gone: false, trust, stop }
}

/// The whole exchange; why it is no success, in words.
async fn talk(call: &Call, identity: &Identity, output: &mut Output) -> Result<(), String> {
    let request = assemble(call, identity)?;
    let mut answer = request::send(request).await.map_err(|error| error.to_string())?;
    let status = answer.status;
    output.line(format!("HTTP {status}").as_bytes());
    let whole = read(&mut answer, output).await;
    if !is_expected(call, status) {
        return Err(format!("answered {status}, expected {}", expectation(call)));
    }
    whole
}

/// Reads the answer into `output`, up to its [`LONGEST`].
async fn read(answer: &mut Answer, output: &mut Output) -> Result<(), String> {
    let mut splitter = Splitter::default();
    let mut left = LONGEST;
    let whole = loop {
        match answer.piece().await {
            Ok(Some(piece)) => {
                let taken = &piece[..piece.len().min(left)];
                splitter.feed(taken, |line| output.line(line));
                left -= taken.len();
                if taken.len() < piece.len() {
                    let rest = format!(
                        "[the answer is longer than {LONGEST} bytes; the rest was not read]"
                    );
                    splitter.finish(|line| output.line(line));
                    output.line(rest.as_bytes());
                    return Ok(());
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error.to_string()),
        }
        // An answer without end lets the others have their turn.
        tokio::task::yield_now().await;
    };
    splitter.finish(|line| output.line(line));
    whole
}

fn is_expected(call: &Call, status: StatusCode) -> bool {
    if call.expect.is_empty() {
        status.is_success()
    } else {
        call.expect.contains(&status.as_u16())
    }
}

fn expectation(call: &Call) -> String {
    match &*call.expect {
        [] => "2xx".to_owned(),
        [only] => only.to_string(),
        [firsts @ .., last] => {
            let firsts: Vec<_> = firsts.iter().map(u16::to_string).collect();
            format!("{} or {last}", firsts.join(", "))
        }
    }
}

fn assemble(call: &Call, identity: &Identity) -> Result<Request, String> {
    let value = |variable| value(identity, variable);
    let url = call.url.fill(|variable| percent_encoded(&value(variable)));
    let address = Address::parse(&url).map_err(|why| format!("`url`: {why}"))?;
    let mut headers = HeaderMap::new();
    for (name, text) in &call.headers {
        let (name, value) = request::header(name.as_str(), &text.fill(value))
            .map_err(|why| format!("`headers`: {why}"))?;
        headers.append(name, value);
    }
    let add = |name: &'static str, value: String| {
        // Names of the rule for names, instants and numbers can stand in a header.
        HeaderValue::try_from(value).map(|value| (HeaderName::from_static(name), value)).ok()
    };
    let key = add("idempotency-key", format!("{}/{}", identity.slot, identity.attempt));
    if let Some((name, value)) = key.filter(|(name, _)| !headers.contains_key(name)) {
        headers.insert(name, value);
    }
    let trace = identity.trace.and_then(|parent| add("traceparent", parent.to_string()));
    if let Some((name, value)) = trace.filter(|(name, _)| !headers.contains_key(name)) {
        headers.insert(name, value);
    }
    for &variable in RunVariable::ALL {
        headers.extend(
            add(header_of(variable), value(variable)).map(|(name, value)| (Some(name), value)),
        );
    }
    let ca = call.ca.as_deref().map(|path| Pem::File(path.to_owned()));
    Ok(Request {
        method: call.method.clone(),
        address,
        headers,
        body: call.body.fill(value).into_bytes(),
        tls: TlsOptions { ca, ..TlsOptions::default() },
    })
}

/// The header that says what a run is.
fn header_of(variable: RunVariable) -> &'static str {
    match variable {
        RunVariable::Cluster => "solocron-cluster",
        RunVariable::Job => "solocron-job",
        RunVariable::Slot => "solocron-slot",
        RunVariable::Node => "solocron-node",
        RunVariable::RunId => "solocron-run-id",
        RunVariable::Attempt => "solocron-attempt",
        RunVariable::Fence => "solocron-fence",
    }
}

/// What `identity` says of `variable`.
pub(super) fn value(identity: &Identity, variable: RunVariable) -> String {
    let Identity { cluster, node, slot, run_id, attempt, fence, trace: _ } = identity;
    match variable {
        RunVariable::Cluster => cluster.to_string(),
        RunVariable::Job => slot.job.to_string(),
        RunVariable::Slot => slot.at.to_string(),
        RunVariable::Node => node.to_string(),
        RunVariable::RunId => run_id.to_string(),
        RunVariable::Attempt => attempt.to_string(),
        RunVariable::Fence => fence.to_string(),
    }
}

/// Where the answer goes.
struct Output {
    tail: Tail,
    sink: Arc<dyn OutputSink>,
    room: String,
}

impl Output {
    fn line(&mut self, line: &[u8]) {
        let text = readable(line, &mut self.room);
        self.sink.line(Stream::Stdout, text);
        self.tail.push(text);
    }
}
