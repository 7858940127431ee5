//! What went on with a slot is one trace, whoever had a part in it.

use std::collections::HashSet;

use solocron::slot::Slot;
use solocron::trace::{SlotTrace, TraceParent, span_of};

use crate::collector::{Collector, Span};
use crate::harness::receiver::Receiver;
use crate::harness::site::{FIRST, Ground, Site, every_second};
use crate::harness::until;

/// A job that tells where in a trace it stands.
const TELL: &str = r#"echo "$SOLOCRON_SLOT $SOLOCRON_RUN_ID $TRACEPARENT" >> told"#;

fn of_name<'a>(trace: &'a [Span], name: &str) -> Vec<&'a Span> {
    trace.iter().filter(|span| span.name == name).collect()
}

/// The spans of one trace.
fn trace(spans: &[Span], id: &str) -> Vec<Span> {
    spans.iter().filter(|span| span.trace == id).cloned().collect()
}

#[test]
fn a_slots_claim_run_and_completion_are_one_trace_and_its_job_is_told_where_it_stands() {
    let site = Site::new(Ground::Redis, "", &every_second("tick", TELL, "overlap = 'allow'"));
    let collector = Collector::friendly();
    let start = |name| site.start_with(name, |command| collector.told_by(command)).ready();
    let _nodes = [start("web-1"), start("web-2")];

    // Of both nodes: one has it, the other learns who.
    let (id, spans) = collector.wait("a whole trace has come", |spans| {
        let roots = spans.iter().filter(|span| span.parent.is_empty());
        roots
            .map(|root| (root.trace.clone(), trace(spans, &root.trace)))
            .find(|(_, trace)| trace.len() >= 5)
    });
    assert_eq!(spans.len(), 5, "{spans:?}");
    let [root] = *of_name(&spans, "tick") else { panic!("{spans:?}") };
    let [run] = *of_name(&spans, "run") else { panic!("{spans:?}") };
    let [complete] = *of_name(&spans, "complete") else { panic!("{spans:?}") };
    let claims = of_name(&spans, "claim");
    let won = claims.iter().find(|claim| claim.text("verdict") == "won").unwrap();
    let other = claims.iter().find(|claim| claim.text("verdict") != "won").unwrap();

    let slot: Slot = format!("tick@{}", root.text("slot")).parse().unwrap();
    let cluster = root.text("cluster").parse().unwrap();
    let named = SlotTrace::of(&cluster, &slot);
    assert_eq!((&id, &root.id), (&format!("{:032x}", named.id), &format!("{:016x}", named.root)));
    for child in [run, complete, won, other] {
        assert_eq!(child.parent, root.id, "{child:?}");
    }
    let winner = root.text("node");
    assert_eq!(
        (run.text("node"), complete.text("node"), won.text("node")),
        (winner, winner, winner)
    );
    assert!(other.text("node") != winner && other.text("holder") == winner, "{other:?}");
    for (span, fields) in [
        (root, vec!["attempt", "fence", "outcome", "run_id"]),
        (run, vec!["attempt", "fence", "outcome", "run_id"]),
        (*won, vec!["attempt", "fence"]),
    ] {
        for field in fields {
            assert_eq!(span.text(field), run.text(field), "{field} of {span:?}");
            assert!(!span.text(field).is_empty(), "{field} of {span:?}");
        }
    }
    assert_eq!((run.text("outcome"), run.text("process.exit.code")), ("succeeded", "0"));
    assert_eq!((run.text("service.name"), run.text("service.instance.id")), ("solocron", winner));
    assert!(spans.iter().all(|span| !span.failed), "{spans:?}");
    // Instants of the log have milliseconds.
    assert!(root.start <= won.start && won.start <= run.start + 1_000_000, "{spans:?}");
    assert!(run.end <= complete.end && complete.end <= root.end, "{spans:?}");

    let line = site.lines("told").into_iter().find(|line| line.starts_with(root.text("slot")));
    let line = line.expect("the job wrote it");
    let words: Vec<_> = line.split(' ').collect();
    assert_eq!(words[1], run.text("run_id"));
    let span = span_of(words[1].parse().unwrap());
    let parent = TraceParent { trace: named.id, span, sampled: true }.to_string();
    assert_eq!(words[2], parent);
    assert_eq!(words[2], format!("00-{id}-{}-01", run.id));

    let all = collector.spans();
    let traces: HashSet<_> = of_name(&all, "tick").iter().map(|root| root.trace.clone()).collect();
    let slots: HashSet<_> = of_name(&all, "tick").iter().map(|root| root.text("slot")).collect();
    assert_eq!(traces.len(), slots.len(), "each slot has a trace of its own");
}

