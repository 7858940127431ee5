//! `on_crash`: what happens to a slot whose node died, froze or was cut off
//! while it ran. Its lease has lapsed then, and its run is gone.

use crate::word::words;

words! {
    /// What happens to a slot whose node is lost.
    OnCrash {
        /// Another node runs it again, at most `max_takeovers` times.
        Takeover = "takeover",
        /// It is recorded as abandoned and never runs again.
        Skip = "skip",
    }
}
