//! One attempt to tell somebody by a program: the notice on its standard input.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::notice::Notice;
use crate::run::PATH;

/// How much of the end of what it says about its failure is told.
const TOLD: usize = 500;

/// How long is waited for the last of that, once it has ended.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Runs the program `words` with `body` on its standard input. Whoever drops the future
/// ends it, with its process group.
pub(super) async fn run(words: &[Box<str>], notice: &Notice, body: &str) -> Result<(), String> {
    let [program, arguments @ ..] = words else { return Err("there is no program".to_owned()) };
    let mut command = Command::new(&**program);
    command
        .args(arguments.iter().map(|word| &**word))
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .envs(notice.variables())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0);
    let child = command.spawn().map_err(|error| format!("cannot start {program:?}: {error}"))?;
    let mut group = Group::of(child);
    let (stdin, stderr) = (group.child.stdin.take(), group.child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // One that does not read its input says by its exit code how it went.
            let _ = stdin.write_all(body.as_bytes()).await;
        }
    };
    let mut said = Vec::new();
    let listen = async {
        if let Some(stderr) = stderr {
            listen(stderr, &mut said).await;
        }
    };
    let ended = async {
        let ended = group.child.wait().await;
        // What it left running may hold its output open.
        tokio::time::sleep(LAST_WORDS).await;
        ended
    };
    let ended = {
        let mut ended = std::pin::pin!(ended);
        tokio::select! {
            ended = &mut ended => ended,
            _ = async { tokio::join!(feed, listen) } => ended.await,
        }
    };
    let status = ended.map_err(|error| format!("{program:?} cannot be waited for: {error}"))?;
    group.has_ended = true;
    match status.success() {
        true => Ok(()),
        false => Err(failure(program, status, &said)),
    }
}

fn failure(program: &str, status: ExitStatus, said: &[u8]) -> String {
    let said = String::from_utf8_lossy(&said[said.len().saturating_sub(TOLD)..]);
    let said: Vec<_> = said.split_whitespace().collect();
    match said.join(" ") {
        nothing if nothing.is_empty() => format!("{program:?} ended with {status}"),
        said => format!("{program:?} ended with {status}: {said}"),
    }
}

/// Reads to the end, and keeps the last of it.
async fn listen(mut from: impl AsyncRead + Unpin, said: &mut Vec<u8>) {
    let mut chunk = [0; 1024];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        said.extend_from_slice(&chunk[..count]);
        let surplus = said.len().saturating_sub(2 * TOLD);
        said.drain(..surplus);
    }
}

/// A child that leads a process group, which ends with this.
struct Group {
    child: Child,
    leader: Option<Pid>,
    has_ended: bool,
}

impl Group {
    fn of(child: Child) -> Self {
        let leader = child.id().map(|id| Pid::from_raw(id.cast_signed()));
        Self { child, leader, has_ended: false }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Before it was waited for, its number is nobody else's.
        if let Some(leader) = self.leader.filter(|_| !self.has_ended) {
            let _ = killpg(leader, Signal::SIGKILL);
        }
    }
}
