//! `solocron lock`: a command under a lock, from outside, on both kinds of store.

mod contention;
mod losses;
mod signals;
mod statuses;
mod surroundings;
mod terminal;
mod usage;

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use solocron::clock::BootInstant;

use crate::bench::{Answer, Bench, lives};
use crate::harness::processes;
use crate::harness::redis_server::RedisServer;
use crate::harness::until;

/// A folder, and a store that nobody else uses.
struct Stand {
    bench: Bench,
    server: Option<RedisServer>,
}

/// Does `test` on SQLite, without any config, and on Redis.
fn on_both(test: impl Fn(&Stand)) {
    test(&Stand::on_sqlite());
    test(&Stand::on_redis());
}

impl Stand {
    fn on_sqlite() -> Self {
        Self { bench: Bench::empty(), server: None }
    }

    fn on_redis() -> Self {
        Self { bench: Bench::empty(), server: Some(RedisServer::start()) }
    }

    fn redis(&self) -> &RedisServer {
        self.server.as_ref().unwrap()
    }

    /// `solocron lock` with these arguments.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bench.command();
        command.arg("lock").args(arguments);
        if let Some(server) = &self.server {
            command.env("SOLOCRON_STORE", server.url());
        }
        command
    }

    /// Runs it to its end.
    fn lock(&self, arguments: &[&str]) -> Answer {
        self.bench.run_with(&[], |command| *command = self.command(arguments))
    }

    /// The same with a line of shell as its command.
    fn lock_shell(&self, options: &[&str], line: &str) -> Answer {
        self.lock(&[options, &["--", "sh", "-c", line]].concat())
    }

    /// Starts it; its command has to write a line into the file `pid`, and is waited for.
    fn start(&self, options: &[&str], line: &str) -> Held {
        let mut command = self.command(&[options, &["--", "sh", "-c", line]].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let child = processes::spawn(command).unwrap();
        let leader = self.bench.wait_for_file("pid").trim().parse().unwrap();
        let keeper = processes::parent(leader).expect("a command has a keeper");
        let warden = processes::parent(keeper).expect("a keeper has a warden");
        assert_eq!(processes::name(keeper), "solocron-keeper");
        assert_eq!(processes::name(warden), "solocron-warden");
        Held { child: Some(child), leader, keeper, warden, begun: BootInstant::now() }
    }

    /// Waits for the lock, and has it after the command of another that must be gone then.
    fn succeed(&self, mark: &str) {
        let line = format!("{ALONE} echo mine");
        let answer = self.lock_shell(&["job", "--wait", "60s"], &line);
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(0), "mine\n"), "{}", answer.stderr);
        assert_eq!(sleepers(mark), [0; 0]);
        assert!(!self.bench.path("overlaps").exists());
    }

    /// All keys of the Redis, but the fence counter, and those that say that a request without
    /// an answer is granted nothing any more, or that there may be something of that kind:
    /// they expire by themselves.
    fn keys(&self) -> Vec<String> {
        let mut keys = self.redis().cli_list(&["KEYS", "*"]);
        keys.retain(|key| {
            ![":fence", ":beside"].iter().any(|end| key.ends_with(end))
                && !key.contains(":revoked:")
        });
        keys
    }
}

/// A `solocron lock` whose command runs.
struct Held {
    child: Option<Child>,
    leader: i32,
    keeper: i32,
    warden: i32,
    begun: BootInstant,
}

impl Held {
    fn pid(&self) -> i32 {
        self.child.as_ref().unwrap().id().cast_signed()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Signals all that is in its process group, as a shell does with a job.
    fn signal_group(&self, signal: Signal) {
        killpg(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Waits for its end, and that nothing of it is left, not even a zombie.
    fn end(mut self) -> Answer {
        let output = self.child.take().unwrap().wait_with_output().unwrap();
        for pid in [self.leader, self.keeper, self.warden] {
            assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{pid} is left");
        }
        Answer {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            took: BootInstant::now().since(self.begun),
        }
    }

    /// Kills solocron, and nothing else.
    fn kill9(mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // For a test that failed.
            let _gone = child.kill().and_then(|()| child.wait());
        }
    }
}

/// The beginning of a command that notes in `overlaps` when it is there together with
/// another of them. Who lives is the kernel's word: all processes of a command share a
/// lock on a file, which is free when the last of them is gone.
const ALONE: &str = "exec 9>>turn; flock -n 9 || echo overlap >> overlaps;";

/// A command that is three processes: itself, a child that ignores TERM, and one that
/// ignores TERM, is in a session of its own, and whose parent is gone. They sleep as long
/// as `mark` says, which nobody else does. It does not end by itself.
fn tree(mark: &str) -> String {
    format!(
        "{ALONE} (trap '' TERM; exec sleep {mark}) & \
         setsid sh -c 'trap \"\" TERM; sleep {mark} & exit' & \
         echo $$ > pid; exec sleep {mark}"
    )
}

/// A time to sleep that no other test's processes sleep.
fn mark() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("1000.{:07}{:04}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// The living processes that sleep as long as `mark`.
fn sleepers(mark: &str) -> Vec<i32> {
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let path = entry.ok()?.path();
        let pid = path.file_name()?.to_str()?.parse().ok()?;
        let arguments = std::fs::read(path.join("cmdline")).ok()?;
        arguments.split(|byte| *byte == 0).any(|one| one == mark.as_bytes()).then_some(pid)
    });
    pids.collect()
}

fn wait_for_tree(mark: &str) {
    until("the whole tree is there", || sleepers(mark).len() == 3);
}

fn is_alive(pid: i32) -> bool {
    lives(&pid.to_string())
}
