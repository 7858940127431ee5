//! What several buckets answered, as one answer. Pure.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::clock::ClusterTime;
use crate::ledger::Entry;
use crate::store::redis::sweep::Found;
use crate::store::{Result, StoreError, Sweep};

/// The answers to the parts of a batch of `count` items, in the order of the items;
/// `parts` have the places of theirs. One error where no part has an answer.
pub(super) fn of_parts<R>(
    count: usize,
    parts: impl Iterator<Item = (Vec<usize>, Result<Vec<R>>)>,
) -> Result<Vec<Result<R>>> {
    let mut answers: Vec<Option<Result<R>>> = (0..count).map(|_| None).collect();
    let (mut failures, mut answered) = (Vec::new(), count == 0);
    for (places, part) in parts {
        match part {
            Ok(part) => {
                answered = true;
                for (place, answer) in places.into_iter().zip(part) {
                    answers[place] = Some(Ok(answer));
                }
            }
            Err(error) => {
                for place in places {
                    answers[place] = Some(Err(error.clone()));
                }
                failures.push(error);
            }
        }
    }
    match failures.into_iter().reduce(worse) {
        Some(error) if !answered => Err(error),
        _ => Ok(answers
            .into_iter()
            .map(|answer| {
                answer.unwrap_or_else(|| Err(StoreError::Unknown("an answer is missing".into())))
            })
            .collect()),
    }
}

/// Of two errors of parts of one call that of the whole: it may have been applied if any
/// part of it may.
fn worse(a: StoreError, b: StoreError) -> StoreError {
    match (&a, &b) {
        (StoreError::Unavailable(_), StoreError::Unknown(_)) => b,
        _ => a,
    }
}

/// All answers, or an error: for callers that cannot tell of one item.
pub(super) fn of_all<R>(answers: Vec<Result<R>>) -> Result<Vec<R>> {
    let some_applied = answers.iter().any(Result::is_ok);
    let mut brought = Vec::with_capacity(answers.len());
    let mut failure = None;
    for answer in answers {
        match answer {
            Ok(answer) => brought.push(answer),
            Err(error) => {
                failure = Some(failure.map_or(error.clone(), |first| worse(first, error)))
            }
        }
    }
    match failure {
        None => Ok(brought),
        Some(StoreError::Unavailable(why)) if some_applied => Err(StoreError::Unknown(why)),
        Some(error) => Err(error),
    }
}

/// All answers, or the first error.
pub(super) fn first_error<R>(answers: Vec<Result<R>>) -> Result<Vec<R>> {
    answers.into_iter().collect()
}

/// The entries of all ledgers, newest first.
pub(super) fn merged_history(entries: Vec<Vec<Entry>>, limit: usize) -> Vec<Entry> {
    let mut all: Vec<_> = entries.into_iter().flatten().collect();
    all.sort_by_key(|entry| Reverse(entry.recorded_at()));
    all.truncate(limit);
    all
}

