//! What a server of a quorum can do beyond what every store of locks can.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::lease::{Fence, Token};
use crate::lock::{Holder, LockName};
use crate::store::Result;
use crate::store::locks::{LockStore, Standing, Take, Taken};

/// What a server says to a request for locks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vote {
    /// Yes or no.
    Cast(Taken),
    /// It forgot what it voted for before, and says neither: for so long still, or until
    /// it is [admitted](Voter::admit).
    Abstained(Option<Duration>),
}

/// Locks as a majority has decided on them.
#[derive(Debug, Clone)]
pub struct Writing {
    /// Which.
    pub names: Arc<[LockName]>,
    /// Whose they are.
    pub token: Token,
    /// The fence that counts.
    pub fence: Fence,
    /// How long they last from now, whole milliseconds.
    pub ttl: Duration,
    /// What others are told of the holder.
    pub metadata: Arc<str>,
    /// Whether they are written also where nobody has them.
    pub where_free: bool,
    /// Whether they are won, or may still be given back; who won is the holder that others
    /// are told.
    pub won: bool,
}

/// What a server sees of a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// Who has it there.
    pub holder: Option<Holder>,
    /// Whether it votes: nobody there means little where it may have forgotten somebody.
    pub votes: bool,
}

/// What a server remembers of the votes that it cast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// The name of this memory: another after every loss.
    pub name: String,
    /// For how long a lock may still last that it voted for; none where it was not
    /// admitted.
    pub horizon: Option<Duration>,
    /// For how long it does not vote yet.
    pub silence: Duration,
    /// The largest fence that it knows of.
    pub fence: Fence,
}

/// A server of a quorum. What is asked here is decided and written in one atomic step,
/// and extensions move the horizon of its memory as votes do.
#[async_trait]
pub trait Voter: LockStore {
    /// One attempt at all of `take.names`; the fence is larger than every one before, and
    /// `proposed` where that is.
    async fn vote(&self, take: &Take, proposed: Fence) -> Result<Vote>;

    /// Writes locks where they are of that token; an answer for each name.
    async fn write(&self, writing: &Writing) -> Result<Vec<Standing>>;

    /// Who has a lock there.
    async fn sight(&self, name: &LockName) -> Result<Sight>;

    /// What it remembers; from now on under `name`, where that is nothing.
    async fn memory(&self, name: Token) -> Result<Memory>;

    /// Lets it vote `after` so long, knowing of `fence`, if its memory is still that one and
    /// it was not admitted before.
    async fn admit(&self, name: &str, after: Duration, fence: Fence) -> Result<()>;
}
