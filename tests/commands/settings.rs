//! Which setting goes over which: flags, then variables, then files, then defaults.

use std::process::Command;

use crate::bench::{Bench, every_second};

const CONFIG: &str =
    "[cluster]\nname = \"of-file\"\nnode = \"of-file\"\nstore = \"sqlite:/file.db\"\n";

fn bench() -> Bench {
    let bench = Bench::with(&format!("{CONFIG}{}", every_second("job", "shell = \"true\"")));
    bench.write("other.toml", "[jobs.other]\nschedule = \"@daily\"\nshell = \"true\"\n");
    bench
}

fn variables(command: &mut Command) {
    command
        .env("SOLOCRON_CLUSTER", "of-variable")
        .env("SOLOCRON_NODE", "of-variable")
        .env("SOLOCRON_STORE", "sqlite:/variable.db");
}

/// What `check` says of a setting.
fn setting<'a>(said: &'a str, name: &str) -> &'a str {
    let line = said.lines().find_map(|line| line.trim_start().strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name}: {said}")).trim()
}

#[test]
fn variables_go_over_the_file_and_flags_over_both() {
    let bench = bench();
    let said = bench.run(&["check"]).good();
    assert_eq!(setting(&said, "cluster"), "of-file");
    assert_eq!(setting(&said, "node"), "of-file");
    assert_eq!(setting(&said, "store"), "sqlite:/file.db");

    let said = bench.run_with(&["check"], variables).good();
    assert_eq!(setting(&said, "cluster"), "of-variable");
    assert_eq!(setting(&said, "node"), "of-variable");
    assert_eq!(setting(&said, "store"), "sqlite:/variable.db");

    let flags = ["check", "--cluster", "of-flag", "--store", "sqlite:/flag.db"];
    let said = bench.run_with(&flags, variables).good();
    assert_eq!(setting(&said, "cluster"), "of-flag");
    assert_eq!(setting(&said, "store"), "sqlite:/flag.db");
}

#[test]
fn an_empty_variable_is_none() {
    let said = bench().run_with(&["check"], |command| {
        for name in ["CONFIG", "STORE", "CLUSTER", "NODE", "LOG"] {
            command.env(format!("SOLOCRON_{name}"), "");
        }
    });
    let said = said.good();
    assert_eq!(setting(&said, "cluster"), "of-file");
    assert!(said.starts_with("solocron.toml is good"), "{said}");
}

#[test]
fn the_config_is_found_by_flag_then_variable_then_place() {
    let bench = bench();
    let with_variable = |arguments: &[&str]| {
        let said = bench.run_with(arguments, |command| {
            command.env("SOLOCRON_CONFIG", "other.toml");
        });
        said.good().split_once(" is good").unwrap().0.to_owned()
    };
    assert_eq!(with_variable(&["check"]), "other.toml");
    assert_eq!(with_variable(&["check", "-c", "solocron.toml"]), "solocron.toml");
    assert!(bench.run(&["check"]).good().starts_with("solocron.toml is good"));
}

#[test]
fn a_node_goes_by_its_settings() {
    let bench = Bench::with(&format!(
        "[cluster]\nname = \"of-file\"\nnode = \"of-file\"\n{}",
        every_second("job", "command = [\"env\"]")
    ));
    let store = bench.path("elsewhere/s.db");
    // The harness names its nodes by the flag, which goes over the variable.
    let mut node = bench.node_with(|command| {
        variables(command);
        command.arg("--store").arg(format!("sqlite:{}", store.display()));
    });
    let started = node.wait("node.started");
    assert_eq!(started["node"], "web-1");
    assert_eq!(started["cluster"], "of-variable");
    assert_eq!(started["store"], format!("sqlite:{}", store.display()));
    node.wait_where("run.output", |record| record["line"] == "SOLOCRON_CLUSTER=of-variable");
    assert_eq!(node.drain(), 0);
    assert!(store.exists() && !bench.store().exists());
}

#[test]
fn a_node_without_a_name_is_called_as_its_host() {
    let bench = Bench::with(&every_second("job", "shell = \"true\""));
    let said = bench.run(&["check"]).good();
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    assert_eq!(setting(&said, "node"), host);
    assert_eq!(setting(&said, "cluster"), "default");
    assert_eq!(setting(&said, "store"), format!("sqlite:{}", bench.store().display()));
}
