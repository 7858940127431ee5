//! The oracle itself can be trusted: it finds every fault that is put in, and
//! what a test leaves when it panics is cleared away.

use crate::harness::lives::{lively, lives};
use crate::harness::oracle::{Account, Entry, Evidence, Scope, Testimony, testimonies};
use crate::harness::processes::{self, with_variable};
use crate::harness::site::{Ground, Site, TESTIFY, every_second};
use crate::harness::until;

fn scope() -> Scope {
    Scope { jobs: vec!["a".to_owned()], after: 100, upto: 104, ..Scope::default() }
}

fn line(at: i64) -> Testimony {
    Testimony {
        key: ("a".to_owned(), at),
        node: "n".to_owned(),
        run_id: format!("run-{at}"),
        fence: at.unsigned_abs() * 10,
        attempt: 1,
        up: at as f64,
    }
}

fn run(at: i64) -> Entry {
    Entry {
        job: "a".to_owned(),
        slot: crate::harness::oracle::written(&("a".to_owned(), at))[2..].to_owned(),
        slot_to: None,
        count: None,
        outcome: "succeeded".to_owned(),
        reason: None,
        node: Some("n".to_owned()),
        run_id: Some(format!("run-{at}")),
        attempt: Some(1),
        fence: Some(at.unsigned_abs() * 10),
        trigger_id: None,
        started_at: None,
        finished_at: None,
        exit_code: None,
        signal: None,
        error: None,
    }
}

fn missed(from: i64, to: i64) -> Entry {
    Entry {
        slot_to: Some(run(to).slot),
        count: Some(to - from + 1),
        outcome: "missed".to_owned(),
        reason: Some("no_node".to_owned()),
        node: None,
        run_id: None,
        attempt: None,
        fence: None,
        ..run(from)
    }
}

#[test]
fn a_line_that_is_read_while_it_is_written_is_not_taken_for_a_whole_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("testimony");
    assert_eq!(testimonies(&file), []);
    std::fs::write(&file, "a 1970-01-01T00:01:41Z n run-101 1010 1 101.0\na 1970-01-").unwrap();
    assert_eq!(testimonies(&file), [line(101)]);
}

/// Slots 101 and 102 ran, 103 and 104 were missed.
fn sound() -> Evidence {
    Evidence {
        testimonies: vec![line(101), line(102)],
        ledger: vec![run(101), run(102), missed(103, 104)],
        logs: Vec::new(),
    }
}

#[test]
fn sound_evidence_has_no_fault() {
    let account = sound().account(&scope());
    let missed = [("no_node".to_owned(), 2)].into();
    assert_eq!(account, Account { ran: 2, missed, ..Account::default() });
}

/// Slots of one job that were missed out of their order, with a run between: the first range
/// has 101, 102 and 105, the second 103 and 106.
fn interleaved() -> (Evidence, Scope) {
    let count = |count, range| Entry { count: Some(count), ..range };
    let evidence = Evidence {
        testimonies: vec![line(104)],
        ledger: vec![count(3, missed(101, 105)), run(104), count(2, missed(103, 106))],
        logs: Vec::new(),
    };
    (evidence, Scope { upto: 106, ..scope() })
}

#[test]
fn ranges_that_reach_into_each_other_have_as_many_slots_as_they_count() {
    let (mut evidence, scope) = interleaved();
    let account = evidence.account(&scope);
    assert_eq!((account.ran, &account.missed["no_node"], account.faults), (1, &5, vec![]));
    assert_eq!(evidence.open(&scope), []);

    evidence.ledger[0].count = Some(2);
    assert_ne!(evidence.account(&scope).faults, [], "one is nobody's");
    assert_eq!(evidence.open(&scope).len(), 1);
    evidence.ledger[0].count = Some(4);
    assert_ne!(evidence.account(&scope).faults, [], "there are not as many");
}

#[test]
fn a_job_with_a_period_is_due_at_its_multiples() {
    let periods = [("a".to_owned(), 5)].into();
    let scope = Scope { periods, upto: 115, ..scope() };
    let slots: Vec<_> = scope.keys().map(|key| key.1).collect();
    assert_eq!(slots, [105, 110, 115]);
    let range = Entry { count: Some(2), ..missed(110, 115) };
    let evidence =
        Evidence { testimonies: vec![line(105)], ledger: vec![run(105), range], logs: Vec::new() };
    let missed = [("no_node".to_owned(), 2)].into();
    assert_eq!(evidence.account(&scope), Account { ran: 1, missed, ..Account::default() });
}

