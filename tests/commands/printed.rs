//! What the program says of itself, and of a command line that makes no sense.

use insta::assert_snapshot;

use crate::bench::Bench;

const COMMANDS: [&str; 10] =
    ["run", "check", "next", "history", "slot", "lock", "import", "schema", "completions", "man"];

fn said(arguments: &[&str]) -> String {
    Bench::empty().run(arguments).good()
}

#[test]
fn the_help_reads_well() {
    assert_snapshot!("help", said(&["--help"]));
    assert_eq!(said(&["help"]), said(&["--help"]));
    assert_eq!(said(&["-h"]), said(&["--help"]));
}

#[test]
fn every_command_has_its_help() {
    for command in COMMANDS {
        let help = said(&[command, "--help"]);
        assert_eq!(said(&["help", command]), help);
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
        assert!(help.contains("-c, --config <PATH>"), "{help}");
    }
    for command in ["run", "next", "history", "slot", "lock"] {
        assert_snapshot!(format!("help_{command}"), said(&[command, "--help"]));
    }
}

#[test]
fn the_version_is_one_line() {
    let expected = format!("solocron {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(said(&["--version"]), expected);
    assert_eq!(said(&["-V"]), expected);
}

#[test]
fn the_schema_is_the_one_in_the_repository() {
    let printed = said(&["schema"]);
    let schema: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert!(schema["properties"]["jobs"].is_object());
    let kept = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/solocron.schema.json");
    let kept = std::fs::read_to_string(kept).expect("config/solocron.schema.json is there");
    assert!(printed == kept, "solocron schema > config/solocron.schema.json");
}

#[test]
fn completions_are_scripts_that_their_shells_can_read() {
    for (shell, sign) in [
        ("bash", "complete -F _solocron"),
        ("zsh", "#compdef solocron"),
        ("fish", "complete -c solocron"),
    ] {
        let script = said(&["completions", shell]);
        assert!(script.contains(sign), "{shell}");
        for command in COMMANDS {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
    let bench = Bench::empty();
    let checked = bench.shell(
        "solocron completions bash > completions && bash -n completions && source ./completions && \
         complete -p solocron",
    );
    assert!(checked.good().contains("_solocron"));
    bench.run(&["completions", "tcsh"]).refused(2);
}

#[test]
fn the_manual_page_is_one() {
    let page = said(&["man"]);
    assert!(page.contains(".TH solocron 1"), "{page}");
    for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"] {
        assert!(page.contains(&format!(".SH {section}")), "{section}: {page}");
    }
    assert!(page.contains("SOLOCRON_CONFIG"), "{page}");
}

#[test]
fn a_command_line_that_makes_no_sense_is_a_usage_error() {
    let bench = Bench::empty();
    for (arguments, words) in [
        (&[][..], "Usage: solocron"),
        (&["hsitory"], "'history'"),
        (&["run", "--nod", "a"], "--node"),
        (&["run", "--log-format", "yaml"], "text, json"),
        (&["run", "extra"], "unexpected argument"),
        (&["next", "--tz", "UTC"], "--schedule"),
        (&["next", "backup", "--schedule", "@daily"], "--schedule"),
        (&["--store"], "--store <URL>"),
        (&["completions"], "<SHELL>"),
        (&["lock", "job", "true"], "solocron lock [OPTIONS] <NAME> -- <CMD>..."),
    ] {
        let said = bench.run(arguments).refused(2);
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}
