//! Puts together what many tasks ask for at the same time: one call of a script then
//! serves them all, at a fraction of what a call for each costs the server and us.
//!
//! A request that comes when nothing is under way is sent at once, by whoever asks: who is
//! alone waits for nobody, and is [eager](Eager) for the answer. Those that come while others
//! are under way go together as soon as a lane is free and the tasks that can run have run:
//! those that have an answer just now ask again. Without that the first of them would go
//! alone, and leave the others behind. No lane takes more than its share of all that wait or
//! are under way: one that took everything would leave the server idle while its answers are
//! read, and us while they are made.
//!
//! Invariant: where somebody waits, a lane is taken, and whoever has it sends what waits or
//! hands it on. Batches are sent on the runtime on which the combiner was made: whoever asks
//! may have one of his own, which ends with his answer.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::store::redis::eager::{self, Eager, PATIENCE};
use crate::store::{Result, StoreError};

/// So many batches may be under way: the server works on one while another is made. With
/// more of them, each smaller, both sides are woken more often, which costs more than it
/// gains (measured with 2, 3, 4 and 8 for 2 to 256 tasks at once).
const LANES: usize = 2;

/// How long a carrier looks for the answers of a batch: more for each request, as a server
/// needs 2 µs for one and may have another batch to do first, but no longer than that.
const PATIENCE_EACH: Duration = Duration::from_micros(4);
const MOST_PATIENCE: Duration = Duration::from_micros(200);

/// The answers to a batch, in order.
pub(super) type Answers<R> = Pin<Box<dyn Future<Output = Result<Vec<Result<R>>>> + Send>>;

/// See the module's head.
pub(super) struct Combiner<T: Send + 'static, R: Send + 'static>(Arc<Shared<T, R>>);

struct Shared<T, R> {
    queue: Mutex<Queue<T, R>>,
    /// Those who are alone are eager, ...
    eager: Option<Eager>,
    /// ... and carriers where the runtime has but one worker: it would sleep while the server
    /// works, and the server while it does, each time for both batches. Of several workers
    /// one that looks would take its processor from those that work, or from the server.
    eager_carriers: Option<Eager>,
    runtime: Handle,
    send: Box<dyn Fn(Vec<T>) -> Answers<R> + Send + Sync>,
}

struct Queue<T, R> {
    waiting: Vec<(T, oneshot::Sender<Result<R>>)>,
    /// How many lanes are taken.
    taken: usize,
    /// How many requests are under way.
    under_way: usize,
}

/// A lane that is taken. When who asked is answered, or dropped, those who wait go next.
struct Lane<T: Send + 'static, R: Send + 'static> {
    shared: Arc<Shared<T, R>>,
    kept_by: Keeper,
    /// How many requests are under way on it.
    carries: usize,
}

enum Keeper {
    /// Who asks for himself.
    Asker,
    /// A task that sends what waits.
    Carrier,
    /// It was given back.
    Nobody,
}

/// What somebody who asks does.
enum Turn<T: Send + 'static, R: Send + 'static> {
    Goes(Lane<T, R>, T),
    Waits(oneshot::Receiver<Result<R>>),
}

impl<T: Send + 'static, R: Send + 'static> std::fmt::Debug for Combiner<T, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Combiner")
    }
}

impl<T: Send + 'static, R: Send + 'static> Combiner<T, R> {
    /// One that sends batches so, on the runtime in which it is made.
    pub(super) fn new(send: impl Fn(Vec<T>) -> Answers<R> + Send + Sync + 'static) -> Self {
        let alone = Handle::current().metrics().num_workers() == 1;
        let eager = eager::is_of_use().then(Eager::default);
        let eager_carriers = (alone && eager::is_of_use()).then(Eager::default);
        Self::with(eager, eager_carriers, send)
    }

    fn with(
        eager: Option<Eager>,
        eager_carriers: Option<Eager>,
        send: impl Fn(Vec<T>) -> Answers<R> + Send + Sync + 'static,
    ) -> Self {
        let queue = Mutex::new(Queue { waiting: Vec::new(), taken: 0, under_way: 0 });
        let (runtime, send) = (Handle::current(), Box::new(send));
        Self(Arc::new(Shared { queue, eager, eager_carriers, runtime, send }))
    }

