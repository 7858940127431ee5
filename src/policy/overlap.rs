//! `overlap`: what a slot does that comes while an earlier one of its job runs,
//! on whatever node.

use crate::word::words;

words! {
    /// What a slot does that comes while an earlier one of its job runs.
    Overlap {
        /// It is missed.
        Skip = "skip",
        /// It runs beside the other.
        Allow = "allow",
        /// It waits for the other's end, however long that takes; a newer slot
        /// that comes meanwhile takes its place.
        Wait = "wait",
        /// It ends the other and runs.
        Replace = "replace",
    }
}
