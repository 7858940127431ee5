//! The way to each bucket: which master has it, and the link to that one.
//!
//! ```text
//!   connected links ──CLUSTER INFO, CLUSTER SLOTS──▶ the newest map ──▶ owners ──▶ links
//!   else every server known, and the seeds                  ▲
//!                                                           │ now and then; at once when
//!                                                           │ a link is lost, a call has no
//!                                                           │ answer, or a server says MOVED
//! ```
//!
//! What a server says with `MOVED` is believed for that bucket, and the map is asked for
//! before the next call. A wrong way costs a hop and never an answer: only the server that
//! has the hash slot executes a command for it.
//!
//! A replica of Redis 7 does not know that its master's hash slot is moving. When it becomes
//! the master in the middle of that, it serves what is left and takes for free what had
//! moved. The server to which it moves still says so, and then the bucket is **torn**:
//! nothing is sent there until the move is ended or mended. So that nobody goes there before
//! it is known, a bucket that has another master than before waits until every master has
//! told what is moving to it, but those that the cluster holds for failed.
//!
//! What that does not see: a move whose other end fails as well, which Redis forgets too; who
//! knows nothing yet, and goes by those that answer, as else one master that is silent would
//! keep every start waiting; a bucket that came back to a server while nobody here asked.
//! For the last each script would have to look at its server's epoch, and the first would
//! cost that no bucket follows a failover while any master is gone for good.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::clock::BootInstant;
use crate::store::redis::cluster::buckets::{BUCKETS, hash_slot};
use crate::store::redis::cluster::map::Map;
use crate::store::redis::cluster::options::{ClusterOptions, Endpoint};
use crate::store::redis::cluster::survey::{Survey, survey};
use crate::store::redis::cluster::table::{State, Table};
use crate::store::redis::link::Link;
use crate::store::{Health, Result, StoreError};

/// The map is asked for so often at least, ...
const EVERY: Duration = Duration::from_secs(10);
/// ... so often while something is amiss, ...
const EVERY_WHEN_AMISS: Duration = Duration::from_millis(200);
/// ... and never more often than this.
const PAUSE: Duration = Duration::from_millis(50);

/// See the module's head.
#[derive(Debug)]
pub(super) struct Routes {
    shared: Arc<Shared>,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

#[derive(Debug)]
struct Shared {
    options: ClusterOptions,
    hash_slots: Vec<u16>,
    table: watch::Sender<Table>,
    links: Mutex<HashMap<Endpoint, Arc<Link>>>,
    /// Why calls to a bucket end although its master answers.
    stuck: Mutex<BTreeMap<u32, String>>,
    /// Somebody wants a new map.
    wanted: Notify,
    health: watch::Sender<Health>,
}

impl Routes {
    /// Asks for the map from now on, until the routes are dropped or closed.
    pub(super) fn open(options: ClusterOptions) -> Self {
        let shared = Arc::new(Shared {
            hash_slots: (0..BUCKETS).map(|bucket| hash_slot(&options.cluster, bucket)).collect(),
            options,
            table: watch::Sender::new(Table::new()),
            links: Mutex::default(),
            stuck: Mutex::default(),
            wanted: Notify::new(),
            health: watch::Sender::new(Health::Starting),
        });
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let kept = keep_current(shared.clone());
        let last = shared.clone();
        tokio::spawn(async move {
            stopped.run_until_cancelled_owned(kept).await;
            last.table.send_modify(|table| table.state = State::Closed);
            locked(&last.links).clear();
        });
        Self { shared, _stop_on_drop: stop.clone().drop_guard(), stop }
    }

    pub(super) fn options(&self) -> &ClusterOptions {
        &self.shared.options
    }

    pub(super) fn health(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }

    /// Ends all links; calls fail from now on.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        let mut table = self.shared.table.subscribe();
        let _ = table.wait_for(|table| table.state == State::Closed).await;
        self.shared.health.send_replace(Health::Down("closed".to_owned()));
    }

