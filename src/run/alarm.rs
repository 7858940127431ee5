//! A timer on the boot clock.
//!
//! A timer of the runtime stands still while the machine is suspended: a KILL
//! due in ten seconds would still be ten seconds away when it wakes up an hour
//! later. The kernel's `timerfd` on `CLOCK_BOOTTIME` rings at once then.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::clock::BootInstant;

/// Rings once at the instant it was set to last.
#[derive(Debug)]
pub(super) struct Alarm(AsyncFd<Timer>);

#[derive(Debug)]
struct Timer(TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Alarm {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = Timer(TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)?);
        // SAFETY: the timer owns its descriptor, always gives the same one, and lives
        // until the registration is dropped.
        Ok(Self(unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE)? }))
    }

    /// Sets it to `at`, or off.
    pub(super) fn set(&self, at: Option<BootInstant>) {
        let timer = &self.0.get_ref().0;
        let set = match at {
            Some(at) => {
                // On this clock a wait counts suspended time as well. libfaketime, by
                // which tests set the wall clock, would move an absolute instant of any
                // clock. An expiration of zero would switch the timer off.
                let wait = at.since(BootInstant::now()).max(Duration::from_nanos(1));
                let wait = Expiration::OneShot(TimeSpec::from_duration(wait));
                timer.set(wait, TimerSetTimeFlags::empty())
            }
            None => timer.unset(),
        };
        // The kernel refuses only what is no timer and what is no time.
        set.expect("an open timer takes every instant");
    }

    /// Returns when it has rung. May be dropped and called again.
    pub(super) async fn rung(&self) {
        let mut ticks = [0; 8];
        let rung = self
            .0
            .async_io(Interest::READABLE, |timer| {
                match nix::unistd::read(timer.0.as_fd(), &mut ticks) {
                    Ok(_) => Ok(()),
                    Err(Errno::EAGAIN) => Err(io::ErrorKind::WouldBlock.into()),
                    Err(errno) => Err(errno.into()),
                }
            })
            .await;
        if rung.is_err() {
            // The runtime is shutting down, and with it whoever waits here.
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_rings_at_the_instant_it_was_set_to_last() {
        let alarm = Alarm::new().unwrap();
        let start = BootInstant::now();
        alarm.set(Some(start + Duration::from_secs(3600)));
        alarm.set(Some(start + Duration::from_millis(30)));
        alarm.rung().await;
        assert!(BootInstant::now() >= start + Duration::from_millis(30));
    }

    #[tokio::test]
    async fn an_instant_that_has_passed_rings_at_once() {
        let alarm = Alarm::new().unwrap();
        alarm.set(Some(BootInstant::from_nanos(0)));
        alarm.rung().await;
        alarm.set(Some(BootInstant::from_nanos(5)));
        alarm.rung().await;
    }

    #[tokio::test]
    async fn one_that_is_off_stays_silent() {
        let alarm = Alarm::new().unwrap();
        alarm.set(Some(BootInstant::from_nanos(5)));
        alarm.set(None);
        let rung = tokio::time::timeout(Duration::from_millis(30), alarm.rung()).await;
        assert!(rung.is_err());
    }
}
