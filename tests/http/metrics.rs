//! What Prometheus scrapes, and what goes by its names.

use std::collections::BTreeSet;
use std::path::Path;

use crate::client::{Seen, site};
use crate::harness::until;

const JOBS: &str = "[jobs.tick]\nschedule = '* * * * * *'\nshell = 'true'\n\
     [jobs.bad]\nschedule = '* * * * * *'\nshell = 'exit 1'\n";

/// The value of the sample that is written so.
fn value(page: &str, sample: &str) -> Option<f64> {
    let line = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

/// The names of samples, as a query uses them.
fn names(page: &str) -> BTreeSet<&str> {
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| line.split(['{', ' ']).next()).collect()
}

#[test]
fn counts_grow_with_what_happens_and_only_counters_name_jobs() {
    let site = site(JOBS);
    let seen = Seen::start(&site, "web-1");
    let page = || seen.ask("GET", "/metrics").text();
    let runs = |page: &str, job: &str, outcome: &str| {
        let sample = format!("solocron_runs_total{{job=\"{job}\",outcome=\"{outcome}\"}}");
        value(page, &sample).unwrap_or(0.0)
    };
    until("both ran twice", || {
        let page = page();
        runs(&page, "tick", "succeeded") >= 2.0 && runs(&page, "bad", "failed") >= 2.0
    });
    let page = page();
    assert!(page.ends_with("# EOF\n"));
    assert_eq!(runs(&page, "tick", "failed"), 0.0);
    for sample in [
        "solocron_claims_total{verdict=\"won\"}",
        "solocron_run_lateness_seconds_count",
        "solocron_run_duration_seconds_count",
        "solocron_store_call_seconds_count{call=\"claim\"}",
        "solocron_http_answers_total{status=\"2xx\"}",
        "solocron_jobs",
        "solocron_queue_slots",
        "solocron_store_up",
        "solocron_ready",
        "solocron_start_time_seconds",
    ] {
        assert!(value(&page, sample).is_some_and(|value| value > 0.0), "{sample}:\n{page}");
    }
    for sample in [
        "solocron_claims_total{verdict=\"held\"}",
        "solocron_takeovers_total",
        "solocron_slots_missed_total{reason=\"no_node\"}",
        "solocron_leases_lost_total{reason=\"not_renewed\"}",
        "solocron_lease_renewals_total{answer=\"renewed\"}",
        "solocron_store_errors_total{kind=\"unknown\"}",
        "solocron_draining",
        "solocron_clock_skew_seconds",
    ] {
        assert!(value(&page, sample).is_some(), "{sample}:\n{page}");
    }
    assert!(page.contains("solocron_build_info{version=\""), "{page}");
    assert!(page.contains("solocron_table_info{digest=\""), "{page}");
    let naming = page.lines().filter(|line| line.contains("job=\""));
    for line in naming {
        assert!(line.starts_with("solocron_runs_total{"), "{line}");
    }
}

#[test]
fn jobs_that_the_table_has_no_more_are_not_counted_for_ever() {
    let site = site(JOBS);
    let seen = Seen::start(&site, "web-1");
    let page = || seen.ask("GET", "/metrics").text();
    until("both ran", || {
        let page = page();
        page.contains("job=\"tick\"") && page.contains("job=\"bad\"")
    });
    let tick = JOBS.split("[jobs.bad]").next().unwrap();
    site.set_jobs(&format!("{}{tick}", crate::client::with_tokens()));
    seen.node.signal(nix::sys::signal::Signal::SIGHUP);
    until("only one is left", || {
        let page = page();
        page.contains("job=\"tick\"") && !page.contains("job=\"bad\"")
    });
}

#[test]
fn promtool_reads_the_alert_rules() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus/solocron.rules.yaml");
    let checked =
        std::process::Command::new("promtool").args(["check", "rules"]).arg(rules).output();
    let checked = checked.expect("promtool can be run: tests/run installs it");
    assert!(checked.status.success(), "{checked:?}");
}

/// The names of our metrics in a file, however it is written.
fn named_in(file: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !is_part(c));
    words.filter(|word| word.starts_with("solocron_")).map(str::to_owned).collect()
}

#[test]
fn the_dashboard_and_the_alert_rules_go_by_names_that_are_served() {
    let site = site(JOBS);
    let seen = Seen::start(&site, "web-1");
    until("something ran", || seen.ask("GET", "/metrics").text().contains("job=\"tick\""));
    let page = seen.ask("GET", "/metrics").text();
    let served = names(&page);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["deploy/prometheus/solocron.rules.yaml", "deploy/grafana/solocron.json"] {
        let named = named_in(&root.join(file));
        assert!(named.len() > 5, "{file} names {named:?}");
        for name in named {
            assert!(served.contains(name.as_str()), "{file} names {name}, which no node serves");
        }
    }
    let dashboard = std::fs::read_to_string(root.join("deploy/grafana/solocron.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 5);
}