/// What all buckets found, the longest-waiting first. One that did not answer is left
/// out, as if nothing in it wanted anybody: nobody could do anything for it. `versions`
/// are the last of each.
pub(super) fn merged_sweep(
    found: Vec<Result<Found>>,
    limit: usize,
    versions: &mut HashMap<u32, u64>,
) -> Result<Sweep> {
    let (mut open, mut nexts, mut cancels) = (Vec::new(), Vec::new(), Vec::new());
    let (mut failure, mut answered) = (None, false);
    for (bucket, found) in (0..).zip(found) {
        match found {
            Ok(found) => {
                answered = true;
                open.extend(found.open);
                nexts.extend(found.next);
                cancels.extend(found.cancels);
                versions.insert(bucket, found.control);
            }
            Err(error) => failure = Some(error),
        }
    }
    if let Some(error) = failure.filter(|_| !answered) {
        return Err(error);
    }
    open.sort_by_key(|(since, _): &(ClusterTime, _)| *since);
    let rest = open.split_off(limit.min(open.len()));
    nexts.extend(rest.first().map(|(since, _)| *since));
    Ok(Sweep {
        open: open.into_iter().map(|(_, open)| open).collect(),
        next: nexts.into_iter().min(),
        cancels,
        control: versions.values().sum(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::Token;
    use crate::store::{Open, OpenState};

    fn unavailable() -> StoreError {
        StoreError::Unavailable("down".to_owned())
    }

    fn unknown() -> StoreError {
        StoreError::Unknown("silent".to_owned())
    }

    fn at(millis: i64) -> ClusterTime {
        ClusterTime::from_unix_millis(millis)
    }

    fn found(since: &[i64], next: Option<i64>, control: u64) -> Found {
        let open = |&since: &i64| {
            let open = Open {
                slot: "a@2026-11-22T03:00:00Z".parse().unwrap(),
                token: Token::new(),
                node: "web-1".parse().unwrap(),
                attempt: since as u32,
                takeovers: 0,
                state: OpenState::Lost,
            };
            (at(since), open)
        };
        let open = since.iter().map(open).collect();
        Found { open, next: next.map(at), cancels: Vec::new(), control }
    }

    #[test]
    fn answers_of_parts_come_in_the_order_of_the_items() {
        let parts = [(vec![0, 2], Ok(vec!["a", "c"])), (vec![1], Err(unavailable()))];
        let answers = of_parts(3, parts.into_iter()).unwrap();
        assert_eq!(answers, [Ok("a"), Err(unavailable()), Ok("c")]);
        assert_eq!(of_parts::<()>(0, std::iter::empty()), Ok(Vec::new()));
    }

    #[test]
    fn a_call_may_have_been_applied_if_any_part_of_it_may() {
        let none = [(vec![0], Err(unavailable())), (vec![1], Err::<Vec<()>, _>(unknown()))];
        assert_eq!(of_parts(2, none.into_iter()), Err(unknown()));
        let none = [(vec![0], Err::<Vec<()>, _>(unavailable()))];
        assert_eq!(of_parts(1, none.into_iter()), Err(unavailable()));
        let some = of_all(vec![Ok(1), Err(unavailable())]);
        assert_eq!(some, Err(StoreError::Unknown("down".to_owned())));
        assert_eq!(of_all::<()>(vec![Err(unavailable()), Err(unknown())]), Err(unknown()));
        assert_eq!(of_all(vec![Ok(1), Ok(2)]), Ok(vec![1, 2]));
    }

    #[test]
    fn a_sweep_finds_the_longest_waiting_of_all_buckets_and_when_the_next_is_due() {
        let mut versions = HashMap::new();
        let all = vec![Ok(found(&[5, 30], Some(90), 2)), Ok(found(&[1, 20], Some(70), 3))];
        let sweep = merged_sweep(all, 10, &mut versions).unwrap();
        let order = |sweep: &Sweep| sweep.open.iter().map(|o| o.attempt).collect::<Vec<_>>();
        assert_eq!(
            (order(&sweep), sweep.next, sweep.control),
            (vec![1, 5, 20, 30], Some(at(70)), 5)
        );

        let all = vec![Ok(found(&[5, 30], Some(90), 2)), Ok(found(&[1, 20], None, 3))];
        let sweep = merged_sweep(all, 2, &mut versions).unwrap();
        assert_eq!((order(&sweep), sweep.next), (vec![1, 5], Some(at(20))), "the first left out");
    }

    #[test]
    fn a_bucket_that_does_not_answer_is_left_out_and_its_version_stays() {
        let mut versions = HashMap::new();
        merged_sweep(vec![Ok(found(&[], None, 2)), Ok(found(&[], None, 3))], 9, &mut versions)
            .unwrap();
        let sweep =
            merged_sweep(vec![Ok(found(&[4], None, 4)), Err(unknown())], 9, &mut versions).unwrap();
        assert_eq!((sweep.open.len(), sweep.control), (1, 7));
        assert!(merged_sweep(vec![Err(unknown()), Err(unknown())], 9, &mut versions).is_err());
    }
}
