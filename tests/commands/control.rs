//! What people ask of a cluster, and what they may mistype.

use crate::bench::{Bench, every_second};

#[test]
fn without_a_job_table_the_nodes_say_which_jobs_there_are() {
    let bench = Bench::with(&every_second("backup", "shell = \"true\""));
    let store = format!("sqlite:{}", bench.store().display());
    let elsewhere = Bench::empty();
    let ask = |command, job| elsewhere.run(&[command, job, "--store", &store]);

    let mut node = bench.node();
    node.wait("run.finished");
    for command in ["pause", "resume", "trigger"] {
        let told = ask(command, "bakcup").refused(1);
        assert_eq!(told, "solocron: no node has a job bakcup; did you mean backup?\n");
        assert_eq!(ask(command, "payroll").refused(1), "solocron: no node has a job payroll\n");
    }
    assert_eq!(ask("pause", "backup").good(), "backup is paused\n");
    assert_eq!(ask("resume", "backup").good(), "backup is resumed\n");
    assert_eq!(node.drain(), 0);
    assert_eq!(ask("pause", "bakcup").good(), "bakcup is paused\n", "nobody is there to ask");
}

#[test]
fn a_triggered_slot_is_told_from_the_one_that_is_due_then() {
    let bench = Bench::with("[jobs.job]\nschedule = \"0 0 1 1 *\"\nshell = \"true\"");
    let mut node = bench.node();
    let id = bench.run(&["trigger", "job"]).good();
    node.wait("run.finished");
    assert_eq!(node.drain(), 0);
    let told = bench.run(&["history"]).good();
    assert!(told.contains(&format!("Z#{}", id.trim())), "{told}");
}

#[test]
fn what_is_no_run_is_told_where_to_find_one() {
    let told = Bench::empty().run(&["cancel", "backup"]).refused(2);
    assert!(told.contains("`solocron slot JOB TIME`"), "{told}");
}
