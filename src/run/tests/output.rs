//! What commands print, and how it is read.

use std::sync::atomic::AtomicU64;

use super::*;

#[tokio::test]
async fn lines_of_both_streams_come_as_they_are_printed() {
    let (report, lines) = run(shell("echo out; echo err >&2; printf 'no end'")).await;
    let mut all = lines.all();
    all.sort_by_key(|(stream, _)| *stream == Stream::Stderr);
    assert_eq!(
        all,
        [
            (Stream::Stdout, "out".to_owned()),
            (Stream::Stdout, "no end".to_owned()),
            (Stream::Stderr, "err".to_owned()),
        ]
    );
    for line in ["out\n", "err\n", "no end\n"] {
        assert!(report.tail.contains(line), "{:?}", report.tail);
    }
}

#[tokio::test]
async fn what_cannot_be_shown_is_escaped() {
    let (report, lines) =
        run(shell(r"printf '\033[2Jcaf\351\000 50%%\r100%%\r\ntab\there\n'")).await;
    assert_eq!(lines.stdout(), ["\\x1b[2Jcaf\\xe9\\x00 50%\\x0d100%", "tab\there"]);
    assert_eq!(report.tail, lines.stdout().join("\n") + "\n");
}

#[tokio::test]
async fn the_tail_keeps_the_end() {
    let task = Task { output_limit: 10, ..shell("seq 1 1000") };
    let (report, lines) = run(task).await;
    assert_eq!(lines.stdout().len(), 1000);
    assert_eq!(report.tail, "[3883 bytes cut]\n\n999\n1000\n");
    let (report, _) = run(Task { output_limit: 0, ..shell("seq 1 1000") }).await;
    assert_eq!(report.tail, "");
}

/// Counts instead of keeping.
#[derive(Default)]
struct Count {
    lines: AtomicU64,
    bytes: AtomicU64,
}

impl OutputSink for Count {
    fn line(&self, _: Stream, line: &str) {
        self.lines.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(line.len() as u64, Ordering::Relaxed);
    }
}

async fn count(task: &Task) -> (Report, Arc<Count>) {
    let (_desk, orders) = desk();
    let sink = Arc::new(Count::default());
    let report = execute(task, &identity(), orders, GRACE, |_| {}, sink.clone()).await;
    (report, sink)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_output_is_read_whole_and_kept_small() {
    let text = format!("yes {} | head -c 50000000", "x".repeat(99));
    let (report, sink) = count(&shell(&text)).await;
    assert_eq!(report.outcome, Outcome::Succeeded);
    assert_eq!(sink.lines.load(Ordering::Relaxed), 500_000);
    assert_eq!(sink.bytes.load(Ordering::Relaxed), 49_500_000);
    assert!(report.tail.len() < 17 * 1024);
}

#[tokio::test]
async fn a_line_without_end_is_split() {
    let (_, sink) = count(&shell("head -c 1000000 /dev/zero | tr '\\0' x")).await;
    assert_eq!(sink.bytes.load(Ordering::Relaxed), 1_000_000);
    assert_eq!(sink.lines.load(Ordering::Relaxed), 1_000_000_u64.div_ceil(MAX_LINE as u64));
}

#[tokio::test]
async fn a_command_that_closes_its_output_is_waited_for() {
    let (report, lines) = run(shell("echo out; exec >&- 2>&-; sleep 0.2; exit 5")).await;
    assert_eq!(report.exit_code, Some(5));
    assert_eq!(lines.stdout(), ["out"]);
    assert!(report.finished.since(report.started) >= Duration::from_millis(200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_prints_without_end_does_not_slow_the_others() {
    let flood = start(Task { kill_grace: Duration::ZERO, ..shell("exec yes") }, GRACE);
    flood.lines.wait_for("y").await;
    for _ in 0..20 {
        let (report, lines) = run(shell("echo here")).await;
        assert_eq!(lines.stdout(), ["here"]);
        assert!(report.finished.since(report.started) < Duration::from_secs(5));
    }
    flood.desk.stop.send_replace(Some(Stop::Cancel));
    assert_eq!(flood.end().await.signal, Some(9));
}
