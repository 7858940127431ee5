//! What jobs print: any bytes, any amount, and the log stays a log.

use serde_json::Value;

use crate::bench::{Bench, every_second};
use crate::harness::node::Node;

/// A job that prints once and then is silent.
/// A job that has something to say in its first run only. Later ones fail: the
/// ledger keeps the outputs of the last ten that succeeded, however long this takes.
fn once(name: &str, shell: &str) -> String {
    every_second(name, &format!("shell = '''mkdir {name} 2>/dev/null || exit 1; {shell}'''"))
}

/// The first run of `job`, when it has ended, and the records of its output.
fn output(node: &Node, job: &str) -> (Value, Vec<Value>) {
    let first = node.wait_where("run.started", |run| run["job"] == job);
    let run = node.wait_where("run.finished", |run| run["run_id"] == first["run_id"]);
    let of_the_run = |record: &Value| record["run_id"] == run["run_id"];
    (run.clone(), node.all("run.output", of_the_run))
}

fn lines<'a>(records: &'a [Value], stream: &str) -> Vec<&'a str> {
    let of_the_stream = records.iter().filter(|record| record["stream"] == stream);
    of_the_stream.map(|record| record["line"].as_str().unwrap()).collect()
}

#[test]
fn any_bytes_become_readable_lines() {
    let bench = Bench::with(
        &[
            once(
                "control",
                r#"printf 'tab\there\nbell\007\033[31mred\033[0m\000nul\r\n50%%\r100%%\n'"#,
            ),
            once("not-utf8", r#"printf 'caf\351 ok \303\251\n\377\376\n' >&2"#),
            once("no-end", "printf 'no end'"),
            once("blank", r#"printf '\n\nx\n'"#),
            once("direction", r#"printf '\342\200\256evil\n'"#),
        ]
        .concat(),
    );
    let mut node = bench.node();
    let (_, control) = output(&node, "control");
    assert_eq!(
        lines(&control, "stdout"),
        ["tab\there", "bell\\x07\\x1b[31mred\\x1b[0m\\x00nul", "50%\\x0d100%"]
    );
    let (_, bytes) = output(&node, "not-utf8");
    assert_eq!(lines(&bytes, "stderr"), ["caf\\xe9 ok é", "\\xff\\xfe"]);
    assert_eq!(lines(&output(&node, "no-end").1, "stdout"), ["no end"]);
    assert_eq!(lines(&output(&node, "blank").1, "stdout"), ["", "", "x"]);
    let (run, turned) = output(&node, "direction");
    assert_eq!(lines(&turned, "stdout"), ["\u{202e}evil"]);
    assert_eq!(node.drain(), 0);
    assert_eq!(node.strays(), [] as [&str; 0], "every line is JSON");

    // People are not shown it raw, either.
    let slot = format!("direction@{}", run["slot"].as_str().unwrap());
    let story = bench.run(&["slot", &slot]).good();
    assert!(story.contains("evil") && !story.contains('\u{202e}'), "{story:?}");
}

#[test]
fn a_line_of_a_megabyte_comes_in_pieces_and_all_of_it() {
    let bench =
        Bench::with(&once("long", "head -c 1000000 /dev/zero | tr '\\0' x; echo; echo end"));
    let mut node = bench.node();
    let (run, records) = output(&node, "long");
    assert_eq!(run["outcome"], "succeeded");
    let pieces = lines(&records, "stdout");
    assert!(pieces.len() > 2);
    assert_eq!(*pieces.last().unwrap(), "end");
    let length: usize = pieces[..pieces.len() - 1].iter().map(|piece| piece.len()).sum();
    assert_eq!(length, 1_000_000);
    assert!(pieces[..pieces.len() - 1].iter().all(|piece| piece.bytes().all(|b| b == b'x')));
    assert_eq!(node.drain(), 0);
    assert_eq!(node.strays(), [] as [&str; 0]);
}

#[test]
fn fifty_megabytes_neither_stop_the_node_nor_get_lost_uncounted() {
    const LINES: u64 = 50_000;
    const LENGTH: u64 = 999;
    let bench = Bench::with(
        &[
            once(
                "much",
                &format!("yes $(head -c {LENGTH} /dev/zero | tr '\\0' y) | head -n {LINES}"),
            ),
            every_second("beside", "shell = \"true\""),
        ]
        .concat(),
    );
    let mut node = bench.node();
    // Later ones have nothing to say and end before it.
    let first = node.wait_where("run.started", |run| run["job"] == "much");
    let run = node.wait_where("run.finished", |run| run["run_id"] == first["run_id"]);
    assert_eq!(run["outcome"], "succeeded");
    node.wait_where("run.finished", |beside| {
        beside["job"] == "beside" && beside["slot"].as_str() > run["slot"].as_str()
    });
    assert_eq!(node.drain(), 0);
    assert_eq!(node.strays(), [] as [&str; 0]);

    let of_the_run = |record: &Value| record["run_id"] == run["run_id"];
    let written = node.all("run.output", of_the_run);
    let dropped = node.all("run.output_dropped", of_the_run);
    let sum =
        |field: &str| dropped.iter().map(|record| record[field].as_u64().unwrap()).sum::<u64>();
    assert_eq!(written.len() as u64 + sum("lines"), LINES);
    let bytes: usize = lines(&written, "stdout").iter().map(|line| line.len()).sum();
    assert_eq!(bytes as u64 + sum("bytes"), LINES * LENGTH);

    // The ledger keeps the end, and not more than it may.
    let slot = format!("much@{}", run["slot"].as_str().unwrap());
    let story = bench.run(&["slot", &slot, "--format", "json"]).json();
    let tail = story["output"].as_str().unwrap();
    assert!(tail.ends_with("yyy\n"), "{tail}");
    assert!((15_000..17_000).contains(&tail.len()), "{}", tail.len());
    assert!(tail.starts_with('[') && tail.contains(" bytes cut]\n"));
}

#[test]
fn the_filter_keeps_output_out_of_the_log_but_not_out_of_the_ledger() {
    let bench = Bench::with(&format!(
        "[log]\nfilter = \"info,solocron::run::output=off\"\n{}",
        once("talk", "echo hello")
    ));
    let mut node = bench.node();
    let (run, records) = output(&node, "talk");
    assert_eq!(records, [] as [Value; 0]);
    assert_eq!(node.drain(), 0);
    let slot = format!("talk@{}", run["slot"].as_str().unwrap());
    let story = bench.run(&["slot", &slot, "--format", "json"]).json();
    assert_eq!(story["output"], "hello\n");
}
