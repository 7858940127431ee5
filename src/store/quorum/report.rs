//! How a quorum is, from how its servers are.

use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::majority;
use crate::store::Health;

/// Follows the health of all, until `closed`.
pub(super) fn follow(
    mut each: Vec<watch::Receiver<Health>>,
    closed: CancellationToken,
) -> watch::Receiver<Health> {
    let (told, health) = watch::channel(of_all(&current(&mut each)));
    tokio::spawn(async move {
        loop {
            let changes = each.iter_mut().map(|health| health.changed().boxed());
            tokio::select! {
                (changed, _, _) = futures_util::future::select_all(changes) => {
                    if changed.is_err() {
                        break;
                    }
                }
                () = told.closed() => return,
                () = closed.cancelled() => break,
            }
            told.send_replace(of_all(&current(&mut each)));
        }
        told.send_replace(Health::Down("closed".to_owned()));
        told.closed().await;
    });
    health
}

fn current(each: &mut [watch::Receiver<Health>]) -> Vec<Health> {
    each.iter_mut().map(|health| health.borrow_and_update().clone()).collect()
}

fn of_all(each: &[Health]) -> Health {
    let up = each.iter().filter(|health| health.answers()).count();
    let needed = majority(each.len());
    if up == each.len() {
        return Health::Up;
    }
    let down: Vec<_> = each
        .iter()
        .filter_map(|health| match health {
            Health::Down(why) => Some(why.as_str()),
            _ => None,
        })
        .collect();
    let why = format!("{up} of {} servers are up; {}", each.len(), down.join("; "));
    if up >= needed {
        // One that has not been reached so far is no trouble yet.
        let spare = up - needed;
        return if down.is_empty() { Health::Up } else { Health::Weakened { spare, why } };
    }
    match down.len() > each.len() - needed {
        true => Health::Down(why),
        false => Health::Starting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_is_up_with_less_to_spare_and_less_is_down() {
        let down = || Health::Down("x: refused".to_owned());
        let why = "2 of 3 servers are up; x: refused".to_owned();
        let weakened = Health::Weakened { spare: 0, why };
        assert_eq!(of_all(&[Health::Up, Health::Up, Health::Up]), Health::Up);
        assert_eq!(of_all(&[Health::Up, down(), Health::Up]), weakened);
        assert!(matches!(of_all(&[Health::Up, down(), down()]), Health::Down(_)));
        assert_eq!(of_all(&[Health::Up, Health::Starting, down()]), Health::Starting);
    }
}