    /// The hash slot of a bucket.
    pub(super) fn hash_slot(&self, bucket: u32) -> u16 {
        self.shared.hash_slots[bucket as usize]
    }

    /// The map, as far as it is known.
    pub(super) fn map(&self) -> Map {
        self.shared.table.borrow().map.clone()
    }

    /// The master of a bucket, and the link to it. While nobody has told yet which it
    /// is, waits so long at most.
    pub(super) async fn owner(
        &self,
        bucket: u32,
        within: Duration,
    ) -> Result<(Endpoint, Arc<Link>)> {
        let mut table = self.shared.table.subscribe();
        let told = table
            .wait_for(|table| table.state != State::Asking && !table.unproven.contains(&bucket));
        let unavailable = |why: String| {
            let options = &self.shared.options;
            StoreError::Unavailable(format!("{options}: {why}"))
        };
        let owner = match tokio::time::timeout(within, told).await {
            Err(_) if self.shared.table.borrow().is_unsure(bucket) => {
                return Err(unavailable(self.shared.unsure(bucket)));
            }
            Err(_) => {
                return Err(unavailable(format!("no server of it answered within {within:?}")));
            }
            Ok(Err(_)) => return Err(unavailable("it is closed".to_owned())),
            Ok(Ok(table)) => match &table.state {
                State::Closed => return Err(unavailable("it is closed".to_owned())),
                State::Failed(why) => return Err(unavailable(why.clone())),
                State::Known | State::Asking if table.torn.contains(&bucket) => {
                    return Err(unavailable(self.shared.half_moved(bucket)));
                }
                State::Known | State::Asking => table.owners[bucket as usize].clone(),
            },
        };
        let owner = owner.ok_or_else(|| {
            self.want_map();
            unavailable(self.shared.without_master(bucket))
        })?;
        let link = self.shared.link(&owner);
        Ok((owner, link))
    }

    /// The link to any server.
    pub(super) fn link(&self, server: &Endpoint) -> Arc<Link> {
        self.shared.link(server)
    }

    /// A server says that a bucket is at another one now.
    pub(super) fn moved(&self, bucket: u32, to: Endpoint) {
        self.shared.link(&to);
        self.shared.table.send_modify(|table| {
            table.owners[bucket as usize] = Some(to);
            table.unproven.insert(bucket);
            table.lessons += 1;
        });
        self.want_map();
    }

    /// Has the map asked for soon.
    pub(super) fn want_map(&self) {
        self.shared.wanted.notify_one();
    }

    /// After a call that certainly did nothing, because `owner` cannot be reached: whether
    /// the bucket is at another server. Waits for news at most so long, and not at all
    /// where there were some just now.
    pub(super) async fn is_elsewhere(
        &self,
        bucket: u32,
        owner: &Endpoint,
        within: Duration,
    ) -> bool {
        let mut table = self.shared.table.subscribe();
        let seen = table.borrow_and_update().rounds;
        let is_old = |at: BootInstant| BootInstant::now().since(at) >= EVERY_WHEN_AMISS;
        if table.borrow().last_round.is_none_or(is_old) {
            self.want_map();
            let news = table.wait_for(|table| table.rounds > seen);
            let _late = tokio::time::timeout(within, news).await.is_err();
        }
        table.borrow().owners[bucket as usize].as_ref().is_some_and(|now| now != owner)
    }

    /// Calls to a bucket fail although its master answers; why.
    pub(super) fn is_stuck(&self, bucket: u32, why: String) {
        if locked(&self.shared.stuck).insert(bucket, why).is_none() {
            self.shared.weigh();
        }
        self.want_map();
    }

    /// A call to a bucket went through.
    pub(super) fn goes_on(&self, bucket: u32) {
        let was_stuck = locked(&self.shared.stuck).remove(&bucket).is_some();
        if was_stuck || *self.shared.health.borrow() == Health::Starting {
            self.shared.weigh();
        }
    }
}

