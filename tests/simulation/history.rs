//! What befalls a cluster, drawn from its seed.

use std::sync::Arc;
use std::time::Duration;

use solocron::daemon::engine::Event;
use solocron::name::JobName;
use solocron::outcome::Outcome;
use solocron::slot::{Slot, TriggerId};
use solocron::store::Store;

use crate::deeds::ask;
use crate::world::{NODES, World, clock_error, ms};

/// How many things befall a cluster.
const BLOWS: usize = 40;

/// How long it has to recover, at most: for every takeover of every run, and for all slots of
/// a minute where they wait for each other, one after another. (150 s were too few for history
/// 3849735141755752695: its last slot had begun.)
const PEACE: Duration = Duration::from_secs(600);

/// How long it is watched at least: what is settled by then must stay so.
const WATCHED: Duration = Duration::from_secs(20);

impl World {
    /// A time in which much goes wrong.
    pub(crate) fn suffer(&mut self) {
        let longest = self.scale.longest_calm().as_millis() as u64;
        for _ in 0..BLOWS {
            let wait = self.rng.u64(1..longest);
            self.go_on_until(self.now + ms(wait));
            let node = self.rng.usize(..NODES);
            self.strike(node);
        }
        self.suffered_until = self.now;
    }

    fn strike(&mut self, node: usize) {
        match self.rng.u8(..16) {
            0 | 1 if self.nodes[node].engine.is_some() => self.kill(node),
            0..=3 => self.revive(node),
            4 => {
                self.note(|| format!("node {node} is frozen"));
                self.nodes[node].frozen = self.nodes[node].engine.is_some();
            }
            5 if self.nodes[node].engine.is_some() && !self.nodes[node].frozen => {
                self.note(|| format!("node {node} drains"));
                self.tell_node(node, Event::Drain("a test"));
            }
            6 => {
                self.nodes[node].bad_link ^= true;
                let bad = self.nodes[node].bad_link;
                self.note(|| format!("the link of node {node} is bad: {bad}"));
            }
            7 => {
                self.nodes[node].cut_off ^= true;
                let cut_off = self.nodes[node].cut_off;
                self.note(|| format!("node {node} is cut off: {cut_off}"));
            }
            8 => {
                self.in_files = self.rng.usize(..self.tables.len());
                if self.rng.bool() {
                    self.load_table(node);
                } else {
                    self.command(async |store| store.request_reload(None).await);
                }
            }
            9 => self.trigger(),
            10 => {
                let job = self.a_job();
                let pause = self.rng.bool();
                self.note(|| format!("{job}: paused {pause}"));
                self.command(async |store| store.pause(&job, pause).await.map(drop));
            }
            11 => self.cancel_one(),
            12 => self.set_clock(node),
            13 => {
                let stands = self.rng.u64(50..4_000);
                self.note(|| format!("the store stands still for {stands} ms"));
                self.stalled_until = self.now + ms(stands);
            }
            _ => {
                // Somebody repairs something.
                self.nodes[node].cut_off = false;
                self.nodes[node].bad_link = false;
                self.revive(node);
            }
        }
    }

    /// A node learns the cluster's time anew. One that is frozen learns nothing: what its
    /// keepers were told before stands.
    fn set_clock(&mut self, node: usize) {
        let error = clock_error(&mut self.rng);
        if self.nodes[node].frozen {
            return;
        }
        self.note(|| format!("node {node} is {error} µs ahead"));
        self.nodes[node].error = error;
        self.act(node);
    }

    fn revive(&mut self, node: usize) {
        if self.nodes[node].engine.is_none() {
            self.start(node);
        } else if self.nodes[node].frozen {
            self.note(|| format!("node {node} thaws"));
            self.thaw(node);
        }
    }

    fn a_job(&mut self) -> JobName {
        ["a", "b"][self.rng.usize(..2)].parse().unwrap()
    }

    fn command(
        &mut self,
        what: impl AsyncFnOnce(&dyn Store) -> Result<(), solocron::store::StoreError>,
    ) {
        let store: Arc<dyn Store> = Arc::new(self.store.handle());
        ask(&store, what);
    }

    fn trigger(&mut self) {
        let job = self.a_job();
        let chance = self.rng.u128(..).to_be_bytes();
        let millis = self.now.unix_millis().unsigned_abs();
        let bytes = chance[..10].try_into().unwrap();
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid();
        let id: TriggerId = id.to_string().parse().unwrap();
        let slot = Slot::triggered(job.clone(), id);
        self.note(|| format!("{job} is triggered"));
        self.oracle.triggered(&slot);
        let by = self.nodes[0].name.clone();
        self.command(async |store| {
            for _ in 0..2 {
                store.trigger(&by, &slot, ms(86_400_000)).await?;
            }
            Ok(())
        });
    }

    fn cancel_one(&mut self) {
        let running = self.store.look(|step| {
            let running = step.records().find(|(_, record)| record.is_running());
            running.map(|(slot, record)| (slot.job.clone(), record.token.run_id(record.attempt)))
        });
        if let Some((job, run)) = running {
            self.note(|| format!("a run of {job} is to be {}", Outcome::Cancelled));
            self.command(async |store| store.cancel(run).await.map(drop));
        }
    }

    /// Everything is well from now on.
    pub(crate) fn recover(&mut self) {
        self.note(|| "peace".to_owned());
        self.settings.max_running = None;
        self.stalled_until = self.now;
        for node in 0..NODES {
            self.nodes[node].cut_off = false;
            self.nodes[node].bad_link = false;
            if self.nodes[node].frozen {
                self.thaw(node);
            }
        }
        // A slot that is open is settled at once only where its job is known.
        self.in_files = self.tables.len() - 1;
        self.command(async |store| store.request_reload(None).await);
        for job in ["a", "b"] {
            let job: JobName = job.parse().unwrap();
            self.command(async |store| store.pause(&job, false).await.map(drop));
        }
        let (until, earliest) = (self.now + PEACE, self.now + WATCHED);
        while self.now < until && (self.now < earliest || !self.open_slots().is_empty()) {
            // Who was draining leaves, and comes back.
            for node in 0..NODES {
                if self.nodes[node].engine.is_none() {
                    self.start(node);
                }
            }
            self.go_on_until(self.now + ms(5_000));
        }
    }
}
