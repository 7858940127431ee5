//! `retry`: a table in a job or in `[defaults]`.

use toml::de::DeTable;

use super::catalogue::{self as preset, RETRY};
use super::diagnostics::Spot;
use super::duration::Human;
use super::reader::Reader;
use super::value::Value;
use crate::policy::{Backoff, Retry};

/// Reads `retry`, which holds as a whole: what it does not say is not that of
/// `[defaults]`.
pub(super) fn retry(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Retry {
    let (mut attempts, mut backoff) = (None, None);
    let (mut min, mut max) = (None, None);
    // Of what only a second attempt would use, the first in the file.
    let mut first: Option<Spot> = None;
    for entry in reader.entries(&RETRY, table) {
        let at = reader.spot(entry.span);
        if entry.key.name != "attempts"
            && first.as_ref().is_none_or(|first| at.span.start < first.span.start)
        {
            first = Some(at.clone());
        }
        match (entry.key.name, entry.value) {
            ("attempts", Value::Integer(most)) => attempts = u32::try_from(most).ok(),
            ("backoff", Value::Text(word)) => backoff = word.parse().ok(),
            ("min", Value::Duration(value)) => min = Some((value, at)),
            ("max", Value::Duration(value)) => max = Some((value, at)),
            (name, _) => debug_assert!(false, "retry has no reader for {name}"),
        }
    }
    if let (Some((min, min_at)), Some((max, max_at))) = (&min, &max)
        && max < min
    {
        let message =
            format!("`max`: {} is less than `min`, which is {}", Human(*max), Human(*min));
        reader.report.error(max_at.clone(), message).related("`min` is at", min_at.clone());
    }
    let said = attempts.or((!table.contains_key("attempts")).then_some(preset::RETRY_ATTEMPTS));
    if let Some(at) = first
        && said == Some(1)
    {
        reader
            .report
            .warning(at, "this has no effect: with one attempt nothing is retried")
            .help("write attempts = 3 beside it; the first run is one of them");
    } else if let Some((_, at)) = &max
        && backoff == Some(Backoff::Constant)
    {
        reader.report.warning(at.clone(), "`max` has no effect: a constant wait is always `min`");
    }
    let (min, max) = (min.map(|(min, _)| min), max.map(|(max, _)| max));
    // What is not given makes room for what is.
    let least = min.unwrap_or(preset::RETRY_MIN.min(max.unwrap_or(preset::RETRY_MIN)));
    Retry {
        attempts: said.unwrap_or(preset::RETRY_ATTEMPTS),
        backoff: backoff.unwrap_or(preset::RETRY_BACKOFF),
        min: least,
        max: max.unwrap_or(preset::RETRY_MAX.max(least)),
    }
}