    /// The answer to `item`. Who drops this future takes the request back if it still waits
    /// to be sent.
    pub(super) async fn ask(&self, item: T) -> Result<R> {
        match self.turn(item) {
            Turn::Goes(_lane, item) => {
                let answers = answer(&self.0.eager, (self.0.send)(vec![item]), PATIENCE).await?;
                answers.into_iter().next().unwrap_or_else(|| Err(gone()))
            }
            Turn::Waits(answer) => answer.await.unwrap_or_else(|_| Err(gone())),
        }
    }

    fn turn(&self, item: T) -> Turn<T, R> {
        let mut queue = self.0.queue();
        if queue.taken == 0 {
            queue.taken = 1;
            queue.under_way += 1;
            let lane = Lane { shared: self.0.clone(), kept_by: Keeper::Asker, carries: 1 };
            return Turn::Goes(lane, item);
        }
        let (reply, answer) = oneshot::channel();
        queue.waiting.push((item, reply));
        self.0.call_a_carrier(queue);
        Turn::Waits(answer)
    }
}

impl<T: Send + 'static, R: Send + 'static> Shared<T, R> {
    fn queue(&self) -> MutexGuard<'_, Queue<T, R>> {
        // Nothing in here panics half-way.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has one more send what waits, where a lane is free.
    fn call_a_carrier(self: &Arc<Self>, mut queue: MutexGuard<'_, Queue<T, R>>) {
        if queue.taken < LANES {
            queue.taken += 1;
            drop(queue);
            self.hand_to_a_carrier();
        }
    }

    /// Hands on a lane that is taken.
    fn hand_to_a_carrier(self: &Arc<Self>) {
        let lane = Lane { shared: self.clone(), kept_by: Keeper::Carrier, carries: 0 };
        // (In a box, because a carrier may call another.)
        let carrying: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(carry(lane));
        self.runtime.spawn(carrying);
    }
}

impl<T, R> Queue<T, R> {
    /// Whether somebody waits who was not dropped.
    fn is_wanted(&mut self) -> bool {
        self.waiting.retain(|(_, reply)| !reply.is_closed());
        !self.waiting.is_empty()
    }

    /// One lane's share of what waits.
    fn share(&mut self) -> Vec<(T, oneshot::Sender<Result<R>>)> {
        let share = (self.waiting.len() + self.under_way).div_ceil(LANES);
        // (What waits keeps its room: others would wait while it is made anew.)
        self.waiting.drain(..share.min(self.waiting.len())).collect()
    }
}

impl<T: Send + 'static, R: Send + 'static> Lane<T, R> {
    /// What goes next; where nobody waits, the lane is free from now on.
    fn next(&mut self) -> Option<Vec<(T, oneshot::Sender<Result<R>>)>> {
        let mut queue = self.shared.queue();
        queue.under_way -= std::mem::take(&mut self.carries);
        if queue.is_wanted() {
            let batch = queue.share();
            self.carries = batch.len();
            queue.under_way += batch.len();
            if !queue.waiting.is_empty() {
                self.shared.call_a_carrier(queue);
            }
            return Some(batch);
        }
        queue.taken -= 1;
        self.kept_by = Keeper::Nobody;
        None
    }
}

impl<T: Send + 'static, R: Send + 'static> Drop for Lane<T, R> {
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        queue.under_way -= self.carries;
        match self.kept_by {
            Keeper::Nobody => {}
            // A task of its own: those of a batch do not depend on one that may be dropped.
            Keeper::Asker if queue.is_wanted() => {
                drop(queue);
                self.shared.hand_to_a_carrier();
            }
            Keeper::Asker => queue.taken -= 1,
            // It panicked, or the runtime has ended, and with it the connection.
            Keeper::Carrier => {
                queue.taken -= 1;
                let left = match queue.taken {
                    0 => std::mem::take(&mut queue.waiting),
                    _ => Vec::new(),
                };
                drop(queue);
                drop(left);
            }
        }
    }
}

