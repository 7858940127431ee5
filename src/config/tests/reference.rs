//! The files of `config/` are what the code says.

use std::collections::BTreeMap;

use toml::Table;

use super::catalogue::{
    CALL, CLUSTER, HISTORY, HTTP, HTTP_TLS, HTTP_TOKEN, JOB, LOG, NOTIFY, REDIS, RETRY,
};
use super::keys::Section;
use super::*;

const REFERENCE: &str = include_str!("../../../config/solocron.toml");

/// The reference with every line of `# key = value` switched on.
fn all_switched_on() -> String {
    let line = |line: &str| {
        let on = line.strip_prefix("# ").filter(|on| {
            let key = on.split_once(" = ").map(|(key, _)| key);
            on.starts_with('[') && on.ends_with(']')
                || key
                    .is_some_and(|key| key.bytes().all(|b| matches!(b, b'a'..=b'z' | b'_' | b'.')))
        });
        format!("{}\n", on.unwrap_or(line))
    };
    REFERENCE.lines().map(line).collect()
}

#[test]
fn the_reference_is_a_demo_that_runs_as_it_is_without_a_warning() {
    let loaded = read(REFERENCE).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    assert!(matches!(loaded.config.cluster.store, StoreConfig::Sqlite { .. }));
    let names: Vec<_> = loaded.config.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["hello", "nightly", "uptime", "worker"]);
    assert!(loaded.config.jobs.iter().all(|job| job.user.is_none()), "it runs as any user");
}

#[test]
fn the_reference_has_every_key_that_works_and_shows_its_default() {
    let text = all_switched_on();
    let tree: Table = text.parse().unwrap_or_else(|error| panic!("{error}"));
    let cluster = tree["cluster"].as_table().unwrap();
    let mut job: Table = tree["defaults"].as_table().unwrap().clone();
    for job_table in tree["jobs"].as_table().unwrap().values() {
        for (key, value) in job_table.as_table().unwrap() {
            job.entry(key.clone()).or_insert(value.clone());
        }
    }
    let http = tree["http"].as_table().unwrap();
    let channels = tree["notify"].as_table().unwrap().values();
    let mut channel = Table::new();
    channels.for_each(|one| channel.extend(one.as_table().unwrap().clone()));
    let sections: [(&Section, &Table); 11] = [
        (&CLUSTER, cluster),
        (&HISTORY, cluster["history"].as_table().unwrap()),
        (&REDIS, cluster["redis"].as_table().unwrap()),
        (&HTTP, http),
        (&HTTP_TLS, http["tls"].as_table().unwrap()),
        (&HTTP_TOKEN, http["tokens"][0].as_table().unwrap()),
        (&LOG, tree["log"].as_table().unwrap()),
        (&JOB, &job),
        (&RETRY, job["retry"].as_table().unwrap()),
        (&NOTIFY, &channel),
        (&CALL, job["http"].as_table().unwrap()),
    ];
    for (section, table) in sections {
        // A token has a secret or its hash.
        let either = |key: &&super::keys::Key| key.name != "hash";
        for key in section.keys.iter().filter(either) {
            let shown = table.get(key.name).unwrap_or_else(|| {
                panic!("config/solocron.toml does not have `{}` of {}", key.name, section.title)
            });
            if let Some(default) = key.default.json() {
                let shown: serde_json::Value = shown.clone().try_into().unwrap();
                assert_eq!(
                    shown, default,
                    "config/solocron.toml on `{}` of {}",
                    key.name, section.title
                );
            }
        }
    }
}

#[test]
fn the_reference_can_be_switched_on_whole() {
    let env = machine()
        .set("REDIS_PASSWORD", "x")
        .set("SENTINEL_PASSWORD", "x")
        .set("API_TOKEN", "x")
        .set("SOLOCRON_TOKEN", "0123456789abcdef")
        .set("OPS_WEBHOOK", "https://hooks.example/T0")
        .set("OPS_SECRET", "x");
    let loaded = read_with(&all_switched_on(), &Overrides::default(), &env)
        .unwrap_or_else(|errors| panic!("{errors}"));
    let hello = loaded.config.jobs.iter().next().unwrap();
    assert_eq!(hello.user.as_deref(), Some("nobody"));
}

/// Every key that works has a reader, and what it reads to is what its default is.
#[test]
fn the_defaults_of_the_catalogue_are_those_of_the_code() {
    let mut texts: BTreeMap<&str, String> = BTreeMap::new();
    for (title, section) in [
        ("cluster", &CLUSTER),
        ("cluster.history", &HISTORY),
        ("log", &LOG),
        ("defaults", &JOB),
        ("defaults.retry", &RETRY),
    ] {
        for key in section.keys.iter().filter(|key| key.default.json().is_some()) {
            let line = format!("{} = {}\n", key.name, key.default);
            texts.entry(title).or_default().push_str(&line);
        }
    }
    let jobs = "[jobs.a]\nschedule = '@daily'\nshell = 'x'\n";
    let text: String = texts.iter().map(|(title, lines)| format!("[{title}]\n{lines}")).collect();
    let said = read(&(text + jobs)).unwrap_or_else(|errors| panic!("{errors}"));
    let silent = read(jobs).unwrap();
    // Explicit, the grace of 10s is more than a quarter of the lease, and one
    // attempt makes nothing of the waits.
    assert_eq!(said.warnings.iter().len(), 2);
    assert_eq!(format!("{:?}", said.config), format!("{:?}", silent.config));
}

#[test]
fn the_schema_in_the_repository_is_the_one_of_this_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/solocron.schema.json");
    let current = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == current,
        "config/solocron.schema.json is not current; run `cargo run -- schema > config/solocron.schema.json`"
    );
}

#[test]
fn the_schema_has_what_works_and_nothing_else() {
    let schema = schema();
    let job = &schema["$defs"]["job"]["properties"];
    assert_eq!(job["lease_ttl"]["default"], "30s");
    assert_eq!(job["success_codes"]["default"], serde_json::json!([0]));
    assert!(job["lease_ttl"]["description"].as_str().unwrap().contains("From 1s to 1d"));
    let channel = &schema["properties"]["notify"]["additionalProperties"];
    assert_eq!(channel["properties"]["attempts"]["default"], 10);
    assert_eq!(channel["oneOf"][1]["required"], serde_json::json!(["command"]));
    assert_eq!(job["overlap"]["enum"], serde_json::json!(["skip", "allow", "wait", "replace"]));
    assert_eq!(job["nodes"]["default"], serde_json::json!(["*"]));
    assert_eq!(job["retry"]["properties"]["attempts"]["maximum"], 100);
    assert_eq!(job["retry"]["additionalProperties"], false);
    assert!(schema["properties"]["defaults"]["properties"].get("retry").is_some());
    assert!(schema["properties"]["defaults"]["properties"].get("schedule").is_none());
    assert_eq!(schema["properties"]["cluster"]["additionalProperties"], false);
}
