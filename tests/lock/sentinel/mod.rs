//! Locks on the master that sentinels name, where what its replica has acknowledged is
//! what counts: the contract's fixture, and masters that go away.

use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex};

use solocron::lock::Locks;
use solocron::name::ClusterName;

use crate::contract::{Fixture, Need, contended, take};
use crate::harness::sentinel::Group;

mod failover;

/// A cluster of its own on servers that the cases share.
pub(crate) struct Shared {
    cluster: ClusterName,
    /// Servers that nobody else uses.
    own: Option<Group>,
}

/// One group for all cases: each has a name of its own on it.
static SHARED: LazyLock<(Group, Mutex<Child>)> = LazyLock::new(|| {
    let group = Group::plan().replicas(1).start();
    let cleaner = Mutex::new(group.clean_up_at_the_end());
    (group, cleaner)
});

impl Shared {
    fn on(own: Option<Group>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("case-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        Self { cluster: ClusterName::new(&name).unwrap(), own }
    }

    fn group(&self) -> &Group {
        self.own.as_ref().unwrap_or_else(|| &SHARED.0)
    }

    /// The master's answer; the sentinels see to it that it stays the first.
    fn ask(&self, args: &[&str]) -> redis::Value {
        self.group().servers[0].cli(args)
    }

    fn key(&self, kind: &str, name: &str) -> String {
        format!("{0}:{{{0}.0}}:{kind}:{name}", self.cluster)
    }
}

impl Fixture for Shared {
    const OFFERS: &'static [Need] =
        &[Need::Scripts, Need::OpenKeys, Need::Stops, Need::CommonQueue, Need::StrictQueue];

    fn start() -> Self {
        Self::on(None)
    }

    fn alone() -> Self {
        Self::on(Some(Group::plan().replicas(1).start()))
    }

    fn address(&self) -> String {
        self.group().url()
    }

    fn cluster(&self) -> ClusterName {
        self.cluster.clone()
    }

    fn residue(&self) -> Vec<String> {
        let master = &self.group().servers[0];
        ["held", "queue"]
            .iter()
            .flat_map(|kind| master.cli_list(&["KEYS", &self.key(kind, "*")]))
            .collect()
    }

    fn lapse(&self, name: &str) {
        self.ask(&["DEL", &self.key("held", name)]);
    }

    fn block(&self, name: &str, as_text: bool) {
        let command = if as_text { "SET" } else { "RPUSH" };
        self.ask(&[command, &self.key("held", name), "foreign"]);
    }

    fn freeze(&self) {
        self.group().servers[0].pause();
    }

    fn thaw(&self) {
        self.group().servers[0].resume();
    }

    fn forget_scripts(&self) {
        assert_eq!(self.ask(&["SCRIPT", "FLUSH"]), redis::Value::Okay);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_is_enough() {
    let f = Shared::start();
    let locks = Locks::open_in(&f.address(), &f.cluster()).unwrap();
    let guard = take(&locks, "order/1").await;
    let (_, holder) = contended(f.locks().lock("order/1").try_acquire().await);
    assert_eq!(holder.fence, guard.fence());
    guard.release().await.unwrap();
    assert_eq!(f.residue(), [""; 0]);
}
