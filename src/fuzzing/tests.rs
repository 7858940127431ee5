//! Everything that the corpus has, also what was a finding once.

use std::path::PathBuf;

use super::*;

/// Gives a target every file of its corpus.
fn each(target: &str, property: fn(&[u8])) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut tried = 0;
    for file in files {
        let file = file.unwrap().path();
        let bytes = std::fs::read(&file).unwrap();
        // Says which, should it panic.
        println!("{}", file.display());
        property(&bytes);
        tried += 1;
    }
    assert!(tried >= 10, "the corpus of {target} is gone: {tried} files");
}

#[test]
fn the_corpus_of_configs_holds() {
    each("config", config);
}

#[test]
fn the_corpus_of_schedules_holds() {
    each("schedule", schedule);
}

#[test]
fn the_corpus_of_crontabs_holds() {
    each("crontab", crontab);
}

#[test]
fn the_corpus_of_names_holds() {
    each("lock_name", lock_name);
}

#[test]
fn the_corpus_of_store_replies_holds() {
    each("store_reply", store_reply);
}

#[test]
fn the_corpus_of_templates_holds() {
    each("template", template);
}

#[test]
fn the_corpus_of_requests_holds() {
    each("http_request", http_request);
}
