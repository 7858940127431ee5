//! Reads what a command prints, for as long as its group lives, and never makes
//! it wait for anything but the reading itself.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

pub(super) use tokio::net::unix::pipe::Receiver;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::output::{Splitter, readable};
use super::tail::Tail;

/// Which of a command's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// The word that logs use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Takes a command's lines.
pub trait OutputSink: Send + Sync {
    /// Takes one line: text without control characters, of a bounded length. Must
    /// not block; what it cannot take now, it drops and counts.
    fn line(&self, stream: Stream, line: &str);
}

/// How much is read at once: what a pipe holds.
const CHUNK: usize = 64 * 1024;

/// How many chunks of one stream are still read when the run's group is gone: what
/// a pipe may have been made to hold. More can only come from a process that left
/// the group, and that does not hold the run.
const LAST_CHUNKS: usize = 16;

thread_local! {
    /// One buffer for each thread that reads, not for each run: of 500 runs most
    /// are silent most of the time.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; CHUNK].into());
}

/// The readers of one run, on a task of their own.
#[derive(Debug)]
pub(super) struct Pump {
    finish: oneshot::Sender<()>,
    task: JoinHandle<String>,
}

impl Pump {
    /// Starts to read.
    pub(super) fn start(
        stdout: Receiver,
        stderr: Receiver,
        limit: usize,
        sink: Arc<dyn OutputSink>,
    ) -> Self {
        let (finish, finished) = oneshot::channel();
        let pipes = Pipes {
            stdout: Source::new(Stream::Stdout, stdout),
            stderr: Source::new(Stream::Stderr, stderr),
            lines: Lines { sink, tail: Tail::new(limit), room: String::new() },
        };
        Self { finish, task: tokio::spawn(pipes.read(finished)) }
    }

    /// Reads what is left in the pipes, closes them, and returns the tail.
    pub(super) async fn finish(self) -> String {
        let _ = self.finish.send(());
        self.task.await.unwrap_or_default()
    }
}

/// The reading end of a pipe, known to the runtime, and the end for the child.
pub(super) fn pipe() -> io::Result<(Receiver, OwnedFd)> {
    let (read, write) = io::pipe()?;
    Ok((Receiver::from_owned_fd(read.into())?, write.into()))
}

/// Reads what is in the pipe, if anything is. The runtime's own `try_read` asks the
/// kernel only when the runtime has heard of something to read, which it may not
/// have yet: at the end of a run, that would lose the last words.
pub(super) fn read_now(pipe: &Receiver, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(nix::unistd::read(pipe, buffer)?)
}

struct Pipes {
    stdout: Source,
    stderr: Source,
    lines: Lines,
}

impl Pipes {
    async fn read(mut self, mut finished: oneshot::Receiver<()>) -> String {
        while self.stdout.pipe.is_some() || self.stderr.pipe.is_some() {
            tokio::select! {
                () = self.stdout.ready() => { self.stdout.read(&mut self.lines, Receiver::try_read); }
                () = self.stderr.ready() => { self.stderr.read(&mut self.lines, Receiver::try_read); }
                // Also when the run was dropped.
                _ = &mut finished => break,
            }
            // One that prints without end lets the others have their turn, and the
            // runtime look at its timers: the budget of a task is megabytes of lines.
            tokio::task::yield_now().await;
        }
        for source in [&mut self.stdout, &mut self.stderr] {
            for _ in 0..LAST_CHUNKS {
                if !source.read(&mut self.lines, read_now) {
                    break;
                }
            }
            source.end(&mut self.lines);
        }
        self.lines.tail.finish()
    }
}

struct Source {
    stream: Stream,
    /// Nothing once it has ended.
    pipe: Option<Receiver>,
    splitter: Splitter,
}

impl Source {
    fn new(stream: Stream, pipe: Receiver) -> Self {
        Self { stream, pipe: Some(pipe), splitter: Splitter::default() }
    }

    /// Returns when there is something to read, or the end.
    async fn ready(&self) {
        match &self.pipe {
            // An error shows up again at the reading.
            Some(pipe) => drop(pipe.readable().await),
            None => std::future::pending().await,
        }
    }

    /// Reads one chunk by `read`; false if there was none.
    fn read(
        &mut self,
        lines: &mut Lines,
        read: impl FnOnce(&Receiver, &mut [u8]) -> io::Result<usize>,
    ) -> bool {
        let Some(pipe) = &self.pipe else { return false };
        let open = BUFFER.with_borrow_mut(|buffer| match read(pipe, buffer) {
            Ok(0) => Err(()),
            Ok(length) => {
                self.splitter.feed(&buffer[..length], |line| lines.take(self.stream, line));
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            Err(_) => Err(()),
        });
        open.unwrap_or_else(|()| {
            self.end(lines);
            false
        })
    }

    fn end(&mut self, lines: &mut Lines) {
        self.pipe = None;
        std::mem::take(&mut self.splitter).finish(|line| lines.take(self.stream, line));
    }
}

/// Where the lines go, in the order in which they came.
struct Lines {
    sink: Arc<dyn OutputSink>,
    tail: Tail,
    room: String,
}

impl Lines {
    fn take(&mut self, stream: Stream, line: &[u8]) {
        let text = readable(line, &mut self.room);
        self.sink.line(stream, text);
        self.tail.push(text);
    }
}
