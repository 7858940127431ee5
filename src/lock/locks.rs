//! The locks of one store, for those who want one of them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::error::{Holder, LockError};
use super::name::LockName;
use super::request::Request;
use super::upkeep::{self, Upkeep};
use crate::name::ClusterName;
use crate::store::locks::LockStore;

/// How long one call to a server may take unless something else is said.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The locks of one store. Cheap to clone; all clones share their connections.
#[derive(Clone)]
pub struct Locks {
    pub(super) desk: Arc<Desk>,
}

/// What all locks of one store share.
pub(super) struct Desk {
    pub(super) store: Arc<dyn LockStore>,
    /// Where what goes on in the background goes on.
    pub(super) runtime: Handle,
    pub(super) upkeep: Arc<Upkeep>,
    /// What a holder says of itself unless it says something else.
    pub(super) metadata: Arc<str>,
    _upkeep_ends: DropGuard,
}

impl fmt::Debug for Locks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Locks").field(&self.desk.store.describe()).finish()
    }
}

impl Locks {
    /// The locks of the store at `address`: `redis://HOST:6379/0` and what else the
    /// manual names under `store`, in the cluster `default`; or of three or five Redis
    /// servers that know nothing of each other, with commas between their addresses, of
    /// which a majority decides ([`Quorum`](crate::store::quorum::locks::Quorum)):
    /// `redis://a,redis://b,redis://c`. Its first use needs all of them. A server is
    /// connected to in the background, and again whenever the connection is lost; a
    /// relative path of a SQLite file is below the working directory.
    ///
    /// With `?min_acks=N` behind the address of a Redis, of its sentinels or of a Redis
    /// Cluster, a lock is taken, extended or released only when N replicas of the master
    /// have it: where N is the number of all replicas, a failover forgets none. A quorum
    /// refuses it.
    ///
    /// # Errors
    /// [`LockError::Invalid`] for an address that is none, [`LockError::Unavailable`] for
    /// a file that cannot be used.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn open(address: &str) -> Result<Self, LockError> {
        let cluster = ClusterName::new("default").expect("that is a name");
        Self::open_in(address, &cluster)
    }

    /// The same in another cluster: locks of different clusters do not know each other.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn open_in(address: &str, cluster: &ClusterName) -> Result<Self, LockError> {
        let config = crate::address::parse_all(address)
            .map_err(|error| LockError::Invalid(error.to_string()))?;
        Ok(Self::new(crate::store::open::open_locks(&config, cluster, None, TIMEOUT)?))
    }

    /// The locks of `store`.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn new(store: Arc<dyn LockStore>) -> Self {
        let upkeep = Arc::new(Upkeep::default());
        let end = CancellationToken::new();
        let work = upkeep::look_after(upkeep.clone());
        tokio::spawn(end.clone().run_until_cancelled_owned(work));
        let desk = Desk {
            store,
            runtime: Handle::current(),
            upkeep,
            metadata: Arc::from(format!("process {}", std::process::id())),
            _upkeep_ends: end.drop_guard(),
        };
        Self { desk: Arc::new(desk) }
    }

    /// Asks for the lock `name`; nothing happens before the request says
    /// [`try_acquire`](Request::try_acquire) or [`acquire`](Request::acquire).
    pub fn lock(&self, name: impl AsRef<str>) -> Request {
        self.lock_all([name])
    }

    /// Asks for several locks, all of them or none: an order over many accounts, say.
    /// Their order does not matter, so two that want the same ones never wait for each
    /// other.
    pub fn lock_all<N: AsRef<str>>(&self, names: impl IntoIterator<Item = N>) -> Request {
        let names: Result<Vec<_>, _> =
            names.into_iter().map(|name| LockName::new(name.as_ref())).collect();
        Request::new(self.desk.clone(), names)
    }

    /// Who holds `name` now; none when nobody does.
    ///
    /// # Errors
    /// [`LockError::Invalid`], or that the store cannot say.
    pub async fn holder(&self, name: impl AsRef<str>) -> Result<Option<Holder>, LockError> {
        Ok(self.desk.store.holder(&LockName::new(name.as_ref())?).await?)
    }

    /// How long `name` is still held if nobody extends it; none when nobody holds it.
    ///
    /// # Errors
    /// As [`holder`](Self::holder).
    pub async fn ttl(&self, name: impl AsRef<str>) -> Result<Option<Duration>, LockError> {
        Ok(self.holder(name).await?.map(|holder| holder.remaining))
    }

    /// Closes the connections; later requests are unavailable, and what is held lapses.
    pub async fn close(&self) {
        self.desk.store.close().await;
    }
}
