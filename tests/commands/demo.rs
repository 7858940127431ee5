//! The demo: the table in the repository runs as it is.

use std::path::Path;

use crate::bench::Bench;

#[test]
fn the_demo_runs_as_it_is_and_shows_runs_within_seconds() {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/solocron.toml");
    let bench = Bench::with(&std::fs::read_to_string(table).unwrap());
    let said = bench.run(&["check"]).good();
    assert!(said.starts_with("solocron.toml is good: "), "{said}");

    let mut node = bench.node();
    let begun = solocron::clock::BootInstant::now();
    let run = node.wait("run.finished");
    let took = solocron::clock::BootInstant::now().since(begun);
    assert!(took.as_secs() < 8, "{took:?}");
    assert_eq!(run["outcome"], "succeeded", "{run}");
    let said = node.wait_where("run.output", |line| line["run_id"] == run["run_id"]);
    assert!(!said["line"].as_str().unwrap().is_empty(), "{said}");
    assert_eq!(node.drain(), 0);
    assert_eq!(node.strays(), [] as [&str; 0]);
    assert!(bench.history(&[]).iter().any(|entry| entry["run_id"] == run["run_id"]));
}
