//! The page, the API and the metrics of a node, over HTTP.
//!
//! Any node answers for the whole cluster, from the store. Nothing here feeds back into
//! what the node does: it sees a [`View`], and what operators ask for goes through the
//! store, as the command line's wishes do.
//!
//! | file | what it is |
//! |---|---|
//! | `listen` | connections: taken, bounded, ended |
//! | `layers` | limits before every answer, headers behind it |
//! | `token`, `tokens`, `session`, `access` | who asks, and what they may |
//! | `request`, `problem` | what was asked, read; what cannot be |
//! | `board` | the cluster as the store tells it, read when somebody asks |
//! | `feed` | what changes, for who stays |
//! | `showing` | what runs print, told from node to node |
//! | `shapes`, `cells`, `nodes` | what is answered: of jobs and runs, of slots, of nodes |
//! | `api` | the questions, and their description |
//! | `metrics` | what Prometheus scrapes |
//! | `page` | the page, which asks them |

mod access;
mod api;
pub(crate) mod board;
mod cells;
mod client;
pub(crate) mod feed;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod layers;
mod limits;
mod listen;
pub mod metrics;
pub(crate) mod nodes;
mod page;
mod problem;
mod request;
mod session;
pub(crate) mod shapes;
mod showing;
mod site;
pub mod token;
pub mod tokens;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use self::access::Access;
use self::board::Board;
use self::feed::{Change, Feed};
use self::limits::Limits;
use self::metrics::{Counts, Page};
use self::showing::keep_showing;
use self::site::Site;
use self::tokens::Tokens;
use crate::config::HttpConfig;
use crate::daemon::shell::View;
use crate::log::events;
use crate::store::Store;

/// Between two looks at the store while somebody stays.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Whatever happens, looks are no closer together than this.
const BREATH: Duration = Duration::from_millis(100);

/// After the last one went away, so that they may come back and miss nothing.
const AFTER_THE_LAST: u32 = 30;

/// A place to be looked at, before anybody is answered there.
pub struct Door {
    config: HttpConfig,
    tokens: Tokens,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Door {
    /// Opens it, for those who have one of `tokens`. Who connects waits until
    /// [`open`](Self::open).
    ///
    /// # Errors
    /// With what cannot be had: the address, or a file.
    pub async fn build(config: HttpConfig, tokens: Tokens) -> io::Result<Self> {
        let tls = config.tls.as_ref().map(listen::tls).transpose()?;
        let listen = config.listen;
        let listener = TcpListener::bind(listen).await.map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot listen on {listen}: {error}{}", remedy(&error)),
            )
        })?;
        Ok(Self { config, tokens, listener, tls })
    }

    /// Answers from now on for the node that shows `view`, whose store is `store`, and that
    /// counts with `counts`.
    ///
    /// # Errors
    /// When the system does not say where it listens.
    pub fn open(
        self,
        view: View,
        store: Arc<dyn Store>,
        counts: Arc<Counts>,
    ) -> io::Result<Server> {
        let address = self.listener.local_addr()?;
        let written = Arc::clone(&counts);
        let closing = CancellationToken::new();
        let feed = Feed::new(view.identity.boot);
        let metrics = Page::new(Arc::clone(&counts), view.clone(), Arc::clone(&store));
        let showing = keep_showing(Arc::clone(&view.outputs), Arc::clone(&store));
        let board = Arc::new(Board::new(store, view.table.clone(), feed));
        let app = Arc::new(Site {
            board: Arc::clone(&board),
            view,
            access: Access::new(&self.config, self.tokens),
            limits: Limits::default(),
            counts,
            metrics,
            behind_proxy: self.config.behind_proxy,
            closing: closing.clone(),
        });
        let (router, _) = api::router(&app);
        let router = layers::around(router, &app);
        let serving = tokio::spawn(listen::serve(self.listener, self.tls, router, closing.clone()));
        let watching = tokio::spawn(keep_looking(board, written));
        let showing = tokio::spawn(showing);
        events::http_listening(&address);
        Ok(Server { address, closing, serving, watching, showing })
    }
}

/// What to do about an address that cannot be had.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; several nodes on one machine need a place each: give each `[http]` in a file of its \
             own, behind another -c"
        }
        io::ErrorKind::AddrNotAvailable => "; it is no address of this machine",
        io::ErrorKind::PermissionDenied => "; ports below 1024 are for root",
        _ => "",
    }
}

/// A node that is looked at.
pub struct Server {
    address: SocketAddr,
    closing: CancellationToken,
    serving: JoinHandle<()>,
    watching: JoinHandle<()>,
    showing: JoinHandle<()>,
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers what is under way, and ends.
    pub async fn close(self) {
        self.closing.cancel();
        self.watching.abort();
        self.showing.abort();
        let _ended = self.serving.await;
    }
}

/// Looks at the store while somebody stays, and tells them what has changed: once a second,
/// and as soon as this node has written something itself.
async fn keep_looking(board: Arc<Board>, node: Arc<Counts>) {
    let mut is_well = true;
    loop {
        board.feed.nudged().await;
        let mut alone = 0;
        while alone < AFTER_THE_LAST {
            let looked = board.look(Duration::ZERO).await;
            match (&looked, is_well) {
                (Err(error), true) => {
                    let told = serde_json::json!({ "error": error.to_string() });
                    board.feed.tell(vec![Change::new("trouble", &told)]);
                }
                (Ok(_), false) => {
                    board.feed.tell(vec![Change::new("well", &serde_json::json!({}))]);
                }
                _ => {}
            }
            is_well = looked.is_ok();
            alone = if board.feed.is_watched() { 0 } else { alone + 1 };
            tokio::time::sleep(BREATH).await;
            tokio::select! {
                () = board.feed.nudged() => {}
                () = node.wait_for_news() => {}
                () = tokio::time::sleep(BETWEEN_LOOKS - BREATH) => {}
            }
        }
        board.feed.pause();
    }
}
