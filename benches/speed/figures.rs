//! What is made of measured values.

use std::time::Duration;

use solocron::clock::wall_now;

/// How often a figure is measured at least; its median is shown.
pub(crate) const RUNS: usize = 5;

/// The value below which `share` of all lie.
pub(crate) fn at(share: f64, mut values: Vec<f64>) -> f64 {
    assert!(!values.is_empty(), "nothing was measured");
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share).round() as usize]
}

pub(crate) fn median(values: Vec<f64>) -> f64 {
    at(0.5, values)
}

/// The median of what `measure` gives, asked [`RUNS`] times.
pub(crate) fn median_of(measure: impl FnMut() -> f64) -> f64 {
    median(std::iter::repeat_with(measure).take(RUNS).collect())
}

pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Sleeps until the wall clock shows so many milliseconds since 1970.
pub(crate) fn sleep_until_millis(at: i64) {
    let left = (at - wall_now().as_millisecond()).max(0);
    std::thread::sleep(Duration::from_millis(left.unsigned_abs()));
}
