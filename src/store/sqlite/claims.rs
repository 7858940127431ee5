//! The life of a slot: claimed, renewed, and ended in one of its ways.

use super::fault::Fault;
use super::thread::Step;
use super::{cursors, ledger, records};
use crate::claim::{Claim, Claimant, Verdict};
use crate::ledger::Entry;
use crate::name::NodeName;
use crate::store::rules;
use crate::store::{Abandonment, Completion, CursorKey, Forfeit, Ownership, Renewal};

/// So many expired records are removed with every batch, beside two for each claim.
const SWEPT: usize = 16;

pub(super) fn claim(
    step: &mut Step<'_>,
    claimant: &Claimant,
    claims: &[Claim],
) -> Result<Vec<Verdict>, Fault> {
    let mut verdicts = Vec::with_capacity(claims.len());
    for claim in claims {
        verdicts.push(match claim_one(step, claimant, claim) {
            // One row that cannot be read fails no other claim.
            Err(Fault::Unreadable(why)) => Verdict::Unknown(why),
            verdict => verdict?,
        });
    }
    records::expire(step, 2 * claims.len() + SWEPT)?;
    Ok(verdicts)
}

fn claim_one(step: &mut Step<'_>, claimant: &Claimant, claim: &Claim) -> Result<Verdict, Fault> {
    let record = records::find(step, &claim.slot)?;
    let key = CursorKey { job: claim.slot.job.clone(), digest: claim.digest };
    let cursor = match record {
        Some(_) if !claim.advance => None,
        _ => cursors::find(step, &key)?,
    };
    let decided = rules::claim(step.now, claimant, claim, record.as_ref(), cursor, step.last_fence);
    if let Some(record) = decided.record {
        step.last_fence = step.last_fence.max(record.fence);
        records::put(step, &claim.slot, &record, claim.keep_record)?;
    }
    if let Some(at) = decided.cursor {
        cursors::put(step, &key, at)?;
    }
    Ok(decided.verdict)
}

pub(super) fn renew(step: &mut Step<'_>, renewals: &[Renewal]) -> Result<Vec<Ownership>, Fault> {
    let mut answers = Vec::with_capacity(renewals.len());
    for renewal in renewals {
        let record = records::find(step, &renewal.slot)?;
        let decided = rules::renew(step.now, renewal, record.as_ref());
        if let Some(record) = decided.record {
            records::put(step, &renewal.slot, &record, renewal.keep_record)?;
        }
        answers.push(decided.answer);
    }
    Ok(answers)
}

pub(super) fn complete(
    step: &mut Step<'_>,
    node: &NodeName,
    completions: &[Completion],
) -> Result<Vec<Ownership>, Fault> {
    let mut answers = Vec::with_capacity(completions.len());
    for end in completions {
        let record = records::find(step, &end.slot)?;
        let decided = rules::complete(step.now, node, end, record.as_ref());
        if let Some((record, entry)) = decided.write {
            records::put(step, &end.slot, &record, end.keep_record)?;
            ledger::append(step, &Entry::Run(entry), Some(&end.tail), end.retention)?;
        }
        answers.push(decided.answer);
    }
    Ok(answers)
}

pub(super) fn abandon(
    step: &mut Step<'_>,
    by: &NodeName,
    abandonments: &[Abandonment],
) -> Result<Vec<bool>, Fault> {
    let mut did = Vec::with_capacity(abandonments.len());
    for lost in abandonments {
        let record = records::find(step, &lost.slot)?;
        let settled = rules::abandon(step.now, by, lost, record.as_ref());
        did.push(settled.is_some());
        if let Some((record, entry)) = settled {
            records::put(step, &lost.slot, &record, lost.keep_record)?;
            ledger::append(step, &Entry::Run(entry), None, lost.retention)?;
        }
    }
    Ok(did)
}

pub(super) fn forfeit(
    step: &mut Step<'_>,
    by: &NodeName,
    forfeits: &[Forfeit],
) -> Result<Vec<bool>, Fault> {
    let mut did = Vec::with_capacity(forfeits.len());
    for unrun in forfeits {
        let record = records::find(step, &unrun.slot)?;
        let settled = rules::forfeit(step.now, by, unrun, record.as_ref());
        did.push(settled.is_some());
        if let Some((record, entry)) = settled {
            records::put(step, &unrun.slot, &record, unrun.keep_record)?;
            ledger::append(step, &Entry::Missed(entry), None, unrun.retention)?;
        }
    }
    Ok(did)
}