/// Sends what waits, each time when all that can run at that moment have asked, until
/// nothing does.
async fn carry<T: Send + 'static, R: Send + 'static>(mut lane: Lane<T, R>) {
    loop {
        tokio::task::yield_now().await;
        let Some(batch) = lane.next() else { return };
        send(&lane.shared, batch).await;
    }
}

/// The answers, looked for where somebody is eager.
async fn answer<R>(
    eager: &Option<Eager>,
    asked: Answers<R>,
    patience: Duration,
) -> Result<Vec<Result<R>>> {
    match eager {
        Some(eager) => eager.answer(asked, patience).await,
        None => asked.await,
    }
}

async fn send<T, R>(shared: &Shared<T, R>, batch: Vec<(T, oneshot::Sender<Result<R>>)>) {
    let (items, replies): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
    let each = u32::try_from(items.len()).unwrap_or(u32::MAX);
    let patience = (PATIENCE + PATIENCE_EACH.saturating_mul(each)).min(MOST_PATIENCE);
    let answered = answer(&shared.eager_carriers, (shared.send)(items), patience).await;
    let (mut answers, error) = match answered {
        Ok(answers) => (answers.into_iter(), gone()),
        Err(error) => (Vec::new().into_iter(), error),
    };
    for reply in replies {
        // Nobody waits for it any more where this fails: it was dropped.
        let _ = reply.send(answers.next().unwrap_or_else(|| Err(error.clone())));
    }
}