impl Shared {
    fn without_master(&self, bucket: u32) -> String {
        format!(
            "no server has hash slot {} (bucket {bucket}); see CLUSTER SLOTS, and \
             redis-cli --cluster fix",
            self.hash_slots[bucket as usize]
        )
    }

    fn link(self: &Arc<Self>, server: &Endpoint) -> Arc<Link> {
        let mut links = locked(&self.links);
        if let Some(link) = links.get(server) {
            return link.clone();
        }
        let link = Arc::new(Link::open(self.options.of(server)));
        // Whoever asks for it after the end gets a link that ends with the call.
        if self.table.borrow().state != State::Closed {
            links.insert(server.clone(), link.clone());
            tokio::spawn(watch_link(Arc::downgrade(self), link.health()));
        }
        link
    }

    fn half_moved(&self, bucket: u32) -> String {
        format!(
            "hash slot {} (bucket {bucket}) is moving to another server, and its master does not \
             know of it: it may have failed over in the middle of the move, without the keys \
             that had moved; see redis-cli --cluster check, tell the master of the move first \
             (CLUSTER SETSLOT … MIGRATING), then end it",
            self.hash_slots[bucket as usize]
        )
    }

    fn unsure(&self, bucket: u32) -> String {
        let silent: Vec<_> = self.table.borrow().silent.iter().map(Endpoint::to_string).collect();
        format!(
            "hash slot {} (bucket {bucket}) has a new master, and whether it was moving when that \
             followed is not known until these have answered, or failed over: {}",
            self.hash_slots[bucket as usize],
            silent.join(", ")
        )
    }

    /// Takes in what the servers say. Who has a bucket is what `MOVED` said, where that was
    /// while they were asked.
    fn adopt(self: &Arc<Self>, survey: Survey, lessons: u64) {
        self.table.send_modify(|table| {
            let is_torn = |bucket: &u32| survey.is_torn(self.hash_slots[*bucket as usize]);
            table.torn = (0..BUCKETS).filter(is_torn).collect();
            if table.lessons == lessons {
                let owner = |&slot: &u16| survey.map.owner(slot).cloned();
                let owners = self.hash_slots.iter().map(owner).collect();
                table.take_owners(owners, survey.silent());
                table.map = survey.map;
            } else {
                self.wanted.notify_one();
            }
            table.state = State::Known;
            table.rounds += 1;
            table.last_round = Some(BootInstant::now());
        });
        let (owners, servers) = {
            let table = self.table.borrow();
            (table.owners.clone(), table.map.servers())
        };
        // A link ends with its last call when it is not kept here.
        locked(&self.links).retain(|server, _| {
            owners.iter().flatten().any(|owner| owner == server) || servers.contains(server)
        });
        for owner in owners.iter().flatten() {
            self.link(owner);
        }
        self.weigh();
    }

    fn nobody_answered(&self, why: String) {
        self.table.send_modify(|table| {
            if table.map == Map::default() {
                table.state = State::Failed(why);
            }
            table.rounds += 1;
            table.last_round = Some(BootInstant::now());
        });
        self.weigh();
    }

    /// Draws the health of the whole from that of its buckets.
    fn weigh(&self) {
        let health = match &self.table.borrow().state {
            State::Asking | State::Closed => return,
            State::Failed(why) => Some(Health::Down(format!("{}: {why}", self.options))),
            State::Known => None,
        };
        let Some(health) = health.or_else(|| self.health_of_buckets()) else { return };
        self.health.send_if_modified(|current| {
            let changed = *current != health && *current != Health::Down("closed".to_owned());
            if changed {
                *current = health;
            }
            changed
        });
    }

