//! What all answers are made from.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::access::Access;
use super::board::Board;
use super::limits::Limits;
use super::metrics::{Counts, Page};
use crate::daemon::shell::View;

/// See the module's head.
pub(crate) struct Site {
    /// What the cluster is like.
    pub(crate) board: Arc<Board>,
    /// What this node is like.
    pub(crate) view: View,
    /// Who may ask what.
    pub(crate) access: Access,
    /// How much they may ask.
    pub(crate) limits: Limits,
    /// What is counted.
    pub(crate) counts: Arc<Counts>,
    /// What Prometheus scrapes.
    pub(crate) metrics: Page,
    /// Who asks is what a proxy says.
    pub(crate) behind_proxy: bool,
    /// The node stops: whoever stays is sent away.
    pub(crate) closing: CancellationToken,
}

/// The same for each handler.
pub(crate) type App = Arc<Site>;
