//! For how long a lease is trusted: from when it was asked for, whenever the answer came.

use super::*;
use crate::lease::trusted_until;

/// What an answer may take without being taken for too late.
const ON_THE_WAY: Duration = Duration::from_millis(1500);

#[test]
fn a_lease_that_was_won_is_trusted_from_when_its_claim_was_sent() {
    let mut world = World::open(every_second());
    let claim = world.claim();
    let sent = world.boot;
    world.boot = world.boot + ON_THE_WAY;
    let answer = Ok(vec![won().into()]);
    let actions = world.tell(Event::ClaimsAnswered { sent, claims: vec![claim.clone()], answer });
    let trusted = actions.iter().find_map(|action| match action {
        Action::Start(start) => Some(start.trusted_until),
        _ => None,
    });
    assert_eq!(trusted, Some(trusted_until(sent, claim.ttl)), "{actions:?}");
}

#[test]
fn a_lease_that_was_renewed_is_trusted_from_when_its_renewal_was_sent() {
    let mut world = World::open(every_second());
    let claim = world.running();
    let renewals = renewals(world.wait(seconds(2)));
    let sent = world.boot;
    world.boot = world.boot + ON_THE_WAY;
    let answer = Ok(vec![Ownership::Ours; renewals.len()]);
    let actions = world.tell(Event::RenewalsAnswered { sent, renewals, answer });
    let trusted = actions.iter().find_map(|action| match action {
        Action::Tell(token, Trust::Until(until)) if *token == claim.token => Some(*until),
        _ => None,
    });
    assert_eq!(trusted, Some(trusted_until(sent, claim.ttl)), "{actions:?}");
}
