//! What a job sees: the variables that are promised, and nothing of the daemon's.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::bench::{Bench, every_second};
use crate::harness::node::Node;

/// The lines that the first run of `job` printed.
fn printed(node: &Node, job: &str) -> Vec<String> {
    let run = node.wait_where("run.finished", |run| run["job"] == job);
    let lines = node.all("run.output", |line| line["run_id"] == run["run_id"]);
    lines.iter().map(|line| line["line"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_job_gets_the_promised_variables_and_no_other() {
    let bench = Bench::with(&format!(
        "[cluster]\nname = \"shop\"\n[defaults]\nenv = {{ COMMON = \"1\", OWN = \"0\" }}\n{}",
        every_second(
            "env",
            "command = [\"env\"]\ntimezone = \"Europe/Berlin\"\n\
             env = { OWN = \"a b\", TOKEN = \"${SECRET}\" }"
        )
    ));
    let mut node = bench.node_with(|command| {
        command
            .env("SECRET", "hunter2")
            .env("SOLOCRON_CLUSTER", "shop")
            .env("SOLOCRON_LOG", "info")
            .env("REDIS_PASSWORD", "hunter3")
            .env("NOTIFY_SOCKET", "/nonexistent/socket")
            .env("LC_ALL", "C");
    });
    let lines = printed(&node, "env");
    let told = node.wait_where("run.started", |run| run["job"] == "env");
    assert_eq!(node.drain(), 0);

    let text = |field: &str| match &told[field] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let me = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().expect("I am somebody");
    let expected: BTreeMap<&str, String> = [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("HOME", me.dir.display().to_string()),
        ("LANG", "C.UTF-8".to_owned()),
        ("TZ", "Europe/Berlin".to_owned()),
        ("COMMON", "1".to_owned()),
        ("OWN", "a b".to_owned()),
        ("TOKEN", "hunter2".to_owned()),
        ("SOLOCRON_CLUSTER", "shop".to_owned()),
        ("SOLOCRON_JOB", "env".to_owned()),
        ("SOLOCRON_SLOT", text("slot")),
        ("SOLOCRON_NODE", "web-1".to_owned()),
        ("SOLOCRON_RUN_ID", text("run_id")),
        ("SOLOCRON_ATTEMPT", text("attempt")),
        ("SOLOCRON_FENCE", text("fence")),
    ]
    .into();
    let found: BTreeMap<&str, String> = lines
        .iter()
        .map(|line| line.split_once('=').unwrap())
        .map(|(name, value)| (name, value.to_owned()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_job_starts_in_its_directory_with_its_umask_and_no_open_files() {
    let bench = Bench::with(
        &[
            "[jobs.home]\nschedule = \"* * * * * *\"\ncommand = [\"pwd\"]\n".to_owned(),
            every_second("there", "command = [\"pwd\"]\ncwd = \"{dir}\""),
            every_second("umask", "shell = \"umask\"\numask = \"027\""),
            every_second("files", "command = [\"ls\", \"/proc/self/fd\"]"),
            every_second("stdin", "command = [\"readlink\", \"/proc/self/fd/0\"]"),
            every_second("leader", "shell = \"read -r _ _ _ _ group session _ < /proc/$$/stat; echo $$ $group $session\""),
        ]
        .concat(),
    );
    // A descriptor that the daemon itself was given must not go on to a job.
    let mut node = bench.node_with(|command| {
        let program = command.get_program().to_owned();
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let environment: Vec<_> = command
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        *command = std::process::Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" 7</dev/zero"]).arg(program).args(arguments);
        command.env_clear().envs(environment).current_dir(bench.dir());
        command.stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    });
    let me = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().expect("I am somebody");
    assert_eq!(printed(&node, "home"), [me.dir.display().to_string()]);
    let there = bench.dir().canonicalize().unwrap();
    assert_eq!(printed(&node, "there"), [there.display().to_string()]);
    assert_eq!(printed(&node, "umask"), ["0027"]);
    assert_eq!(printed(&node, "files"), ["0", "1", "2", "3"], "3 is the listing's own");
    assert_eq!(printed(&node, "stdin"), ["/dev/null"]);
    let leader = printed(&node, "leader");
    let ids: Vec<_> = leader[0].split(' ').collect();
    assert_eq!((ids[0], ids[0]), (ids[1], ids[2]));
    assert_eq!(node.drain(), 0);
}

#[test]
fn no_secret_is_ever_printed() {
    let bench = Bench::with(&format!(
        "[cluster]\nstore = \"sqlite:${{SECRET_PATH}}\"\n{}",
        every_second("quiet", "shell = \"true\"\nenv = { TOKEN = \"${SECRET}\" }")
    ));
    let store = bench.path("state/other.db");
    let mut node = bench.node_with(|command| {
        command.env("SECRET", "hunter2").env("SECRET_PATH", &store).env("SOLOCRON_LOG", "trace");
    });
    node.wait("run.finished");
    assert_eq!(node.drain(), 0);
    assert!(store.exists());
    for logged in node.log() {
        assert!(!logged.record.to_string().contains("hunter2"), "{}", logged.record);
    }
    for stray in node.strays() {
        assert!(!stray.contains("hunter2"), "{stray}");
    }
}