fn gone() -> StoreError {
    StoreError::Unknown("there was no answer to this one of a batch".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::sync::Semaphore;

    use super::*;

    /// Doubles numbers, each batch when it is let through.
    fn doubler(gate: &Arc<Semaphore>, batches: &Arc<AtomicUsize>) -> Arc<Combiner<u32, u32>> {
        let (gate, batches) = (gate.clone(), batches.clone());
        Arc::new(Combiner::with(None, None, move |items: Vec<u32>| -> Answers<u32> {
            batches.fetch_add(1, Ordering::Relaxed);
            let gate = gate.clone();
            Box::pin(async move {
                gate.acquire().await.unwrap().forget();
                Ok(items.into_iter().map(|item| Ok(item * 2)).collect())
            })
        }))
    }

    async fn until(holds: impl Fn() -> bool) {
        let waiting = async {
            while !holds() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap();
    }

    fn sent(batches: &AtomicUsize) -> usize {
        batches.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn what_comes_while_others_are_under_way_goes_together_in_two_halves() {
        let (gate, batches) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let combiner = doubler(&gate, &batches);
        let mut asked = Vec::new();
        for item in 0..20_u32 {
            let combiner = combiner.clone();
            asked.push(tokio::spawn(async move { combiner.ask(item).await }));
        }
        until(|| sent(&batches) == 2).await;
        let [waiting, under_way] = {
            let queue = combiner.0.queue();
            [queue.waiting.len(), queue.under_way]
        };
        assert_eq!([waiting, under_way], [9, 11], "the first went alone, and half of all");
        gate.add_permits(20);
        for (item, answer) in asked.into_iter().enumerate() {
            assert_eq!(answer.await.unwrap(), Ok(2 * item as u32));
        }
        until(|| combiner.0.queue().taken == 0).await;
        assert_eq!(sent(&batches), 3);
        assert_eq!(combiner.0.queue().under_way, 0);
    }

    #[test]
    fn carriers_look_for_answers_only_where_no_worker_is_beside_them() {
        for workers in [1, 2] {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(workers)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let combiner = Combiner::new(|items: Vec<u32>| -> Answers<u32> {
                    Box::pin(async move {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        Ok(items.into_iter().map(Ok).collect())
                    })
                });
                let eager = [&combiner.0.eager, &combiner.0.eager_carriers].map(Option::is_some);
                assert_eq!(eager, [true, workers == 1].map(|eager| eager && eager::is_of_use()));
                let answers = futures_util::future::join_all((0..9).map(|n| combiner.ask(n))).await;
                assert_eq!(answers, (0..9).map(Ok).collect::<Vec<_>>());
            });
        }
    }

    #[tokio::test]
    async fn those_that_have_an_answer_ask_again_before_the_next_go() {
        let (gate, batches) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let combiner = doubler(&gate, &batches);
        let mut asking = Vec::new();
        for item in 0..20_u32 {
            let combiner = combiner.clone();
            asking.push(tokio::spawn(async move {
                combiner.ask(item).await.unwrap();
                combiner.ask(item).await
            }));
        }
        until(|| sent(&batches) == 2).await;
        gate.add_permits(2);
        until(|| sent(&batches) >= 3).await;
        gate.add_permits(20);
        for (item, answer) in asking.into_iter().enumerate() {
            assert_eq!(answer.await.unwrap(), Ok(2 * item as u32));
        }
        assert!(sent(&batches) <= 5, "{}", sent(&batches));
    }

    #[tokio::test]
    async fn who_is_dropped_before_is_not_sent() {
        let (gate, batches) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let combiner = doubler(&gate, &batches);
        let ask = |item| {
            let combiner = combiner.clone();
            tokio::spawn(async move { combiner.ask(item).await })
        };
        let first = [ask(0), ask(1)];
        until(|| sent(&batches) == LANES).await;
        let dropped = ask(21);
        until(|| combiner.0.queue().waiting.len() == 1).await;
        dropped.abort();
        assert!(dropped.await.unwrap_err().is_cancelled());
        gate.add_permits(LANES);
        for answer in first {
            answer.await.unwrap().unwrap();
        }
        until(|| combiner.0.queue().taken == 0).await;
        assert_eq!(sent(&batches), LANES);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn whose_runtime_ends_with_the_answer_leaves_no_lane_behind() {
        let (gate, batches) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let combiner = doubler(&gate, &batches);
        for round in 1..=LANES {
            let ask = |item| {
                let combiner = combiner.clone();
                tokio::task::spawn_blocking(move || {
                    let own = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    own.block_on(combiner.ask(item))
                })
            };
            let asking = [ask(1), ask(2)];
            until(|| sent(&batches) == 2 * round).await;
            gate.add_permits(2);
            for (item, answer) in [1, 2].into_iter().zip(asking) {
                assert_eq!(answer.await.unwrap(), Ok(2 * item));
            }
            until(|| combiner.0.queue().taken == 0).await;
        }
    }

    #[tokio::test]
    async fn a_batch_that_panics_leaves_no_lane_behind() {
        let combiner = Arc::new(Combiner::new(|items: Vec<u32>| -> Answers<u32> {
            Box::pin(async move {
                tokio::task::yield_now().await;
                assert!(items[0] == 0, "it panics");
                Ok(items.into_iter().map(Ok).collect())
            })
        }));
        let ask = |item| {
            let combiner = combiner.clone();
            tokio::spawn(async move { combiner.ask(item).await })
        };
        let asking = [ask(0), ask(1), ask(2)];
        let [first, second, third] = futures_util::future::join_all(asking)
            .await
            .into_iter()
            .map(std::result::Result::unwrap)
            .collect::<Vec<_>>()
            .try_into()
            .unwrap();
        assert_eq!((first, second, third), (Ok(0), Err(gone()), Err(gone())));
        assert_eq!(combiner.0.queue().taken, 0);
        assert_eq!(combiner.ask(0).await, Ok(0));
    }

    #[tokio::test]
    async fn who_is_dropped_on_the_way_holds_up_nobody() {
        let (gate, batches) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let combiner = doubler(&gate, &batches);
        let ask = |item| {
            let combiner = combiner.clone();
            tokio::spawn(async move { combiner.ask(item).await })
        };
        let first = [ask(0), ask(1)];
        until(|| sent(&batches) == LANES).await;
        let last = ask(21);
        until(|| combiner.0.queue().waiting.len() == 1).await;
        first.iter().for_each(tokio::task::JoinHandle::abort);
        // What the second asked for is under way all the same.
        gate.add_permits(2);
        assert_eq!(last.await.unwrap(), Ok(42));
        until(|| combiner.0.queue().taken == 0).await;
    }
}