#[test]
fn every_fault_that_is_put_in_is_found() {
    type Tamper = fn(&mut Evidence);
    let cases: [(&str, Tamper); 12] = [
        ("a line is dropped", |all| drop(all.testimonies.remove(0))),
        ("a line is doubled", |all| all.testimonies.push(line(101))),
        ("a slot is run again later", |all| {
            all.testimonies.push(Testimony { run_id: "other".to_owned(), ..line(102) });
        }),
        ("a run is not in the ledger", |all| drop(all.ledger.remove(0))),
        ("a run is in the ledger twice", |all| all.ledger.push(run(101))),
        ("a slot is in no range", |all| all.ledger[2] = missed(103, 103)),
        ("a slot is in two ranges", |all| all.ledger.push(missed(104, 104))),
        ("a slot that ran is in a range", |all| all.ledger[2] = missed(102, 104)),
        ("a slot that ran is only in a range", |all| {
            all.ledger = vec![run(101), missed(102, 104)];
        }),
        ("a range counts wrong", |all| all.ledger[2].count = Some(3)),
        ("another node has written", |all| all.testimonies[0].node = "other".to_owned()),
        ("the fence is another", |all| all.testimonies[0].fence += 1),
    ];
    for (case, tamper) in cases {
        let mut evidence = sound();
        tamper(&mut evidence);
        assert_ne!(evidence.account(&scope()).faults, [], "{case}");
    }
}

#[test]
fn a_slot_handed_over_is_one_slot_unless_its_fence_does_not_grow() {
    let mut evidence = sound();
    evidence.ledger[1] = Entry { outcome: "handed_over".to_owned(), ..run(102) };
    assert_eq!(evidence.open(&scope()), [("a".to_owned(), 102)], "it has no end yet");
    assert_ne!(evidence.account(&scope()).faults, []);

    let again = ("other".to_owned(), "run-again".to_owned());
    evidence.testimonies.push(Testimony {
        node: again.0.clone(),
        run_id: again.1.clone(),
        attempt: 2,
        fence: 1021,
        ..line(102)
    });
    evidence.ledger.push(Entry {
        node: Some(again.0),
        run_id: Some(again.1),
        attempt: Some(2),
        fence: Some(1021),
        ..run(102)
    });
    let account = evidence.account(&scope());
    assert_eq!((account.ran, account.handed_over, account.faults), (2, 1, vec![]));

    evidence.ledger[3].fence = Some(1020);
    evidence.testimonies[2].fence = 1020;
    assert_ne!(evidence.account(&scope()).faults, []);
}

#[test]
fn a_test_that_panics_leaves_no_process_and_no_file_behind() {
    // The child of the shell would outlive its node.
    let job = every_second("long", &format!("{TESTIFY}; sleep 600; true"), "");
    for ground in [Ground::Sqlite, Ground::Redis] {
        let site = Site::new(ground, "", &job);
        let folder = site.folder().to_owned();
        let first = std::sync::Mutex::new(String::new());
        let test = std::panic::AssertUnwindSafe(|| {
            let site = site;
            let node = site.start("node").ready();
            until("a job has started its child", || site.jobs_alive().len() > 1);
            let run = node.wait("run.started")["run_id"].clone();
            *first.lock().unwrap() = run.as_str().unwrap().to_owned();
            std::panic::resume_unwind(Box::new("as if an assertion had failed"));
        });
        assert!(std::panic::catch_unwind(test).is_err());
        let run = first.into_inner().unwrap();
        assert!(!run.is_empty(), "the test came to its end");
        assert_eq!(with_variable(&format!("SOLOCRON_RUN_ID={run}")), [0; 0]);
        assert!(!folder.exists());
    }
}

/// Lets the command `work` live as the run `run` of a slot of `folder`.
fn live(folder: &std::path::Path, run: &str, work: &str) -> std::process::Child {
    let mut command = std::process::Command::new("sh");
    command.arg("-c").arg(lively(work)).current_dir(folder);
    for (name, value) in [
        ("JOB", "long"),
        ("SLOT", "2026-11-22T03:00:00Z"),
        ("NODE", "web-1"),
        ("RUN_ID", run),
        ("FENCE", "7"),
        ("ATTEMPT", "1"),
    ] {
        command.env(format!("SOLOCRON_{name}"), value);
    }
    processes::spawn(command).unwrap()
}

#[test]
fn a_run_that_begins_while_a_process_of_another_lives_is_told_to_overlap() {
    let folder = tempfile::tempdir().unwrap();
    let stray = "setsid sh -c 'until [ -e go ]; do sleep 0.02; done; echo > gone' & exit";
    // Its leader ends at once.
    assert!(live(folder.path(), "first", stray).wait().unwrap().success());
    assert!(live(folder.path(), "second", "").wait().unwrap().success());
    std::fs::write(folder.path().join("go"), "").unwrap();
    until("the stray process is gone", || {
        folder.path().join("gone").exists() && with_variable("SOLOCRON_RUN_ID=first").is_empty()
    });
    assert!(live(folder.path(), "third", "").wait().unwrap().success());

    let text = std::fs::read_to_string(folder.path().join("lives")).unwrap();
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    let told: Vec<_> = lives(&lines)
        .into_iter()
        .map(|life| (life.run_id, life.overlaps, life.ended.is_some()))
        .collect();
    let expected = [("first", false, false), ("second", true, true), ("third", false, true)];
    assert_eq!(told, expected.map(|(run, overlaps, ended)| (run.to_owned(), overlaps, ended)));
}
