//! What a lock costs: `cargo bench --bench lock`.
//!
//! Takes and releases free locks on one Redis, one task and 64 tasks at once, on a runtime
//! of one worker and on one of two, beside `rslock` in turn on the same server, and beside
//! the floor: two bare commands on a connection of the same client library. Then how long a
//! waiter takes to be woken.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench may")]

#[path = "../tests/harness/mod.rs"]
mod harness;

use std::time::Duration;

use solocron::clock::BootInstant;
use solocron::lock::{Locks, Wait};
use tokio::task::JoinSet;

use harness::redis_server::RedisServer;

/// How often each is measured, in turn; medians are shown.
const ROUNDS: usize = 9;
/// How long one measurement takes.
const SPAN: Duration = Duration::from_millis(600);
const TTL: Duration = Duration::from_secs(30);

/// What is measured.
#[derive(Clone)]
enum Subject {
    Solocron(Locks),
    Rslock(rslock::LockManager),
    /// `SET NX PX` and `DEL`, and nothing else.
    Bare(redis::aio::MultiplexedConnection),
}

impl Subject {
    /// Takes the lock and gives it back.
    async fn cycle(&mut self, name: &str) {
        match self {
            Self::Solocron(locks) => {
                let guard = locks.lock(name).ttl(TTL).try_acquire().await.unwrap();
                guard.release().await.unwrap();
            }
            Self::Rslock(manager) => {
                let lock = manager.lock(name, TTL).await.unwrap();
                manager.unlock(&lock).await;
            }
            Self::Bare(connection) => {
                let mut set = redis::cmd("SET");
                set.arg(name).arg("x").arg("NX").arg("PX").arg(30_000);
                set.query_async::<redis::Value>(connection).await.unwrap();
                let mut del = redis::cmd("DEL");
                del.arg(name).query_async::<redis::Value>(connection).await.unwrap();
            }
        }
    }

    /// Cycles per second of so many tasks, each with a lock of its own.
    async fn rate(&self, tasks: usize) -> f64 {
        let begun = BootInstant::now();
        let mut all = JoinSet::new();
        for task in 0..tasks {
            let mut subject = self.clone();
            all.spawn(async move {
                let name = format!("bench/{task}");
                let mut cycles = 0_u32;
                while BootInstant::now().since(begun) < SPAN {
                    subject.cycle(&name).await;
                    cycles += 1;
                }
                cycles
            });
        }
        let cycles: u32 = all.join_all().await.into_iter().sum();
        f64::from(cycles) / BootInstant::now().since(begun).as_secs_f64()
    }
}

fn main() {
    let server = RedisServer::start();
    println!("acquire and release, per second; medians of {ROUNDS} rounds in turn");
    for workers in [1, 2] {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(workers)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(cycles(&server, workers));
        if workers == 2 {
            runtime.block_on(wakes(&server));
        }
    }
}

/// How many locks are taken and given back in a second.
async fn cycles(server: &RedisServer, workers: usize) {
    let client = redis::Client::open(server.url()).unwrap();
    let subjects = [
        Subject::Solocron(Locks::open(&server.url()).unwrap()),
        Subject::Rslock(rslock::LockManager::new(vec![server.url()])),
        Subject::Bare(client.get_multiplexed_async_connection().await.unwrap()),
    ];
    for tasks in [1, 64] {
        let mut rates = subjects.each_ref().map(|_| Vec::new());
        for _ in 0..ROUNDS {
            for (subject, rates) in subjects.iter().zip(&mut rates) {
                rates.push(subject.rate(tasks).await);
            }
        }
        let [ours, peer, bare] = rates.map(|rates| at(0.5, rates));
        println!(
            "{tasks:3} tasks, {workers} workers: solocron {ours:7.0}, rslock {peer:7.0}, \
             SET and DEL {bare:7.0}: {:.2} of rslock, {:.2} of the bare commands",
            ours / peer,
            ours / bare
        );
    }
}

/// From the call of `release` in one client to the grant in another.
async fn wakes(server: &RedisServer) {
    let [holder, waiter] = [(); 2].map(|()| Locks::open(&server.url()).unwrap());
    let mut millis = Vec::new();
    for _ in 0..200 {
        let guard = holder.lock("wake").try_acquire().await.unwrap();
        let request = waiter.lock("wake");
        let waiting = tokio::spawn(async move {
            let guard = request.acquire(Wait::at_most(TTL)).await.unwrap();
            let woken = BootInstant::now();
            guard.release().await.unwrap();
            woken
        });
        let queue = "default:{default.0}:queue:wake";
        while server.cli_number(&["ZCARD", queue]) == 0 {
            tokio::task::yield_now().await;
        }
        let released = BootInstant::now();
        guard.release().await.unwrap();
        millis.push(waiting.await.unwrap().since(released).as_secs_f64() * 1000.0);
    }
    let figure = |share| at(share, millis.clone());
    println!(
        "a waiter has the lock {:.2} ms after the release begins (median; p95 {:.2}, longest {:.2})",
        figure(0.5),
        figure(0.95),
        figure(1.0)
    );
}

/// The figure at `share` of all, in order.
fn at(share: f64, mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[((figures.len() - 1) as f64 * share).round() as usize]
}
