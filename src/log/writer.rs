//! The writer: one thread that writes records out, and the queue before it.
//!
//! Invariants:
//!
//! - Handing in a record never waits for the sink; it takes one short lock that
//!   is not held while anything is written.
//! - The queue is bounded in bytes, what is being written included. Over
//!   [`Limits::output`] the output of jobs is dropped, until the queue is down
//!   to [`Limits::resume`]; over [`Limits::all`] everything is.
//! - What is dropped is counted, by run, and told in the place where it is
//!   missing: after the lines that came before it, and before any later record
//!   of the same run. So for each run, lines written plus lines told as dropped
//!   are the lines handed in.
//! - Records are written whole and in the order in which they were handed in.
//! - A sink that is full or fails for a while is tried again, slowly; one that
//!   nobody reads any more ends the writing, and the daemon goes on.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How many bytes may wait for the sink.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// More than this, and the output of jobs is dropped.
    pub(super) output: usize,
    /// This or less, and it is taken again. Well below `output`, so that a sink
    /// that is a little too slow causes few gaps rather than many.
    pub(super) resume: usize,
    /// More than this, and every record is dropped.
    pub(super) all: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { output: 4 << 20, resume: 2 << 20, all: 64 << 20 }
    }
}

/// So many bytes are written at once; after each, the queue is looked at again.
const CHUNK: usize = 64 << 10;
/// A buffer larger than this is given back once it is empty.
const KEEP_BUFFER: usize = 1 << 20;
/// Losses are told apart for at most so many runs at a time; those of further
/// runs are added up without a name.
const RUNS_TOLD_APART: usize = 4096;
/// How long the thread looks away before it sleeps until woken: waking it for
/// every record of a burst would cost more than the records.
const LINGER: Duration = Duration::from_millis(1);
/// How long a sink that cannot take anything now is left alone.
const PAUSE: Duration = Duration::from_millis(20);
/// The same for a sink that failed, such as a full disk.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(500);
/// The longest that the end of the program waits for the sink.
const FLUSH_AT_MOST: Duration = Duration::from_secs(2);

/// The run a record belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RunFields<'a> {
    pub(super) job: &'a str,
    pub(super) slot: &'a str,
    pub(super) run_id: &'a str,
    pub(super) attempt: u64,
    pub(super) fence: u64,
}

/// What was dropped of one run; of no run in particular when `run_id` is empty.
#[derive(Debug, Default)]
pub(super) struct Loss {
    pub(super) job: String,
    pub(super) slot: String,
    pub(super) run_id: String,
    pub(super) attempt: u64,
    pub(super) fence: u64,
    /// Lines of output, or records where no run is named.
    pub(super) lines: u64,
    /// Their bytes, without line ends.
    pub(super) bytes: u64,
}

impl Loss {
    fn of(run: Option<RunFields<'_>>) -> Self {
        run.map_or_else(Self::default, |run| Self {
            job: run.job.to_owned(),
            slot: run.slot.to_owned(),
            run_id: run.run_id.to_owned(),
            attempt: run.attempt,
            fence: run.fence,
            ..Self::default()
        })
    }
}

/// Renders the record that tells of a loss.
pub(super) type Tell = Box<dyn Fn(&Loss, &mut Vec<u8>) + Send + Sync>;

/// The queue's entrance.
pub(super) struct Queue {
    state: Mutex<State>,
    /// The thread waits here for records.
    filled: Condvar,
    /// The guard waits here for the end.
    ended: Condvar,
    limits: Limits,
    tell: Tell,
}

#[derive(Default)]
struct State {
    /// Records that wait, one behind another.
    pending: Vec<u8>,
    /// Bytes that the thread took and has not written yet.
    in_flight: usize,
    /// Output is being dropped.
    shedding: bool,
    /// What was dropped and not yet told, by run id.
    lost: BTreeMap<String, Loss>,
    /// The thread waits on `filled`, and nobody has woken it yet.
    asleep: bool,
    /// The thread is to end once nothing is left.
    closing: bool,
    /// The thread has ended; nothing is taken any more.
    gone: bool,
}

impl State {
    fn held(&self) -> usize {
        self.pending.len() + self.in_flight
    }
}

impl Queue {
    /// Hands in a record that is not output, with the run it belongs to, if any.
    pub(super) fn event(&self, run: Option<RunFields<'_>>, record: &[u8]) {
        let mut state = self.lock();
        if state.gone {
            return;
        }
        if state.held() + record.len() > self.limits.all {
            return drop_line(&mut state, None, record.len().saturating_sub(1));
        }
        if let Some(run) = run.filter(|_| !state.lost.is_empty())
            && let Some(loss) = state.lost.remove(run.run_id)
        {
            (self.tell)(&loss, &mut state.pending);
        }
        state.pending.extend_from_slice(record);
        self.wake(state);
    }

