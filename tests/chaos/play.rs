//! Plays a plan: each fault is begun, lasts, and is ended, and what was struck is well again
//! before its lane goes on.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal::{self, SIGCONT, SIGHUP, SIGKILL, SIGSTOP};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use solocron::clock::BootInstant;

use crate::fault::Fault;
use crate::harness::clock;
use crate::harness::processes;
use crate::harness::proxy::{Flow, Way};
use crate::harness::site::hold;
use crate::harness::until_within;
use crate::plan::{Lane, NODES, Strike, lane};
use crate::scene::{Member, RECOVERY, Scene, is_beginning};
use crate::strikes_on_servers as servers;

/// Plays all lanes of a plan. Returns when the last fault is over.
pub(crate) fn play(scene: &Scene, seed: u64, length: Duration) {
    let end = BootInstant::now() + length;
    std::thread::scope(|scope| {
        for which in Lane::ALL {
            let strikes = lane(seed, scene.ground, which, length);
            let name = format!("{}-{which:?}", scene.ground.name());
            let play = move || play_lane(scene, &strikes, end);
            std::thread::Builder::new().name(name).spawn_scoped(scope, play).expect("a thread");
        }
    });
}

fn play_lane(scene: &Scene, strikes: &[Strike], end: BootInstant) {
    for strike in strikes {
        // What is under attack is real time.
        std::thread::sleep(strike.pause);
        if BootInstant::now() > end {
            return;
        }
        scene.write(format!("{:?}", strike.fault));
        let is_played = scene.play(strike.fault);
        scene.write(format!("    over: {:?}", strike.fault));
        if is_played {
            *scene.diary().counts.entry(strike.fault.kind()).or_default() += 1;
        }
    }
}

/// Sends a signal to a process that may be gone already; whether it was there.
fn strike(pid: i32, signal: Signal) -> bool {
    kill(Pid::from_raw(pid), signal).is_ok()
}

impl Scene {
    /// Whether there was something to strike.
    fn play(&self, fault: Fault) -> bool {
        match fault {
            Fault::KillDaemon { node, away } => self.kill_daemon(&mut self.member(node), away),
            Fault::StopDaemon { node, lasts } => self.stop_daemon(&self.member(node), lasts),
            Fault::RollingRestart => (0..NODES).all(|node| self.restart(&mut self.member(node))),
            Fault::KillKeeper { node } => self.kill_keeper(&self.member(node)),
            Fault::StopKeeper { node, lasts } => {
                let member = self.member(node);
                self.keeper(&member).is_some_and(|keeper| stop(keeper, lasts))
            }
            Fault::KillWarden { node } => {
                let member = self.member(node);
                warden(&member).is_some_and(kill_warden)
            }
            Fault::StopWarden { node, lasts } => {
                let member = self.member(node);
                warden(&member).is_some_and(|warden| stop(warden, lasts))
            }
            Fault::StopAllThree { node, lasts } => self.stop_all_three(&self.member(node), lasts),
            Fault::StopKeeperAndKillDaemon { node, away } => {
                let mut member = self.member(node);
                self.keeper(&member).is_some_and(|keeper| strike(keeper, SIGSTOP))
                    && self.kill_daemon(&mut member, away)
            }
            Fault::KillKeeperAndStopDaemon { node, lasts } => {
                let member = self.member(node);
                self.kill_keeper(&member) && self.stop_daemon(&member, lasts)
            }
            Fault::KillKeeperAndWarden { node } => {
                let member = self.member(node);
                self.kill_keeper(&member) && warden(&member).is_some_and(kill_warden)
            }
            Fault::CutLink { node, server, lasts } => {
                self.links[server].cut_for(&self.name(node));
                self.mend_after(node, server, lasts)
            }
            Fault::DelayLink { node, server, way, by, lasts } => {
                self.set_link(node, server, way, Flow::Delay(by));
                self.mend_after(node, server, lasts)
            }
            Fault::BlackholeLink { node, server, way, lasts } => {
                self.set_link(node, server, way, Flow::Drop);
                self.mend_after(node, server, lasts)
            }
            Fault::StepClock { node, ahead } => {
                let clock = self.clocks.iter().find(|(of, _)| *of == node);
                clock.expect("it has one").1.set(ahead);
                true
            }
            Fault::Reload { node } => self.reload(&self.member(node)),
            Fault::BadReload { node } => self.reload_bad(&self.member(node)),
            Fault::FillDisk { lasts } => self.fill_disk(lasts),
            Fault::HoldFile { lasts } => servers::with_file(self, |file| hold_file(file, lasts)),
            _ => servers::play(self, fault),
        }
    }

