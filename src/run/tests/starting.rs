//! How commands start, what they find, and how they fail to.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;

async fn error(task: Task) -> String {
    let (report, _) = run(task).await;
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!((report.exit_code, report.signal, report.pid), (None, None, None));
    report.error.unwrap()
}

fn file(dir: &Path, name: &str, text: &str, mode: u32) -> String {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_command_that_cannot_be_started_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let plain = file(dir.path(), "plain", "#!/bin/sh\n", 0o644);
    let orphan = file(dir.path(), "orphan", "#!/no/such/interpreter -x\n", 0o755);
    let dos = file(dir.path(), "dos", "#!/bin/sh\r\necho\r\n", 0o755);
    let folder = dir.path().to_str().unwrap();
    let huge = "x".repeat(3 << 20);
    for (words, why) in [
        (
            &["/no/such", "-x"][..],
            "cannot start \"/no/such\": No such file or directory".to_owned(),
        ),
        (&["no-such-program"], format!("cannot start \"no-such-program\": not found in {PATH}")),
        (&["/etc/passwd/x"], "cannot start \"/etc/passwd/x\": Not a directory".to_owned()),
        (&[&plain], format!("cannot start {plain:?}: it is not executable")),
        (&[folder], format!("cannot start {folder:?}: it is a directory")),
        (
            &[&orphan],
            format!(
                "cannot start {orphan:?}: its interpreter \"/no/such/interpreter\" does not exist"
            ),
        ),
        (&[&dos], format!("cannot start {dos:?}: its interpreter \"/bin/sh\\r\" does not exist")),
        (
            &["true", &huge],
            "cannot start \"true\": its arguments and environment are too long".to_owned(),
        ),
        (&[], "the command is empty".to_owned()),
        (&["a\0b"], "the command contains a NUL byte, which no program can be given".to_owned()),
    ] {
        assert_eq!(error(command(words)).await, why);
    }
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_named() {
    let task = Task { cwd: Some("/no/such/dir".into()), ..command(&["true"]) };
    assert_eq!(error(task).await, "cannot enter \"/no/such/dir\": No such file or directory");
    let task = Task { cwd: Some("/etc/passwd".into()), ..command(&["true"]) };
    assert_eq!(error(task).await, "cannot enter \"/etc/passwd\": Not a directory");
}

#[tokio::test]
async fn an_unknown_user_or_group_fails_the_run() {
    let task = Task { user: Some("no-such-user".into()), ..command(&["true"]) };
    assert_eq!(error(task).await, "there is no user \"no-such-user\"");
    let task = Task { group: Some("no-such-group".into()), ..command(&["true"]) };
    assert_eq!(error(task).await, "there is no group \"no-such-group\"");
}

#[tokio::test]
async fn started_is_told_once_and_only_if_the_program_was_loaded() {
    for (words, loaded) in [(&["true"][..], true), (&["/no/such"], false)] {
        let told = Mutex::new(None);
        let (_desk, orders) = desk();
        let report = execute(
            &command(words),
            &identity(),
            orders,
            GRACE,
            |pid| *told.lock().unwrap() = Some(pid),
            Arc::new(Lines::default()),
        )
        .await;
        assert_eq!(report.pid.is_some(), loaded);
        assert_eq!(*told.lock().unwrap(), report.pid);
    }
}

#[tokio::test]
async fn a_script_without_an_interpreter_line_is_one_for_the_shell() {
    let dir = tempfile::tempdir().unwrap();
    let script = file(dir.path(), "script", "echo \"$0 $1\"\n", 0o755);
    let (report, lines) = run(command(&[&script, "a b"])).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{:?}", report.error);
    assert_eq!(lines.stdout(), [format!("{script} a b")]);
}

#[tokio::test]
async fn programs_are_looked_for_in_the_jobs_path_and_directory() {
    let dir = tempfile::tempdir().unwrap();
    file(dir.path(), "own-tool", "#!/bin/sh\necho found\n", 0o755);
    let path = format!("/no/such:/etc/passwd:{}", dir.path().display());
    let task = Task { env: variables(&[("PATH", path.as_str())]), ..command(&["own-tool"]) };
    assert_eq!(run(task).await.1.stdout(), ["found"]);
    let task = Task { cwd: Some(dir.path().into()), ..command(&["./own-tool"]) };
    assert_eq!(run(task).await.1.stdout(), ["found"]);
}

#[tokio::test]
async fn the_environment_is_exactly_the_contract() {
    let identity = identity();
    let (_desk, orders) = desk();
    let task = Task {
        env: variables(&[("RUST_LOG", "info"), ("SOLOCRON_JOB", "other")]),
        timezone: "Europe/Berlin".into(),
        ..command(&["sh", "-c", "tr '\\0' '\\n' < /proc/$$/environ"])
    };
    let lines = Arc::new(Lines::default());
    execute(&task, &identity, orders, GRACE, |_| {}, lines.clone()).await;
    let mut found = lines.stdout();
    found.sort_unstable();
    let home = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().dir;
    let lang = std::env::var("LANG").ok().filter(|lang| !lang.is_empty());
    assert_eq!(
        found,
        [
            format!("HOME={}", home.display()),
            format!("LANG={}", lang.as_deref().unwrap_or("C.UTF-8")),
            format!("PATH={PATH}"),
            "RUST_LOG=info".to_owned(),
            "SOLOCRON_ATTEMPT=1".to_owned(),
            "SOLOCRON_CLUSTER=prod".to_owned(),
            "SOLOCRON_FENCE=1795316400000000".to_owned(),
            "SOLOCRON_JOB=backup".to_owned(),
            "SOLOCRON_NODE=web-1".to_owned(),
            format!("SOLOCRON_RUN_ID={}", identity.run_id),
            "SOLOCRON_SLOT=2026-11-22T03:00:00Z".to_owned(),
            "TZ=Europe/Berlin".to_owned(),
        ]
    );
}

#[tokio::test]
async fn a_command_finds_a_clean_place() {
    let dir = tempfile::tempdir().unwrap();
    let real: PathBuf = dir.path().canonicalize().unwrap();
    let task = Task {
        cwd: Some(real.clone()),
        umask: Some(0o027),
        ..shell(
            "echo cwd $(pwd -P); echo umask $(umask); echo stdin $(readlink /proc/$$/fd/0); \
             ls /proc/$$/fd; \
             echo session $(ps -o sid=,pgid= -p $$) of $$; cat",
        )
    };
    let (report, lines) = run(task).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{:?}", lines.all());
    let pid = report.pid.unwrap();
    assert_eq!(
        lines.stdout(),
        [
            format!("cwd {}", real.display()),
            "umask 0027".to_owned(),
            "stdin /dev/null".to_owned(),
            "0".to_owned(),
            "1".to_owned(),
            "2".to_owned(),
            format!("session {pid} {pid} of {pid}"),
        ]
    );
}

#[tokio::test]
async fn no_signal_is_blocked_ignored_or_handled() {
    let (_, lines) = run(command(&["cat", "/proc/self/status"])).await;
    // 32 and 33 are the C library's own; one that was itself started by
    // `posix_spawn` has them ignored.
    let own = 0b11 << 31;
    for set in ["SigBlk:\t", "SigIgn:\t", "SigCgt:\t"] {
        let bits = u64::from_str_radix(&lines.wait_for(set).await, 16).unwrap();
        assert_eq!(bits & !own, 0, "{set}{bits:x}");
    }
}

#[tokio::test]
async fn a_descriptor_that_was_left_open_is_not_passed_on() {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    let careless = fs::File::open("/etc/hostname").or_else(|_| fs::File::open("/etc/passwd"));
    let careless = careless.unwrap();
    fcntl(&careless, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let (_, lines) = run(shell("ls /proc/$$/fd")).await;
    assert_eq!(lines.stdout(), ["0", "1", "2"]);
}

#[tokio::test]
async fn without_a_directory_it_starts_at_home() {
    let home = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().dir;
    let (_, lines) = run(shell("pwd -P")).await;
    assert_eq!(lines.stdout(), [home.canonicalize().unwrap().to_str().unwrap()]);
}

#[tokio::test]
async fn root_runs_a_job_as_another_user() {
    if !is_root() {
        return;
    }
    let who = "echo $(id -u) $(id -g) $(id -G) $HOME $(pwd)";
    for (user, group, found) in [
        (Some("nobody"), None, "65534 65534 65534 /nonexistent /"),
        (Some("65534"), None, "65534 65534 65534 /nonexistent /"),
        (Some("nobody"), Some("daemon"), "65534 1 1 /nonexistent /"),
        (Some("nobody"), Some("12345"), "65534 12345 12345 /nonexistent /"),
        (Some("54321"), Some("12345"), "54321 12345 12345 / /"),
        (None, Some("daemon"), "0 1 1 /root /root"),
    ] {
        let task = Task { user: user.map(Into::into), group: group.map(Into::into), ..shell(who) };
        let (report, lines) = run(task).await;
        assert_eq!(lines.stdout(), [found], "{user:?} {group:?}: {:?}", report.error);
    }
}

#[tokio::test]
async fn a_directory_is_entered_with_the_rights_of_the_jobs_user() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let task =
        Task { user: Some("nobody".into()), cwd: Some(dir.path().into()), ..command(&["true"]) };
    assert_eq!(error(task).await, format!("cannot enter {:?}: Permission denied", dir.path()));
}

#[tokio::test]
async fn a_run_that_is_to_end_while_it_is_being_started_ends_and_leaves_nothing() {
    // With each step that the run is given, it has come a bit further.
    for steps in 0..60 {
        let mark = mark();
        let stop = if steps % 2 == 0 { Stop::Cancel } else { Stop::Kill };
        let live = start(command(&["sleep", &mark]), GRACE);
        for _ in 0..steps {
            tokio::task::yield_now().await;
            std::thread::sleep(Duration::from_micros(20));
        }
        live.desk.stop.send_replace(Some(stop));
        let report = live.end().await;
        let expected = if stop == Stop::Kill { Outcome::HandedOver } else { Outcome::Cancelled };
        assert_eq!(report.outcome, expected, "{steps}: {report:?}");
        assert_eq!(with_mark(&mark), [0; 0]);
    }
}