#[test]
fn a_takeover_after_a_kill_goes_on_with_the_trace_of_the_first_attempt() {
    let shell = format!("{FIRST} && exec sleep 600; {TELL}");
    let job =
        format!("[jobs.once]\nschedule = '0 0 29 2 *'\nshell = '''{shell}'''\nlease_ttl = '1s'\n");
    let site = Site::new(Ground::Redis, "", &job);
    let collector = Collector::friendly();
    let start = |name| site.start_with(name, |command| collector.told_by(command)).ready();
    let mut nodes = [start("web-1"), start("web-2")];
    site.ask(&["trigger", "once"]);
    let lost = site.first_run();
    let claim = collector.wait("the claim has come", |spans| {
        of_name(spans, "claim").into_iter().find(|claim| claim.text("verdict") == "won").cloned()
    });
    let holder = claim.text("node").to_owned();
    nodes.iter_mut().find(|node| node.name == holder).unwrap().kill9();

    let root = collector.wait("the slot is settled", |spans| {
        spans.iter().find(|span| span.parent.is_empty()).cloned()
    });
    let spans = trace(&collector.spans(), &claim.trace);
    assert_eq!(root.trace, claim.trace);
    let runs = of_name(&spans, "run");
    let first = runs.iter().find(|run| run.text("run_id") == lost).unwrap();
    assert_eq!(
        (first.text("node"), first.text("attempt"), first.text("outcome"), first.failed),
        (&*holder, "1", "lease_lost", true)
    );
    let second = runs.iter().find(|run| run.text("run_id") != lost).unwrap();
    assert_eq!((second.text("attempt"), second.text("outcome")), ("2", "succeeded"));
    assert_eq!(runs.len(), 2, "{runs:?}");
    assert!(second.text("node") != holder);
    assert!(spans.iter().all(|span| span.parent == root.id || span.id == root.id), "{spans:?}");
    assert_eq!(
        (root.text("node"), root.text("attempt"), root.text("outcome"), root.text("trigger_id")),
        (second.text("node"), "2", "succeeded", first.text("trigger_id"))
    );
    assert!(!first.text("trigger_id").is_empty());
    let told = site.lines("told");
    let [line] = &*told else { panic!("{told:?}") };
    assert!(line.ends_with(&format!("00-{}-{}-01", root.trace, second.id)), "{line}");
}

#[test]
fn an_http_job_sends_where_it_stands_and_an_abandoned_slot_has_an_end() {
    let server = Receiver::friendly();
    let jobs = format!(
        "[jobs.call]\nschedule = '0 0 29 2 *'\nhttp = {{ method = 'POST', url = '{}' }}\n\
         [jobs.own]\nschedule = '0 0 29 2 *'\nhttp = {{ method = 'POST', url = '{}', headers = {{ traceparent = 'mine' }} }}\n\
         [jobs.gone]\nschedule = '0 0 29 2 *'\nshell = 'touch begun; exec sleep 600'\nlease_ttl = '1s'\non_crash = 'skip'\n",
        server.url("/call"),
        server.url("/own"),
    );
    let site = Site::new(Ground::Redis, "", &jobs);
    let collector = Collector::friendly();
    let start = |name| site.start_with(name, |command| collector.told_by(command)).ready();
    let mut node = start("web-1");
    site.ask(&["trigger", "call"]);
    site.ask(&["trigger", "own"]);
    let received = server.wait(2);
    let run = collector.wait("the run has come", |spans| {
        spans.iter().find(|span| span.name == "run" && span.text("job") == "call").cloned()
    });
    let of = |path| received.iter().find(|received| received.path == path).unwrap();
    assert_eq!(of("/call").header("traceparent"), format!("00-{}-{}-01", run.trace, run.id));
    assert_eq!(of("/own").header("traceparent"), "mine");

    site.ask(&["trigger", "gone"]);
    until("it has begun", || site.folder().join("begun").exists());
    node.kill9();
    let _other = start("web-2");
    let root = collector.wait("the slot is settled", |spans| {
        spans.iter().find(|span| span.name == "gone").cloned()
    });
    assert_eq!(
        (root.text("outcome"), root.text("node"), root.failed),
        ("abandoned", "web-2", true)
    );
    let spans = trace(&collector.spans(), &root.trace);
    let [run] = *of_name(&spans, "run") else { panic!("{spans:?}") };
    assert_eq!((run.text("outcome"), run.text("node")), ("abandoned", "web-1"));
}