    /// Hands in a record that is a line of `run`'s output, `len` bytes long.
    pub(super) fn output(&self, run: RunFields<'_>, len: usize, record: &[u8]) {
        let mut state = self.lock();
        if state.gone {
            return;
        }
        if state.shedding || state.held() + record.len() > self.limits.output {
            state.shedding = true;
            drop_line(&mut state, Some(run), len);
        } else {
            state.pending.extend_from_slice(record);
        }
        // Also after a drop: a line longer than the whole queue may find it
        // empty, and then the thread is asleep.
        self.wake(state);
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let asleep = std::mem::take(&mut state.asleep);
        drop(state);
        if asleep {
            self.filled.notify_one();
        }
    }

    /// Tells every loss and takes output again.
    fn tell_all(&self, state: &mut State) {
        for loss in std::mem::take(&mut state.lost).into_values() {
            (self.tell)(&loss, &mut state.pending);
        }
        state.shedding = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is sound between any two statements that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: takes what waits, writes it, until closed or nobody reads.
    fn write_to(&self, sink: &mut dyn Write) {
        let mut batch = Vec::new();
        while self.take(&mut batch) {
            for chunk in batch.chunks(CHUNK) {
                let reader_is_there = write_whole(sink, chunk);
                let mut state = self.lock();
                state.in_flight -= chunk.len();
                if !reader_is_there {
                    return self.end(state);
                }
                let lossy = state.shedding || !state.lost.is_empty();
                if lossy && state.held() <= self.limits.resume {
                    self.tell_all(&mut state);
                }
            }
        }
        self.end(self.lock());
    }

    /// Moves what waits to `batch`; false when closed and nothing is left.
    fn take(&self, batch: &mut Vec<u8>) -> bool {
        batch.clear();
        if batch.capacity() > KEEP_BUFFER {
            *batch = Vec::new();
        }
        let mut state = self.lock();
        let mut lingered = false;
        loop {
            if state.closing || state.pending.is_empty() {
                self.tell_all(&mut state);
            }
            if !state.pending.is_empty() {
                std::mem::swap(&mut state.pending, batch);
                state.in_flight = batch.len();
                return true;
            }
            if state.closing {
                return false;
            }
            state.asleep = lingered;
            state = if lingered {
                self.filled.wait(state).unwrap_or_else(PoisonError::into_inner)
            } else {
                let waited = self.filled.wait_timeout(state, LINGER);
                waited.unwrap_or_else(PoisonError::into_inner).0
            };
            lingered = true;
        }
    }

    fn end(&self, mut state: MutexGuard<'_, State>) {
        *state = State { gone: true, ..State::default() };
        self.ended.notify_all();
    }
}

/// Counts a line of `len` bytes as lost.
fn drop_line(state: &mut State, run: Option<RunFields<'_>>, len: usize) {
    let told_apart = |run: &RunFields<'_>| {
        state.lost.len() < RUNS_TOLD_APART || state.lost.contains_key(run.run_id)
    };
    let run = run.filter(told_apart);
    let key = run.map_or("", |run| run.run_id);
    let loss = match state.lost.get_mut(key) {
        Some(loss) => loss,
        None => state.lost.entry(key.to_owned()).or_insert_with(|| Loss::of(run)),
    };
    loss.lines += 1;
    loss.bytes += len as u64;
}

/// Writes all of `bytes`, however long it takes; false when nobody will ever read them.
fn write_whole(sink: &mut dyn Write, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match sink.write(bytes) {
            Ok(0) => return false,
            Ok(n) => bytes = &bytes[n..],
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => return false,
                _ => thread::sleep(PAUSE_AFTER_ERROR),
            },
        }
    }
    true
}

/// Keeps the log written. Dropping it writes what still waits, for at most two
/// seconds; records made after that are lost, so it is the last thing to drop.
#[must_use = "the log ends when this is dropped"]
pub struct Guard {
    queue: Arc<Queue>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.closing = true;
        self.queue.filled.notify_one();
        // A timeout leaves the thread to itself: the process is about to end.
        let _ = self.queue.ended.wait_timeout_while(state, FLUSH_AT_MOST, |state| !state.gone);
    }
}

/// Starts the writer thread before `sink`.
pub(super) fn start(
    mut sink: Box<dyn Write + Send>,
    limits: Limits,
    tell: Tell,
) -> io::Result<(Arc<Queue>, Guard)> {
    let queue = Arc::new(Queue {
        state: Mutex::default(),
        filled: Condvar::new(),
        ended: Condvar::new(),
        limits,
        tell,
    });
    let writer = Arc::clone(&queue);
    thread::Builder::new().name("log".to_owned()).spawn(move || writer.write_to(&mut *sink))?;
    Ok((Arc::clone(&queue), Guard { queue }))
}

#[cfg(test)]
mod tests;
