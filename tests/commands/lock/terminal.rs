//! At a terminal: the command is in its foreground, as if there were no lock.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::libc;
use nix::poll::{PollFd, PollFlags, poll};
use solocron::clock::BootInstant;

use super::{Stand, is_alive, on_both};
use crate::harness::{processes, until};

/// A terminal of its own, and the leader of its session in it.
struct Terminal {
    keyboard: File,
    screen: Arc<Mutex<Vec<u8>>>,
    /// Ends the reader.
    closed: Arc<AtomicBool>,
    reader: JoinHandle<()>,
    child: Child,
}

impl Terminal {
    /// Starts `command` in a new one.
    fn with(mut command: Command) -> Self {
        let (master, slave) = open_pair();
        let end = |slave: &OwnedFd| slave.try_clone().unwrap();
        command.stdin(end(&slave)).stdout(end(&slave)).stderr(slave);
        // SAFETY: between fork and exec there are but two system calls.
        unsafe {
            command.pre_exec(|| {
                nix::unistd::setsid()?;
                nix::errno::Errno::result(libc::ioctl(0, libc::TIOCSCTTY, 0))?;
                Ok(())
            });
        }
        let child = processes::spawn(command).unwrap();
        let keyboard = File::from(master);
        let screen = Arc::new(Mutex::new(Vec::new()));
        let closed = Arc::new(AtomicBool::new(false));
        let (mut output, shown) = (keyboard.try_clone().unwrap(), screen.clone());
        let is_closed = closed.clone();
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while !is_closed.load(Ordering::Relaxed) {
                let mut readable = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
                if poll(&mut readable, 20_u8).unwrap() == 0 {
                    continue;
                }
                match output.read(&mut buffer) {
                    Ok(length @ 1..) => shown.lock().unwrap().extend(&buffer[..length]),
                    // Nobody has the terminal any more.
                    _ => return,
                }
            }
        });
        Self { keyboard, screen, closed, reader, child }
    }

    fn press(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).unwrap();
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    fn wait_for(&self, text: &str) {
        until(&format!("{text:?} is shown"), || self.shown().contains(text));
    }

    fn end(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        // All that was written is shown when the last who has it is gone.
        self.reader.join().unwrap();
        let shown = self.screen.lock().unwrap().clone();
        (status, String::from_utf8_lossy(&shown).into_owned())
    }

    /// As if the line were cut.
    fn hang_up(self) -> Child {
        self.closed.store(true, Ordering::Relaxed);
        self.reader.join().unwrap();
        self.child
    }
}

/// Both ends of a new terminal.
fn open_pair() -> (OwnedFd, OwnedFd) {
    let (mut master, mut slave) = (-1, -1);
    let null = std::ptr::null_mut();
    // SAFETY: writes two descriptors, and takes null for what is to be the default.
    let opened =
        unsafe { libc::openpty(&raw mut master, &raw mut slave, null, null.cast(), null.cast()) };
    assert_eq!(opened, 0);
    // SAFETY: the two were opened just now, and nobody else has them.
    let pair = unsafe { [OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave)] };
    for end in &pair {
        use nix::fcntl::{FcntlArg, FdFlag, fcntl};
        fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
    }
    let [master, slave] = pair;
    (master, slave)
}

fn lock_at_terminal(stand: &Stand, options: &[&str], line: &str) -> Terminal {
    Terminal::with(stand.command(&[options, &["--", "bash", "-c", line]].concat()))
}

