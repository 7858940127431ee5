//! What the daemon tells the service manager (systemd's `Type=notify`).
//!
//! Where `NOTIFY_SOCKET` is not set, nothing happens. A manager that does not
//! read its socket holds the daemon up for a tenth of a second at most, and no
//! error of it is an error of the daemon.
//!
//! The variables stay in the daemon's own environment, as taking them out is not
//! safe once there are threads. Whatever starts a process with that environment
//! takes [`VARIABLES`] out of the child's.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::OnceLock;
use std::time::Duration;

use sd_notify::NotifyState;

/// The variables of the service manager's protocol. No child may have them: a job
/// could speak for the daemon.
pub const VARIABLES: [&str; 6] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
];

/// The longest that the manager may hold us up.
const SEND_AT_MOST: Duration = Duration::from_millis(100);

/// The node is ready to claim.
pub fn ready(status: &str) {
    manager().tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The job table is being loaded anew; [`ready`] says that it is over.
pub fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        manager().tell(&[NotifyState::Reloading, now]);
    }
}

/// The node is draining, or about to stop.
pub fn stopping(status: &str) {
    manager().tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// One line for `systemctl status`.
pub fn status(status: &str) {
    manager().tell(&[NotifyState::Status(status)]);
}

/// The daemon lives. Call it every [`Watchdog::interval`], from where the daemon
/// decides and only as long as it does: a timer of its own would go on living
/// after the rest has stopped.
pub fn watchdog_ping() {
    manager().tell(&[NotifyState::Watchdog]);
}

/// The manager's watch over the daemon.
#[derive(Debug)]
pub struct Watchdog;

impl Watchdog {
    /// How often the manager wants a ping: twice in the time after which it gives
    /// the daemon up (`WatchdogSec=`). None when it does not watch.
    pub fn interval() -> Option<Duration> {
        manager().socket.as_ref()?;
        sd_notify::watchdog_enabled().map(|limit| limit / 2).filter(|half| !half.is_zero())
    }
}

fn manager() -> &'static Manager {
    static MANAGER: OnceLock<Manager> = OnceLock::new();
    MANAGER.get_or_init(|| Manager::at(env::var_os("NOTIFY_SOCKET").as_deref()))
}

/// The way to the service manager, if there is one.
struct Manager {
    socket: Option<UnixDatagram>,
}

impl Manager {
    /// At the address that `NOTIFY_SOCKET` holds: a path, or `@` and an abstract name.
    fn at(address: Option<&OsStr>) -> Self {
        let connected = address.filter(|address| !address.is_empty()).map(connect);
        Self {
            socket: connected.and_then(|connected| {
                connected
                    .inspect_err(|error| tracing::warn!(%error, "cannot reach the service manager"))
                    .ok()
            }),
        }
    }

    fn tell(&self, states: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else { return };
        // A line is a statement; what is inside one must not begin another.
        let message: String = states
            .iter()
            .map(|state| state.to_string().replace(|c: char| c.is_control(), " ") + "\n")
            .collect();
        if let Err(error) = socket.send(message.as_bytes()) {
            tracing::debug!(%error, "the service manager did not take a message");
        }
    }
}

/// Not by `sd_notify::notify`: that opens a socket for each message, waits for a
/// manager that does not read, and knows no abstract names.
fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match address.as_bytes() {
        [b'@', name @ ..] => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        _ => socket.connect(address)?,
    }
    socket.set_write_timeout(Some(SEND_AT_MOST))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 4096];
        let n = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..n].to_vec()).unwrap()
    }

    fn listen() -> (tempfile::TempDir, UnixDatagram) {
        let dir = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        (dir, socket)
    }

    #[test]
    fn without_a_manager_nothing_happens() {
        for address in [None, Some(OsStr::new("")), Some(OsStr::new("/nonexistent/notify"))] {
            let manager = Manager::at(address);
            assert!(manager.socket.is_none());
            manager.tell(&[NotifyState::Ready]);
        }
    }

    #[test]
    fn a_status_cannot_smuggle_in_a_statement() {
        let (dir, socket) = listen();
        let manager = Manager::at(Some(dir.path().join("notify").as_os_str()));
        manager.tell(&[NotifyState::Ready, NotifyState::Status("2 jobs\nSTOPPING=1")]);
        assert_eq!(received(&socket), "READY=1\nSTATUS=2 jobs STOPPING=1\n");
    }

    #[test]
    fn an_abstract_address_is_reached_too() {
        let name = format!("solocron-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        Manager::at(Some(OsStr::new(&format!("@{name}")))).tell(&[NotifyState::Stopping]);
        assert_eq!(received(&socket), "STOPPING=1\n");
    }

    #[test]
    fn a_manager_that_does_not_read_does_not_hold_us_up() {
        let (dir, _socket) = listen();
        let manager = Manager::at(Some(dir.path().join("notify").as_os_str()));
        // The queue of a datagram socket is a few hundred messages at most by
        // default; on a system with a longer one there is nothing to see.
        let socket = manager.socket.as_ref().unwrap();
        let full = (0..5_000).any(|_| socket.send(b"STATUS=\n").is_err());
        if full {
            manager.tell(&[NotifyState::Watchdog]);
        }
    }

    /// What the test below runs in a process of its own, with the variables set.
    #[test]
    #[ignore = "a part of the test below"]
    fn child_of_a_manager() {
        assert_eq!(Watchdog::interval(), Some(Duration::from_secs(15)));
        ready("2 jobs");
        status("1 run");
        watchdog_ping();
        stopping("draining");
    }

    #[test]
    fn a_daemon_under_a_manager_tells_it_how_it_is() {
        let (dir, socket) = listen();
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "service::tests::child_of_a_manager", "--ignored"])
            .env("NOTIFY_SOCKET", dir.path().join("notify"))
            .env("WATCHDOG_USEC", "30000000")
            .env_remove("WATCHDOG_PID")
            .output()
            .unwrap();
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
        assert_eq!(received(&socket), "READY=1\nSTATUS=2 jobs\n");
        assert_eq!(received(&socket), "STATUS=1 run\n");
        assert_eq!(received(&socket), "WATCHDOG=1\n");
        assert_eq!(received(&socket), "STOPPING=1\nSTATUS=draining\n");
    }
}
