//! Children of the tests: none outlives them.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, mpsc};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::until;

type Order = (Command, mpsc::SyncSender<io::Result<Child>>);

/// The thread that starts all children. A child gets its death signal when the
/// *thread* that started it ends, and this one lives as long as the process.
static STARTER: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
    let (orders, received) = mpsc::channel::<Order>();
    std::thread::spawn(move || {
        for (mut command, answer) in received {
            // Who asked has gone away; the child goes with the answer.
            let _nobody_waits = answer.send(command.spawn());
        }
    });
    orders
});

/// Starts a child that is killed should the test process end before it.
pub(crate) fn spawn(mut command: Command) -> io::Result<Child> {
    // SAFETY: between fork and exec there are but three system calls.
    unsafe {
        command.pre_exec(|| {
            // A shell has background jobs ignore them, and so would all that they start.
            for signal in [Signal::SIGINT, Signal::SIGQUIT] {
                nix::sys::signal::signal(signal, nix::sys::signal::SigHandler::SigDfl)?;
            }
            Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?)
        });
    }
    let (answer, answered) = mpsc::sync_channel(1);
    STARTER.send((command, answer)).expect("the starter lives");
    answered.recv().expect("the starter answers")
}

/// Has folders removed when this process ends, however it does: for servers that are
/// never dropped.
pub(crate) fn remove_at_the_end<'a>(folders: impl Iterator<Item = &'a Path>) -> Child {
    let mut cleaner = Command::new("sh");
    // Its input ends with this process.
    cleaner.args(["-c", "trap '' INT TERM HUP; cat > /dev/null; until rm -rf \"$@\"; do :; done"]);
    cleaner.arg("cleaner").args(folders);
    cleaner.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    cleaner.spawn().expect("there is a shell")
}

/// The living processes that have `NAME=VALUE` in their environment: the jobs of
/// a cluster, or the processes of a run.
pub(crate) fn with_variable(variable: &str) -> Vec<i32> {
    let wanted = variable.as_bytes();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let pid = path.file_name()?.to_str()?.parse().ok()?;
            // A process that ended meanwhile, or a zombie, has none to read.
            let environment = std::fs::read(path.join("environ")).ok()?;
            environment.split(|byte| *byte == 0).any(|one| one == wanted).then_some(pid)
        })
        .collect()
}

/// The living processes of a run.
pub(crate) fn of_run(run_id: &str) -> Vec<i32> {
    with_variable(&format!("SOLOCRON_RUN_ID={run_id}"))
}

/// The name of a process; empty when it is gone.
pub(crate) fn name(pid: i32) -> String {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim_end().to_owned()
}

/// The parent of a process; none when it is gone.
pub(crate) fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name, which may contain anything, and the state.
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// The children of a process, oldest first as far as their numbers tell.
pub(crate) fn children(of: i32) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut children: Vec<i32> = pids.filter(|pid| parent(*pid) == Some(of)).collect();
    children.sort_unstable();
    children
}

/// The states of a process's threads, as `/proc` has them: `T` is stopped.
pub(crate) fn threads(pid: u32) -> Vec<char> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let stats =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok());
    // The name before it may contain anything.
    stats.filter_map(|stat| stat.rsplit_once(") ")?.1.chars().next()).collect()
}

/// Kills them all, and waits until they are gone.
pub(crate) fn end_with_variable(variable: &str) {
    until("what a job left behind is gone", || {
        let left = with_variable(variable);
        for &pid in &left {
            // Gone already is as good.
            let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        left.is_empty()
    });
}

/// Kills a process and all that came of it, and waits until they are gone. For those that
/// hide their environment; who has left its parent is not found.
pub(crate) fn end_tree(root: i32) {
    let mut tree = vec![root];
    let mut known = 0;
    // Stopped level by level, from above, so that none starts another meanwhile.
    while known < tree.len() {
        let level = tree.split_off(known);
        for &pid in &level {
            let _gone = kill(Pid::from_raw(pid), Signal::SIGSTOP);
        }
        let below: Vec<i32> = level.iter().flat_map(|pid| children(*pid)).collect();
        tree.extend(level);
        known = tree.len();
        tree.extend(below);
    }
    for &pid in &tree {
        let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    until("all that came of a process is gone", || {
        tree.iter().all(|pid| threads(*pid as u32).iter().all(|state| matches!(state, 'Z' | 'X')))
    });
}

/// How often the threads of a process have gone to sleep and were woken, so far.
pub(crate) fn wake_ups(pid: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it lives");
    let of_task = |task: io::Result<std::fs::DirEntry>| -> Option<u64> {
        let status = std::fs::read_to_string(task.ok()?.path().join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line?.trim().parse().ok()
    };
    tasks.filter_map(of_task).sum()
}
