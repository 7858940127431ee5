//! Keeps a link connected: dials, watches the connection, and dials again.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::clock::BootInstant;
use crate::store::Health;
use crate::store::redis::dial::{Dialled, Driver, Failure, dial, passing};
use crate::store::redis::link::{Shared, State};
use crate::store::redis::options::{Address, server};
use crate::store::redis::sentinel::{self, Master};

/// The delay before the first repeated attempt to connect.
const FIRST_DELAY: Duration = Duration::from_millis(50);
/// The longest delay between attempts; mostly it is that of [`longest_delay`].
const LONGEST_DELAY: Duration = Duration::from_secs(2);
/// While an attempt brings nothing, good or bad, others are begun beside it, up to so
/// many: what one sent before the network was mended may be lost, and it would wait
/// for its timeout.
const DIALS: usize = 8;
/// The pauses between those are a quarter of a call's timeout, within these bounds.
const SHORTEST_STAGGER: Duration = Duration::from_millis(25);
const LONGEST_STAGGER: Duration = Duration::from_millis(500);
/// An attempt to connect takes several round trips; it may take this long however
/// short the timeout of one is.
const SHORTEST_DIAL: Duration = Duration::from_secs(1);
/// A connection that lasted this long is no sign of trouble when it ends.
const STEADY: Duration = Duration::from_secs(1);

/// Keeps the link connected.
pub(super) async fn supervise(shared: Arc<Shared>) {
    let mut failures = 0;
    for number in 1.. {
        let limit = shared.options.timeout.max(SHORTEST_DIAL);
        let longest = longest_delay(shared.options.timeout);
        let delay = match dial_side_by_side(&shared, limit).await {
            Ok(Dialled { connection, driver, master }) => {
                let since = BootInstant::now();
                shared.state.send_replace(State::Up { connection, number });
                shared.set_reachable();
                let given_up = attend(&shared, number, driver, master).await;
                if BootInstant::now().since(since) >= STEADY {
                    failures = 0;
                }
                let why = format!("{}: the connection was closed", shared.options);
                if failures == 0 && !given_up {
                    shared.state.send_replace(State::Dialing);
                    failures = 1;
                    continue;
                }
                if !given_up {
                    shared.state.send_replace(State::Down(why.clone()));
                    shared.set_health(Health::Down(why));
                }
                failures += 1;
                delay_after(failures).min(longest)
            }
            Err(failure) => {
                failures += 1;
                shared.fail(&failure.why);
                if failure.lasting { LONGEST_DELAY } else { delay_after(failures).min(longest) }
            }
        };
        tokio::time::sleep(delay.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
    }
}

/// The first connection that one of several attempts brings within `limit`; the last
/// failure where none has.
async fn dial_side_by_side(
    shared: &Arc<Shared>,
    limit: Duration,
) -> std::result::Result<Dialled, Failure> {
    let stagger = stagger(shared.options.timeout);
    let begin = |dials: &mut JoinSet<_>| {
        let shared = Arc::clone(shared);
        dials.spawn(async move { dial(&shared.options, &shared.favourite).await });
    };
    let mut dials = JoinSet::new();
    begin(&mut dials);
    let mut last = passing(format!("no connection within {limit:?}"));
    let over = tokio::time::sleep(limit);
    tokio::pin!(over);
    loop {
        tokio::select! {
            Some(dialled) = dials.join_next() => {
                last = match dialled {
                    Ok(Ok(dialled)) => return Ok(dialled),
                    Ok(Err(failure)) => failure,
                    Err(gone) => passing(gone.to_string()),
                };
                if dials.is_empty() {
                    return Err(last);
                }
            }
            () = &mut over => return Err(Failure { lasting: false, ..last }),
            () = tokio::time::sleep(stagger), if dials.len() < DIALS => begin(&mut dials),
        }
    }
}

/// Moves the bytes of connection `number` until it ends; true if it was given up.
async fn attend(shared: &Shared, number: u64, driver: Driver, master: Option<Master>) -> bool {
    let mut changes = shared.state.subscribe();
    let given_up = async {
        let _ = changes.wait_for(|state| !state.is_connection(number)).await.is_ok();
    };
    tokio::select! {
        // Given up, it may end as well, before that is noticed here.
        () = driver => !shared.state.borrow().is_connection(number),
        () = given_up => true,
        why = demoted(shared, master) => {
            shared.give_up(number, &why);
            shared.set_health(Health::Down(why));
            true
        }
    }
}

/// Waits until the sentinels name another master; says so.
async fn demoted(shared: &Shared, master: Option<Master>) -> String {
    let (Address::Sentinel(of), Some(master)) = (&shared.options.address, master) else {
        return std::future::pending().await;
    };
    let timeout = shared.options.timeout;
    let (host, port) = sentinel::replaced(of, timeout, &shared.favourite, &master).await;
    let (old, new) = (server(&master.0, master.1), server(&host, port));
    format!("{}: the sentinels made {new} the master in place of {old}", shared.options)
}

fn delay_after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(10);
    (FIRST_DELAY * 2_u32.pow(doublings)).min(LONGEST_DELAY)
}

/// The longest delay on a link whose calls may take `timeout`. That is at most an
/// eighth of the shortest lease; when a server was away for two fifths of a lease, a
/// tenth of it is left, and whoever comes back later has lost its runs.
fn longest_delay(timeout: Duration) -> Duration {
    (timeout / 4).clamp(FIRST_DELAY, LONGEST_DELAY)
}

/// The pause between two attempts side by side.
fn stagger(timeout: Duration) -> Duration {
    (timeout / 4).clamp(SHORTEST_STAGGER, LONGEST_STAGGER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::{grace_on_loss, longest_call, renew_every, trusted_until};

    #[test]
    fn a_server_that_is_back_after_two_fifths_of_a_lease_is_asked_before_runs_are_ended() {
        for ttl in [1, 2, 3, 5, 10, 30, 3600].map(Duration::from_secs) {
            let granted = BootInstant::from_nanos(0);
            // The outage begins when the next renewal is due: the worst moment.
            let back = granted + renew_every(ttl) + ttl * 2 / 5;
            let ending = trusted_until(granted, ttl).minus(grace_on_loss(Duration::MAX, ttl));
            let timeout = longest_call(ttl).min(Duration::from_secs(1));
            let asked = back + longest_delay(timeout).max(stagger(timeout));
            assert!(asked < ending, "{ttl:?}: {:?} too late", asked.since(ending));
        }
    }

    #[test]
    fn delays_double_up_to_the_longest() {
        let delays: Vec<_> = (1..=8).map(|n| delay_after(n).as_millis()).collect();
        assert_eq!(delays, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(delay_after(u32::MAX), LONGEST_DELAY);
    }
}