/// The state of a process, as `/proc` has it; none when it is gone.
fn state(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

#[test]
fn the_command_is_at_the_terminal_and_can_read_from_it() {
    on_both(|stand| {
        let line = "for n in 0 1 2; do [ -t $n ] || echo no terminal; done; \
                    read -r _ _ _ _ group _ _ front _ < /proc/$$/stat; \
                    [ $group = $front ] && echo in front; \
                    read -p 'who? ' who < /dev/tty; echo \"hello $who\"";
        let mut terminal = lock_at_terminal(stand, &["job"], line);
        terminal.wait_for("who? ");
        terminal.press(b"world\n");
        terminal.wait_for("hello world");
        let (status, shown) = terminal.end();
        assert_eq!(status.code(), Some(0), "{shown}");
        assert!(shown.contains("in front") && !shown.contains("no terminal"), "{shown}");
    });
}

#[test]
fn ctrl_c_reaches_the_command_once() {
    let stand = Stand::on_sqlite();
    let line = "n=0; trap 'n=$((n + 1)); echo interrupt $n' INT; \
                trap 'echo quit $n; exit 5' QUIT; echo ready; while :; do sleep 0.01; done";
    let mut terminal = lock_at_terminal(&stand, &["job"], line);
    terminal.wait_for("ready");
    for n in 1..=5 {
        terminal.press(b"\x03");
        terminal.wait_for(&format!("interrupt {n}"));
    }
    terminal.press(b"\x1c");
    let (status, shown) = terminal.end();
    assert_eq!(status.code(), Some(5), "{shown}");
    assert!(shown.contains("quit 5") && !shown.contains("interrupt 6"), "{shown}");
}

#[test]
fn a_script_ends_with_its_command_when_ctrl_c_is_pressed() {
    let stand = Stand::on_sqlite();
    let script = stand.bench.shell_command(
        "solocron lock job -- sh -c 'echo ready; exec sleep 600'; echo went on; true",
    );
    let mut terminal = Terminal::with(script);
    terminal.wait_for("ready");
    terminal.press(b"\x03");
    let (status, shown) = terminal.end();
    assert_eq!(status.signal(), Some(2), "{status:?} {shown}");
    assert!(!shown.contains("went on"), "{shown}");
    stand.lock(&["job", "--", "true"]).good();
}

/// A shell that somebody sits at.
fn shell(stand: &Stand) -> Terminal {
    let settled = stand.bench.shell_command("");
    let mut shell = Command::new(settled.get_program());
    let environment = settled.get_envs().filter_map(|(name, value)| Some((name, value?)));
    shell.env_clear().envs(environment).env("PS1", "prompt> ").current_dir(stand.bench.dir());
    shell.args(["--norc", "--noprofile", "-i"]);
    let terminal = Terminal::with(shell);
    terminal.wait_for("prompt> ");
    terminal
}

#[test]
fn ctrl_z_stops_both_and_the_shell_lets_them_go_on() {
    let stand = Stand::on_sqlite();
    let mut terminal = shell(&stand);
    terminal.press(
        b"solocron lock job --ttl 60s -- bash -c 'echo $$ > pid; \
          until [ -e go ]; do sleep 0.01; done; echo fin''ished'\n",
    );
    let leader: i32 = stand.bench.wait_for_file("pid").trim().parse().unwrap();
    terminal.press(b"\x1a");
    terminal.wait_for("Stopped");
    until("the command is stopped as well", || state(leader) == Some('T'));
    terminal.press(b"fg\n");
    until("it goes on", || state(leader).is_some_and(|state| state != 'T'));
    stand.bench.write("go", "");
    terminal.wait_for("finished");
    terminal.press(b"echo status $?; exit 0\n");
    let (_, shown) = terminal.end();
    assert!(shown.contains("status 0"), "{shown}");
}

#[test]
fn one_that_stays_stopped_loses_the_lock_in_time() {
    let stand = Stand::on_sqlite();
    let mut terminal = shell(&stand);
    terminal.press(b"solocron lock job --ttl 2s -- sh -c 'echo $$ > pid; exec sleep 600'\n");
    let leader: i32 = stand.bench.wait_for_file("pid").trim().parse().unwrap();
    terminal.press(b"\x1a");
    terminal.wait_for("Stopped");
    let stopped = BootInstant::now();
    until("the command is gone", || !is_alive(leader));
    let took = BootInstant::now().since(stopped);
    // The rest is for a busy machine to look.
    assert!(took < Duration::from_millis(2_700), "{took:?}");
    stand.lock(&["job", "--wait", "30s", "--", "true"]).good();
    terminal.press(b"fg\n");
    terminal.wait_for("the lock job was lost after ");
    terminal.press(b"echo status $?; exit 0\n");
    let (_, shown) = terminal.end();
    assert!(shown.contains("status 76"), "{shown}");
}

#[test]
fn a_shell_under_a_lock_has_job_control() {
    let stand = Stand::on_sqlite();
    let mut terminal = Terminal::with({
        let mut command = stand.command(&["job", "--", "bash", "--norc", "--noprofile", "-i"]);
        command.env("PS1", "inner> ");
        command
    });
    terminal.wait_for("inner> ");
    terminal.press(b"sleep 600\n");
    // The shell, and below it what is in front.
    let inner = || {
        let children = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let home = format!("HOME={}", stand.bench.dir().display());
            let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
            let ours = environment.split(|byte| *byte == 0).any(|one| one == home.as_bytes());
            (ours && arguments == b"sleep\x00600\0").then_some(pid)
        });
        children.collect::<Vec<_>>()
    };
    until("it sleeps", || inner().len() == 1);
    terminal.press(b"\x1a");
    terminal.wait_for("Stopped");
    terminal.press(b"jobs; fg\n");
    until("it goes on", || state(inner()[0]) == Some('S'));
    terminal.press(b"\x03");
    until("it is interrupted", || inner().is_empty());
    terminal.press(b"echo sta''tus $?; exit 8\n");
    terminal.wait_for("status 130");
    let (status, shown) = terminal.end();
    assert_eq!(status.code(), Some(8), "{shown}");
}

#[test]
fn ctrl_c_ends_one_that_waits() {
    let stand = Stand::on_sqlite();
    let held = stand.start(&["job"], "echo $$ > pid; exec sleep 600");
    let mut terminal = lock_at_terminal(&stand, &["job", "--wait", "60s"], "echo ran");
    // Nothing tells that it waits: it is as well when it has not begun yet.
    terminal.press(b"\x03");
    let (status, shown) = terminal.end();
    assert_eq!(status.signal(), Some(2), "{status:?} {shown}");
    assert!(!shown.contains("ran"), "{shown}");
    held.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(held.end().code, Some(143));
}

#[test]
fn when_the_terminal_is_gone_the_command_is_told() {
    let stand = Stand::on_sqlite();
    let line = "trap 'echo hung up > end; exit 0' HUP; echo ready; echo $$ > pid; \
                while :; do sleep 0.01; done";
    let terminal = lock_at_terminal(&stand, &["job"], line);
    stand.bench.wait_for_file("pid");
    let mut child = terminal.hang_up();
    assert_eq!(stand.bench.wait_for_file("end"), "hung up\n");
    child.wait().unwrap();
    stand.lock(&["job", "--", "true"]).good();
}
