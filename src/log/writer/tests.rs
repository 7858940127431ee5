//! The queue against sinks that block, stall, fail and vanish.

use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use proptest::prelude::*;

use super::*;

const SMALL: Limits = Limits { output: 4 << 10, resume: 1 << 10, all: 64 << 10 };

fn tell() -> Tell {
    Box::new(|loss, line| {
        let Loss { run_id, lines, bytes, .. } = loss;
        let _ = writeln!(line, "LOST {run_id} {lines} {bytes}");
    })
}

fn on_pipe(limits: Limits) -> (Arc<Queue>, Guard, PipeReader) {
    let (reader, writer): (PipeReader, PipeWriter) = io::pipe().unwrap();
    let (queue, guard) = start(Box::new(writer), limits, tell()).unwrap();
    (queue, guard, reader)
}

fn run(run_id: &str) -> RunFields<'_> {
    RunFields { job: "j", slot: "s", run_id, attempt: 1, fence: 7 }
}

fn put(queue: &Queue, run_id: &str, number: usize, padding: usize) {
    let record = format!("{run_id} {number} {}\n", "x".repeat(padding));
    queue.output(run(run_id), padding, record.as_bytes());
}

/// Reads the log back and holds it against `handed_in` lines of `run_id`, each
/// of `padding` bytes: every line is there or counted in its place, in order.
/// How many were lost.
fn account_for(log: &str, run_id: &str, handed_in: usize, padding: usize) -> usize {
    let (mut next, mut all_lost) = (0, 0);
    for line in log.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if words[0] == "LOST" && words[1] == run_id {
            let lost: usize = words[2].parse().unwrap();
            assert_eq!(words[3], (lost * padding).to_string());
            next += lost;
            all_lost += lost;
        } else if words[0] == run_id {
            assert_eq!(words[1], next.to_string(), "order of {run_id}");
            assert_eq!(words[2].len(), padding, "a whole line");
            next += 1;
        }
    }
    assert_eq!(next, handed_in, "lines of {run_id}");
    all_lost
}

fn read_all(mut reader: PipeReader) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut log = String::new();
        reader.read_to_string(&mut log).unwrap();
        log
    })
}

#[test]
fn a_reader_that_sleeps_blocks_nobody_and_every_line_is_accounted_for() {
    let (queue, guard, reader) = on_pipe(SMALL);
    // The pipe holds 64 KiB: that it took 50 MB without a reader shows that
    // nobody waited for it.
    for number in 0..100_000 {
        put(&queue, "a", number, 500);
    }
    for number in 0..10 {
        put(&queue, "b", number, 500);
    }
    let log = read_all(reader);
    drop(guard);
    let log = log.join().unwrap();
    let lost = account_for(&log, "a", 100_000, 500);
    assert!((99_000..100_000).contains(&lost), "{lost}");
    assert_eq!(account_for(&log, "b", 10, 500), 10);
}

#[test]
fn events_are_taken_when_output_is_not_and_a_run_hears_of_its_loss_before_its_end() {
    let (queue, guard, reader) = on_pipe(SMALL);
    for number in 0..1_000 {
        put(&queue, "a", number, 500);
    }
    queue.event(Some(run("a")), b"a finished\n");
    queue.event(Some(run("b")), b"b started\n");
    let log = read_all(reader);
    drop(guard);
    let log = log.join().unwrap();
    let mut end = log.lines().rev();
    assert_eq!(end.next(), Some("b started"));
    assert_eq!(end.next(), Some("a finished"));
    assert!(end.next().is_some_and(|line| line.starts_with("LOST a ")));
}

#[test]
fn over_the_last_limit_events_are_counted_too() {
    let (queue, guard, reader) = on_pipe(SMALL);
    let record = format!("{}\n", "e".repeat(999));
    for _ in 0..1_000 {
        queue.event(None, record.as_bytes());
    }
    let log = read_all(reader);
    drop(guard);
    let log = log.join().unwrap();
    let (there, told): (Vec<&str>, Vec<&str>) = log.lines().partition(|l| l.starts_with('e'));
    let lost = 1_000 - there.len();
    assert!(lost > 800, "{lost}");
    // They are told twice where the thread came to write when some had been lost before.
    let counts = told.iter().map(|line| {
        let counts = line.strip_prefix("LOST  ").unwrap().split_once(' ').unwrap();
        [counts.0, counts.1].map(|count| count.parse::<usize>().unwrap())
    });
    let [lines, bytes] = counts.fold([0, 0], |[a, b], [c, d]| [a + c, b + d]);
    assert_eq!([lines, bytes], [lost, lost * 999], "{told:?}");
}

#[test]
fn output_is_taken_again_once_the_reader_catches_up() {
    let (queue, guard, reader) = on_pipe(SMALL);
    for number in 0..1_000 {
        put(&queue, "a", number, 500);
    }
    let mut reader = BufReader::new(reader);
    let mut log = String::new();
    let shedding = || queue.lock().shedding;
    while shedding() {
        reader.read_line(&mut log).unwrap();
    }
    put(&queue, "a", 1_000, 500);
    drop(guard);
    reader.read_to_string(&mut log).unwrap();
    account_for(&log, "a", 1_001, 500);
    assert!(log.ends_with("x\n"), "the last line was taken");
}

