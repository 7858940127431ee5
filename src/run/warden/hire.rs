//! The daemon's side: starts the warden, and hands it the sockets of new runs.
//!
//! One thread does this, so that there is one warden, and so that a warden that takes
//! nothing (somebody stopped it) holds up other starts but never the daemon.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use nix::unistd::Pid;
use tokio::sync::oneshot;

use crate::run::bytes::Writer;
use crate::run::orphanage::{self, Known};
use crate::run::session::Session;
use crate::run::{family, packets};

/// How long a warden may take to answer before it counts as stopped.
pub(in crate::run) const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// A warden that was started; it may have died since.
#[derive(Debug)]
pub(in crate::run) struct Warden {
    known: Known,
    child: Mutex<Child>,
}

impl Warden {
    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It has ended, and its children have been given to others.
    pub(in crate::run) fn is_dead(&self) -> bool {
        // An error says that somebody else has reaped it.
        !matches!(self.child().try_wait(), Ok(None))
    }

    pub(in crate::run) fn is_stopped(&self) -> bool {
        !self.is_dead() && family::is_stopped(self.known.pid())
    }

    /// Kills it: its keepers go on and become ours.
    pub(in crate::run) fn kill(&self) {
        let mut child = self.child();
        // An error says that somebody else has reaped it. It has nothing to wait for,
        // so it is gone at once.
        let _ = child.kill().and_then(|()| child.wait());
    }
}

/// A new warden, and the wire to it. While it is open, the warden serves.
struct Hired {
    warden: Arc<Warden>,
    orders: OwnedFd,
}

/// What the thread that hires wardens is asked for.
enum Order {
    /// A keeper.
    Keeper {
        session: Session,
        control: OwnedFd,
        grace_on_loss: Duration,
        reply: oneshot::Sender<io::Result<Arc<Warden>>>,
    },
    /// That the warden of the caller's session goes; it is told which that is.
    Dismissal(oneshot::Sender<Option<Arc<Warden>>>),
}

/// Has the warden, which is started if there is none, fork a keeper for the run at the
/// other end of `control`. It is done when it was asked to; the keeper itself answers.
pub(in crate::run) async fn entrust(
    session: Session,
    control: OwnedFd,
    grace_on_loss: Duration,
) -> io::Result<Arc<Warden>> {
    let (reply, answer) = oneshot::channel();
    send(Order::Keeper { session, control, grace_on_loss, reply })?;
    answer.await.map_err(|_| io::Error::other("the thread that starts keepers is gone"))?
}

/// Returns when the warden of the caller's session, which has nothing left to do, is gone:
/// not every process that inherits children notes their end.
pub(in crate::run) async fn dismiss() {
    const PAUSE: Duration = Duration::from_millis(1);
    let (reply, answer) = oneshot::channel();
    if send(Order::Dismissal(reply)).is_err() {
        return;
    }
    let Ok(Some(warden)) = answer.await else { return };
    let leaves = async {
        while !warden.is_dead() {
            tokio::time::sleep(PAUSE).await;
        }
    };
    if tokio::time::timeout(ANSWERS_WITHIN, leaves).await.is_err() {
        warden.kill();
    }
}

fn send(order: Order) -> io::Result<()> {
    static HIRER: Mutex<Option<mpsc::Sender<Order>>> = Mutex::new(None);
    let mut hirer = HIRER.lock().unwrap_or_else(PoisonError::into_inner);
    let order = match &*hirer {
        None => order,
        Some(sender) => match sender.send(order) {
            Ok(()) => return Ok(()),
            Err(mpsc::SendError(order)) => order,
        },
    };
    let (sender, orders) = mpsc::channel();
    std::thread::Builder::new().name("solocron-hire".to_owned()).spawn(move || serve(&orders))?;
    let sent = sender.send(order);
    *hirer = Some(sender);
    sent.map_err(|_| io::Error::other("the thread that starts keepers is gone"))
}

fn serve(orders: &mpsc::Receiver<Order>) {
    // A process has one kind; tests may have both.
    let (mut own, mut callers) = (None, None);
    while let Ok(order) = orders.recv() {
        match order {
            Order::Keeper { reply, .. } if reply.is_closed() => {}
            Order::Keeper { session, control, grace_on_loss, reply } => {
                let hired = if session == Session::Own { &mut own } else { &mut callers };
                let handed = hand_over(hired, session, &control, grace_on_loss);
                // Ours must be closed for its end to be seen, before anybody waits for it.
                drop(control);
                let _nobody_waits = reply.send(handed);
            }
            Order::Dismissal(reply) => {
                // Its wire is closed here, which dismisses it.
                let dismissed = callers.take().map(|Hired { warden, .. }| warden);
                let _nobody_waits = reply.send(dismissed);
            }
        }
    }
}

/// Hands it to the warden, to a new one where the old one takes nothing more.
fn hand_over(
    hired: &mut Option<Hired>,
    session: Session,
    control: &OwnedFd,
    grace_on_loss: Duration,
) -> io::Result<Arc<Warden>> {
    let mut order = Writer::default();
    order.duration(grace_on_loss);
    let order = order.finish();
    if let Some(old) = hired.take_if(|old| old.warden.is_dead()) {
        // Closed only now: what was still in it is the runs' own business.
        drop(old);
    }
    if let Some(Hired { warden, orders }) = hired {
        match packets::send_patiently(&*orders, &order, control.as_fd()) {
            Ok(()) => return Ok(Arc::clone(warden)),
            // It is stopped, or it died just now.
            Err(_) => warden.kill(),
        }
    }
    let new = hired.insert(hire(session)?);
    packets::send_patiently(&new.orders, &order, control.as_fd())?;
    Ok(Arc::clone(&new.warden))
}

fn hire(session: Session) -> io::Result<Hired> {
    // What a warden leaves when it dies becomes ours.
    prctl::set_child_subreaper(true)?;
    let (orders, theirs) = packets::pair()?;
    let patience = TimeVal::new(ANSWERS_WITHIN.as_secs().cast_signed(), 0);
    setsockopt(&orders, sockopt::SendTimeout, &patience)?;
    let mut program = super::program(session)?;
    program
        .env_clear()
        .stdin(Stdio::from(theirs))
        // It outlives the daemon by a moment: nobody's log may wait for it.
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let warden = orphanage::among_kin(|kin| {
        let child = program.spawn().map_err(explain)?;
        kin.lives_in(session);
        let known = kin.add(Pid::from_raw(child.id().cast_signed()));
        io::Result::Ok(Warden { known, child: Mutex::new(child) })
    })?;
    // The command holds the warden's end of the wire.
    drop(program);
    tracing::debug!(pid = warden.known.pid().as_raw(), "the warden was started");
    Ok(Hired { warden: Arc::new(warden), orders })
}

/// A shortage is told as such; anything else says nothing without what was tried.
fn explain(error: io::Error) -> io::Error {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT | Errno::EACCES | Errno::EPERM) => io::Error::other(format!(
            "solocron cannot start itself once more, as the warden of its jobs, by \
             /proc/self/exe: {error}"
        )),
        _ => error,
    }
}