    /// None while no link has been tried.
    fn health_of_buckets(&self) -> Option<Health> {
        let (owners, torn, unsure) = {
            let table = self.table.borrow();
            let unsure: Vec<_> = (0..BUCKETS).filter(|bucket| table.is_unsure(*bucket)).collect();
            (table.owners.clone(), table.torn.clone(), unsure)
        };
        let links = locked(&self.links);
        let stuck = locked(&self.stuck);
        let mut silent: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let (mut answering, mut untried) = (0, 0);
        for (bucket, owner) in (0..BUCKETS).zip(owners) {
            let link = owner.as_ref().and_then(|owner| links.get(owner));
            let why = match (&owner, link.map(|link| link.health().borrow().clone())) {
                (None, _) => self.without_master(bucket),
                _ if torn.contains(&bucket) => self.half_moved(bucket),
                _ if unsure.contains(&bucket) => self.unsure(bucket),
                (_, None | Some(Health::Starting)) => {
                    untried += 1;
                    continue;
                }
                (_, Some(Health::Down(why) | Health::Partly(why))) => why,
                (_, Some(Health::Up | Health::Weakened { .. })) => match stuck.get(&bucket) {
                    Some(why) => why.clone(),
                    None => {
                        answering += 1;
                        continue;
                    }
                },
            };
            silent.entry(why).or_default().push(bucket.to_string());
        }
        let words = silent.iter().map(|(why, buckets)| {
            format!("buckets {} of {BUCKETS} do not answer: {why}", buckets.join(", "))
        });
        let words = words.collect::<Vec<_>>().join("; ");
        match (answering, untried, silent.is_empty()) {
            (0, 1.., _) => None,
            (0, 0, _) => Some(Health::Down(words)),
            (_, _, true) => Some(Health::Up),
            (_, _, false) => Some(Health::Partly(words)),
        }
    }

    fn is_amiss(&self) -> bool {
        *self.health.borrow() != Health::Up
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is in there is whole at any time.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has the map asked for when a link is lost, and the health weighed when it changes.
async fn watch_link(shared: Weak<Shared>, mut health: watch::Receiver<Health>) {
    loop {
        let is_down = matches!(*health.borrow_and_update(), Health::Down(_));
        match shared.upgrade() {
            Some(shared) => {
                if is_down {
                    shared.wanted.notify_one();
                }
                shared.weigh();
            }
            None => return,
        }
        if health.changed().await.is_err() {
            return;
        }
    }
}

/// Keeps the table current.
async fn keep_current(shared: Arc<Shared>) {
    // To the masters that have none of the buckets: one may be moving to them.
    let mut others: HashMap<Endpoint, Arc<Link>> = HashMap::new();
    loop {
        let (lessons, map) = {
            let table = shared.table.borrow();
            (table.lessons, table.map.clone())
        };
        let mut watched: HashMap<_, _> = locked(&shared.links).clone();
        others.retain(|server, _| !watched.contains_key(server));
        watched.extend(others.clone());
        let servers: Vec<_> = watched.keys().cloned().collect();
        let linked = watched.into_iter().filter(|(_, link)| link.is_connected()).collect();
        match survey(&shared.options, linked, &servers, map.servers()).await {
            Ok(survey) => {
                let masters: Vec<_> = survey.masters.iter().map(|of| of.at.clone()).collect();
                shared.adopt(survey, lessons);
                others.retain(|server, _| masters.contains(server));
                for master in masters {
                    let open = || Arc::new(Link::open(shared.options.only_to_ask(&master)));
                    if !locked(&shared.links).contains_key(&master) {
                        others.entry(master.clone()).or_insert_with(open);
                    }
                }
            }
            Err(why) => shared.nobody_answered(why),
        }
        tokio::time::sleep(PAUSE.mul_f64(1.0 + fastrand::f64() / 2.0)).await;
        let wait = if shared.is_amiss() { EVERY_WHEN_AMISS } else { EVERY };
        let _due = tokio::time::timeout(wait, shared.wanted.notified()).await.is_err();
    }
}