#[test]
fn a_record_wakes_the_thread() {
    let (queue, _guard, reader) = on_pipe(SMALL);
    for _ in 0..3 {
        while !queue.lock().asleep {
            thread::yield_now();
        }
        queue.event(None, b"e\n");
        assert!(!queue.lock().asleep);
    }
    let (read, line) = mpsc::channel();
    thread::spawn(move || BufReader::new(reader).lines().try_for_each(|l| read.send(l.unwrap())));
    for _ in 0..3 {
        assert_eq!(line.recv_timeout(FLUSH_AT_MOST).as_deref(), Ok("e"));
    }
}

#[test]
fn a_line_longer_than_the_queue_is_told_although_nothing_else_happens() {
    let (queue, _guard, reader) = on_pipe(SMALL);
    put(&queue, "a", 0, 10_000);
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).unwrap();
    assert_eq!(line, "LOST a 1 10000\n");
}

#[test]
fn losses_of_very_many_runs_are_added_up_in_the_end() {
    let (queue, guard, reader) = on_pipe(Limits { output: 0, resume: 0, all: 64 << 20 });
    queue.event(None, &b"more than a pipe holds\n".repeat(10_000));
    for number in 0..RUNS_TOLD_APART + 5 {
        put(&queue, &format!("run{number}"), 0, 10);
        put(&queue, &format!("run{number}"), 1, 10);
    }
    let log = read_all(reader);
    drop(guard);
    let log = log.join().unwrap();
    assert_eq!(log.matches("LOST run").count(), RUNS_TOLD_APART);
    assert_eq!(log.matches("LOST  10 100\n").count(), 1);
}

#[test]
fn a_reader_that_is_gone_ends_the_writing_and_nothing_else() {
    let (queue, guard, reader) = on_pipe(SMALL);
    drop(reader);
    for number in 0..100_000 {
        put(&queue, "a", number, 500);
        queue.event(None, b"e\n");
    }
    while !queue.lock().gone {
        thread::yield_now();
    }
    assert_eq!(queue.lock().held(), 0);
    drop(guard);
}

#[test]
fn the_end_waits_for_a_blocked_reader_but_not_for_long() {
    let (queue, guard, _reader) = on_pipe(Limits::default());
    for number in 0..1_000 {
        put(&queue, "a", number, 500);
    }
    let (ended, end) = mpsc::channel();
    thread::spawn(move || {
        drop(guard);
        ended.send(()).unwrap();
    });
    assert!(end.recv_timeout(FLUSH_AT_MOST / 2).is_err(), "it gives the reader a chance");
    assert!(end.recv_timeout(FLUSH_AT_MOST * 3).is_ok(), "it ends");
}

/// Takes a few bytes at a time, and fails between as a full disk or a
/// non-blocking terminal does.
struct Moody {
    calls: AtomicUsize,
    out: Arc<Mutex<Vec<u8>>>,
}

impl Write for Moody {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.calls.fetch_add(1, Ordering::Relaxed) {
            1 => Err(io::ErrorKind::StorageFull.into()),
            n if n % 3 == 2 => Err(io::ErrorKind::WouldBlock.into()),
            n if n % 3 == 1 => Err(io::ErrorKind::Interrupted.into()),
            _ => self.out.lock().unwrap().write(&bytes[..bytes.len().min(7)]),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_sink_that_fails_for_a_while_gets_everything_in_the_end() {
    let out = Arc::new(Mutex::new(Vec::new()));
    let sink = Moody { calls: AtomicUsize::new(0), out: Arc::clone(&out) };
    let (queue, guard) = start(Box::new(sink), SMALL, tell()).unwrap();
    for number in 0..10 {
        put(&queue, "a", number, 10);
    }
    drop(guard);
    let log = String::from_utf8(out.lock().unwrap().clone()).unwrap();
    assert_eq!(account_for(&log, "a", 10, 10), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_the_pace_every_line_is_written_or_counted_in_order(
        output in 0_usize..20_000,
        resume in 0_usize..20_000,
        padding in 1_usize..400,
        lines in 1_usize..600,
        chunk in 1_usize..30_000,
        writers in 1_usize..4,
    ) {
        let (queue, guard, mut reader) = on_pipe(Limits { output, resume, all: 1 << 20 });
        let log = thread::spawn(move || {
            let mut log = Vec::new();
            let mut some = vec![0; chunk];
            loop {
                match reader.read(&mut some).unwrap() {
                    0 => return String::from_utf8(log).unwrap(),
                    n => log.extend_from_slice(&some[..n]),
                }
                thread::yield_now();
            }
        });
        thread::scope(|scope| {
            for writer in 0..writers {
                let queue = &queue;
                scope.spawn(move || {
                    let name = format!("w{writer}");
                    for number in 0..lines {
                        put(queue, &name, number, padding);
                        if number % 50 == 49 {
                            queue.event(Some(run(&name)), b"event\n");
                        }
                    }
                });
            }
        });
        drop(guard);
        let log = log.join().unwrap();
        for writer in 0..writers {
            account_for(&log, &format!("w{writer}"), lines, padding);
        }
        prop_assert_eq!(log.matches("event\n").count(), writers * (lines / 50));
    }
}
