//! `solocron history`: what ran, newest first.

use serde_json::{Value, json};

use crate::bench::{Bench, every_second};
use crate::harness::node::Node;

/// Of everything that can become of a run, one each.
fn jobs() -> String {
    [
        every_second("good", "shell = \"echo fine\""),
        every_second("bad", "shell = \"echo oops >&2; exit 3\""),
        every_second("missing", "command = [\"/no/such/program\"]"),
        every_second("slow", "shell = \"sleep 30\"\ntimeout = \"100ms\""),
        every_second("killed", "shell = \"kill -USR1 $$\""),
    ]
    .concat()
}

/// Runs the table until every job has ended a run, and drains the node.
fn ran() -> (Bench, Node) {
    let bench = Bench::with(&jobs());
    let mut node = bench.node();
    for job in ["good", "bad", "missing", "slow", "killed"] {
        node.wait_where("run.finished", |run| run["job"] == job);
    }
    assert_eq!(node.drain(), 0);
    (bench, node)
}

#[test]
fn every_run_is_told_with_all_its_fields_as_the_log_told_it() {
    let (bench, node) = ran();
    let entries = bench.history(&["--limit", "1000"]);
    let finished = node.events("run.finished");
    assert_eq!(entries.len(), finished.len());
    for told in finished {
        let entry = entries.iter().find(|entry| entry["run_id"] == told["run_id"]).unwrap();
        for field in ["job", "slot", "node", "run_id", "attempt", "fence", "outcome"] {
            assert_eq!(entry[field], told[field], "{field} of {entry}");
        }
        for field in ["exit_code", "signal", "error"] {
            assert_eq!(
                &entry[field],
                told.get(field).unwrap_or(&Value::Null),
                "{field} of {entry}"
            );
        }
        let instant =
            |field: &str| entry[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        assert!(instant("slot") <= instant("started_at"), "{entry}");
        assert!(instant("started_at") <= instant("finished_at"), "{entry}");
        assert_eq!(entry["node"], "web-1");
        assert_eq!(entry["attempt"], 1);
    }

    let last = |job: &str| entries.iter().find(|entry| entry["job"] == job).unwrap();
    let ending = |job: &str| {
        let Value::Object(entry) = last(job) else { unreachable!() };
        json!([entry["outcome"], entry["exit_code"], entry["signal"]])
    };
    assert_eq!(ending("good"), json!(["succeeded", 0, null]));
    assert_eq!(last("good")["error"], Value::Null);
    assert_eq!(ending("bad"), json!(["failed", 3, null]));
    assert_eq!(ending("missing"), json!(["failed", null, null]));
    assert!(last("missing")["error"].as_str().unwrap().contains("/no/such/program"));
    assert_eq!(last("slow")["outcome"], "timed_out");
    assert!(last("slow")["error"].as_str().unwrap().contains("100ms"));
    assert_eq!(ending("killed"), json!(["failed", null, 10]));
}

#[test]
fn the_newest_come_first_and_can_be_narrowed_down() {
    let (bench, _node) = ran();
    let all = bench.history(&["--limit", "1000"]);
    let finished: Vec<_> =
        all.iter().map(|entry| entry["finished_at"].as_str().unwrap().to_owned()).collect();
    assert!(finished.is_sorted_by(|newer, older| newer >= older), "{finished:?}");

    assert_eq!(bench.history(&["--limit", "2"]), all[..2]);
    assert_eq!(bench.history(&["--node", "web-1", "--limit", "1000"]), all);
    assert_eq!(bench.history(&["--node", "web-2"]), [] as [Value; 0]);
    let good: Vec<_> = all.iter().filter(|entry| entry["job"] == "good").cloned().collect();
    assert_eq!(bench.history(&["good", "--limit", "1000"]), good);
    assert_eq!(bench.history(&["--since", "1h", "--limit", "1000"]), all);
    assert_eq!(bench.history(&["--since", "2026-01-01", "--limit", "1000"]), all);
    assert_eq!(bench.history(&["--since", "99999999d", "--limit", "1000"]), all);
    assert_eq!(bench.history(&["--since", "2100-01-01T00:00:00Z"]), [] as [Value; 0]);
    let newest = all[0]["finished_at"].as_str().unwrap();
    let since = bench.history(&["--since", newest]);
    assert!(!since.is_empty() && since.len() < all.len(), "{since:?}");
}

#[test]
fn the_table_shows_the_same_for_people() {
    let (bench, _node) = ran();
    let entries = bench.history(&[]);
    let table = bench.run(&["history"]).good();
    let rows: Vec<Vec<&str>> =
        table.lines().map(|row| row.split_ascii_whitespace().collect()).collect();
    assert_eq!(
        rows[0],
        ["SLOT", "OUTCOME", "NODE", "ATTEMPT", "STARTED", "TOOK", "DETAIL"],
        "{table}"
    );
    assert_eq!(rows.len(), entries.len() + 1);
    for (row, entry) in rows[1..].iter().zip(&entries) {
        let text = |field: &str| entry[field].as_str().unwrap();
        assert_eq!(row[0], format!("{}@{}", text("job"), text("slot")));
        assert_eq!(row[1..3], [text("outcome"), "web-1"]);
        assert_eq!(row[4], text("started_at"));
    }
    let missing = table.lines().find(|row| row.starts_with("missing@")).unwrap();
    assert!(missing.contains("cannot start \"/no/such/program\": "), "{missing}");
    assert!(!table.contains('\x1b'));
    assert!(table.lines().all(|row| !row.ends_with(' ')), "{table:?}");
}

#[test]
fn slots_that_nobody_ran_are_one_entry_with_the_reason() {
    let bench = Bench::with(&every_second("good", "shell = \"true\"\nstart_within = \"1s\""));
    let mut node = bench.node();
    node.wait("run.finished");
    assert_eq!(node.drain(), 0);
    // Nobody is there for some slots.
    std::thread::sleep(std::time::Duration::from_millis(3_500));
    let mut node = bench.node();
    let told = node.wait("slot.missed");
    assert_eq!(node.drain(), 0);

    let entries = bench.history(&[]);
    let missed: Vec<_> = entries.iter().filter(|entry| entry["outcome"] == "missed").collect();
    assert_eq!(missed.len(), 1, "{missed:?}");
    for field in ["slot", "slot_to", "count", "reason"] {
        assert_eq!(missed[0][field], told[field], "{field}");
    }
    assert!(missed[0]["count"].as_u64().unwrap() >= 2, "{missed:?}");
    assert_eq!(missed[0]["reason"], "no_node");
    for field in ["node", "run_id", "attempt", "fence", "started_at", "exit_code", "error"] {
        assert_eq!(missed[0][field], Value::Null, "{field}");
    }
    let table = bench.run(&["history"]).good();
    let row = table.lines().find(|row| row.contains(" missed ")).unwrap();
    assert!(
        row.contains(&format!(
            "{} slots, to {}: no_node",
            told["count"],
            missed[0]["slot_to"].as_str().unwrap()
        )),
        "{row}"
    );
}

#[test]
fn nothing_is_an_empty_list_and_a_word_to_people() {
    let bench =
        Bench::with(&every_second("yearly", "shell = \"true\"").replace("* * * * * *", "@yearly"));
    assert_eq!(bench.node().drain(), 0);
    assert_eq!(bench.history(&[]), [] as [Value; 0]);
    assert_eq!(bench.history(&["yearly"]), [] as [Value; 0]);
    assert_eq!(bench.run(&["history"]).good(), "nothing has run yet in the cluster default\n");
    assert_eq!(
        bench.run(&["history", "--since", "1h"]).good(),
        "nothing in the history of default fits that\n"
    );
}

#[test]
fn an_unknown_job_fails_with_the_name_that_was_meant() {
    let bench = Bench::with(&jobs());
    assert_eq!(bench.node().drain(), 0);
    let said = bench.run(&["history", "godo", "--format", "json"]).refused(1);
    assert_eq!(said, "solocron: there is no job godo; did you mean good?\n");
}

#[test]
fn what_cannot_be_meant_is_a_usage_error() {
    let bench = Bench::with(&jobs());
    for arguments in [
        &["--since", "yesterday"][..],
        &["--since", "90"],
        &["--limit", "0"],
        &["--limit", "-1"],
        &["--format", "xml"],
        &["a", "b"],
        &["good job"],
        &["--node", ""],
    ] {
        let all = ["history"].iter().chain(arguments).copied().collect::<Vec<_>>();
        bench.run(&all).refused(2);
    }
}

#[test]
fn a_store_and_a_cluster_are_enough() {
    let bench = Bench::with(&format!("[cluster]\nname = \"shop\"\n{}", jobs()));
    let mut node = bench.node();
    node.wait_where("run.finished", |run| run["job"] == "good");
    assert_eq!(node.drain(), 0);
    let expected = bench.history(&[]);

    let elsewhere = Bench::empty();
    let store = format!("sqlite:{}", bench.store().display());
    let found = elsewhere.history(&["--store", &store, "--cluster", "shop"]);
    assert_eq!(found, expected);
    assert_eq!(elsewhere.history(&["--store", &store]), [] as [Value; 0], "another cluster");
    let slot =
        format!("{}@{}", found[0]["job"].as_str().unwrap(), found[0]["slot"].as_str().unwrap());
    let story =
        elsewhere.run(&["slot", &slot, "--store", &store, "--cluster", "shop", "--format", "json"]);
    assert_eq!(story.json()["run_id"], found[0]["run_id"]);
}

#[test]
fn a_store_out_of_reach_is_told_in_seconds() {
    let bench = Bench::empty();
    // Nothing listens on port 1.
    for command in [&["history"][..], &["slot", "a", "2026-01-01"]] {
        let store = ["--store", "redis://:hunter2@127.0.0.1:1/0"];
        let answer = bench.run(&[command, &store].concat());
        assert!(answer.took.as_millis() < 4_500, "{:?}", answer.took);
        let said = answer.refused(69);
        assert!(
            said.starts_with("solocron: the store redis://127.0.0.1:1/0 cannot be reached: ")
                || said.starts_with(
                    "solocron: the store redis://:***@127.0.0.1:1/0 cannot be reached: "
                ),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1);
        assert!(!said.contains("hunter2"));
    }
}

#[test]
fn who_only_looks_makes_no_store() {
    let bench = Bench::with(&jobs());
    for command in [&["history"][..], &["slot", "good", "2026-01-01"]] {
        let said = bench.run(command).refused(69);
        assert_eq!(
            said,
            format!(
                "solocron: the store sqlite:{} does not exist; a node makes it when it starts\n",
                bench.store().display()
            )
        );
    }
    assert!(!bench.path("state").exists());
}

#[test]
fn who_only_looks_needs_no_secrets_of_the_jobs() {
    let table = every_second("good", "shell = \"true\"\nenv = { TOKEN = \"${TOKEN}\" }");
    let bench = Bench::with(&table);
    let mut node = bench.node_with(|command| {
        command.env("TOKEN", "hunter2");
    });
    let run = node.wait("run.finished");
    assert_eq!(node.drain(), 0);
    assert!(bench.history(&[]).iter().any(|entry| entry["run_id"] == run["run_id"]));
    bench.run(&["slot", "good", run["slot"].as_str().unwrap()]).good();
    bench.run(&["next"]).good();
    for command in ["run", "check"] {
        let said = bench.run(&[command]).refused(78);
        assert!(said.contains("the variable `TOKEN` is not set"), "{said}");
    }

    // Where the store is out of reach, it may be for want of one.
    let store = "[cluster]\nstore = \"redis://:${PASSWORD}@127.0.0.1:1/0\"\n";
    let bench = Bench::with(&format!("{store}{table}"));
    let said = bench.run(&["history"]).refused(69);
    assert!(said.trim_end().ends_with(" (not known here: PASSWORD, TOKEN)"), "{said}");

    // A store that nothing is known of is an error of the config.
    let bench = Bench::with(&format!("[cluster]\nstore = \"${{STORE}}\"\n{table}"));
    let said = bench.run(&["history"]).refused(78);
    assert!(said.starts_with("solocron.toml:2:"), "{said}");
    assert!(said.contains("the variable `STORE` is not set"), "{said}");
}
