//! What the commands to the cluster answer when they cannot do what was asked.

use crate::harness::site::{Ground, Site, every_second};

on_every_store! {
    an_unknown_job_or_run_is_told_with_what_may_have_been_meant
    a_store_that_cannot_be_reached_is_told_by_its_own_code
    what_cannot_be_meant_is_a_usage_error
}

/// A run that never was.
const NEVER: &str = "0193f7a1-7b1c-7000-8000-0123456789ab";

/// A cluster whose store is there, and whose nodes are not.
fn site(ground: Ground) -> Site {
    let site = Site::new(ground, "", &every_second("nightly-backup", "true", ""));
    assert_eq!(site.start("web-1").ready().drain(), 0);
    site
}

/// The command gives no result, and ends with `code`; what it says.
fn refused(site: &Site, arguments: &[&str], code: i32) -> String {
    let output = site.command(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert_eq!(output.stdout, b"", "{arguments:?}");
    said
}

fn an_unknown_job_or_run_is_told_with_what_may_have_been_meant(ground: Ground) {
    let site = site(ground);
    for command in ["trigger", "pause", "resume"] {
        let said = refused(&site, &[command, "nightly-bakcup"], 1);
        let expected = "there is no job nightly-bakcup; did you mean nightly-backup?";
        assert_eq!(said, format!("solocron: {expected}\n"));
    }
    let said = refused(&site, &["cancel", NEVER], 1);
    assert!(said.starts_with(&format!("solocron: there is no run {NEVER} in progress")), "{said}");
    let said = refused(&site, &["reload", "--node", "web-1"], 1);
    assert_eq!(said, "solocron: there is no node web-1; no node is up\n");
    let said = site.ask(&["reload"]);
    assert_eq!(said, "no node is up; each loads its job table when it starts\n");
    assert_eq!(site.ask(&["resume", "nightly-backup"]), "nightly-backup was not paused\n");
}

fn a_store_that_cannot_be_reached_is_told_by_its_own_code(ground: Ground) {
    let mut site = site(ground);
    site.take_store_away();
    for arguments in [
        &["trigger", "nightly-backup"][..],
        &["pause", "nightly-backup"],
        &["resume", "nightly-backup"],
        &["cancel", NEVER],
        &["reload"],
    ] {
        let said = refused(&site, arguments, 69);
        assert!(said.starts_with("solocron: the store "), "{arguments:?}: {said}");
    }
    site.bring_store_back();
    assert_eq!(site.ask(&["pause", "nightly-backup"]), "nightly-backup is paused\n");
}

fn what_cannot_be_meant_is_a_usage_error(ground: Ground) {
    let site = site(ground);
    for (arguments, words) in [
        (&["trigger"][..], "<JOB>"),
        (&["trigger", "no job"], "no job"),
        (&["trigger", "nightly-backup", "--id", "7"], "--id"),
        // A version 4: it has no time.
        (&["trigger", "nightly-backup", "--id", "8c2f4a52-7b1c-4000-8000-0123456789ab"], "--id"),
        (&["pause"], "<JOB>"),
        (&["resume", "nightly-backup", "more"], "more"),
        (&["cancel"], "<RUN_ID>"),
        (&["cancel", "7"], "<RUN_ID>"),
        (&["reload", "web-1"], "web-1"),
        (&["reload", "--node", "web 1"], "--node"),
    ] {
        let said = refused(&site, arguments, 2);
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}