    fn kill_daemon(&self, member: &mut Member, away: Duration) -> bool {
        member.signal(SIGKILL);
        until_within(RECOVERY, "the daemon is gone", || member.node.ended().is_some());
        std::thread::sleep(away);
        self.start_again(member);
        true
    }

    fn stop_daemon(&self, member: &Member, lasts: Duration) -> bool {
        member.signal(SIGSTOP);
        std::thread::sleep(lasts);
        member.signal(SIGCONT);
        true
    }

    fn stop_all_three(&self, member: &Member, lasts: Duration) -> bool {
        let Some(keeper) = self.keeper(member) else { return false };
        member.signal(SIGSTOP);
        let mut stopped = vec![keeper];
        if let Some(warden) = warden(member) {
            strike(warden, SIGSTOP);
            stopped.push(warden);
            stopped.extend(children(warden, "solocron-keeper"));
        }
        for pid in &stopped {
            strike(*pid, SIGSTOP);
        }
        std::thread::sleep(lasts);
        for pid in stopped {
            strike(pid, SIGCONT);
        }
        member.signal(SIGCONT);
        true
    }

    /// Drains a node and starts it again.
    fn restart(&self, member: &mut Member) -> bool {
        until_within(RECOVERY, "the node minds signals", || is_beginning(&member.node));
        member.node.terminate();
        let mut status = None;
        until_within(RECOVERY, &format!("{} is drained", member.name), || {
            status = member.node.ended();
            status.is_some()
        });
        // 1: what did not end in time was ended.
        if !matches!(status.and_then(|status| status.code()), Some(0 | 1)) {
            self.diary().surprises.push(format!("{} drained as {status:?}", member.name));
        }
        self.start_again(member);
        true
    }

    /// The keeper of one of the node's runs, once it has one.
    fn keeper(&self, member: &Member) -> Option<i32> {
        let begun = BootInstant::now();
        loop {
            let warden = warden(member);
            let keepers = warden.map(|pid| children(pid, "solocron-keeper")).unwrap_or_default();
            // The newest may be gone before it is struck.
            if let Some(keeper) = keepers.first() {
                return Some(*keeper);
            }
            if BootInstant::now().since(begun) > Duration::from_secs(5) {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn kill_keeper(&self, member: &Member) -> bool {
        self.keeper(member).is_some_and(|keeper| strike(keeper, SIGKILL))
    }

    fn name(&self, node: usize) -> String {
        self.logs()[node].0.clone()
    }

    fn set_link(&self, node: usize, server: usize, way: Way, flow: Flow) {
        self.links[server].set_for(&self.name(node), way, flow);
    }

    fn mend_after(&self, node: usize, server: usize, lasts: Duration) -> bool {
        std::thread::sleep(lasts);
        self.links[server].mend_for(&self.name(node));
        true
    }

    fn reload(&self, member: &Member) -> bool {
        if !is_beginning(&member.node) {
            return false;
        }
        self.change_table();
        member.signal(SIGHUP);
        true
    }

    fn reload_bad(&self, member: &Member) -> bool {
        if !is_beginning(&member.node) {
            return false;
        }
        let rejections = || member.node.count("config.rejected", |_| true);
        let before = rejections();
        self.with_bad_table(|| {
            member.signal(SIGHUP);
            until_within(RECOVERY, "the bad table is rejected", || rejections() > before);
        });
        true
    }

    fn fill_disk(&self, lasts: Duration) -> bool {
        let Some(disk) = &self.disk else { return false };
        disk.fill();
        std::thread::sleep(lasts);
        disk.free();
        servers::recover(self);
        true
    }
}

fn stop(pid: i32, lasts: Duration) -> bool {
    let was_there = strike(pid, SIGSTOP);
    std::thread::sleep(lasts);
    strike(pid, SIGCONT);
    was_there
}

fn hold_file(file: &Path, lasts: Duration) -> bool {
    let held = hold(file, RECOVERY);
    std::thread::sleep(lasts);
    held.is_some()
}

fn warden(member: &Member) -> Option<i32> {
    children(member.node.pid().cast_signed(), "solocron-warden").first().copied()
}

fn kill_warden(warden: i32) -> bool {
    let was_there = strike(warden, SIGKILL);
    clock::clean_up_after(warden.cast_unsigned());
    was_there
}

fn children(parent: i32, name: &str) -> Vec<i32> {
    let mut children = processes::children(parent);
    children.retain(|pid| processes::name(*pid) == name);
    children
}
