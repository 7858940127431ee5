//! Looks for an answer that comes soon, instead of sleeping until it is there.
//!
//! A process that sleeps until it has an answer is woken by then, which takes as long as a
//! server nearby takes to answer: the processor has to be woken first. So who is alone
//! looks again and again, for a moment, letting every other task run in between; and where
//! that was in vain, as with a server that is not so near, ever more callers after it do
//! not try. On a machine with one processor nobody does: it would be the server's.

use std::future::Future;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use crate::clock::BootInstant;

/// For so long one answer is looked for: a server on this machine has given it by then, one
/// next door mostly has not. It is about what the sleep would cost the processor.
pub(super) const PATIENCE: Duration = Duration::from_micros(50);

/// After so many attempts in vain, one call in two to the power of that tries.
const MOST_DOUBLINGS: u32 = 10;

/// Whether there is a processor to look with, beside the one on which a server may work.
pub(super) fn is_of_use() -> bool {
    static OF_USE: LazyLock<bool> =
        LazyLock::new(|| std::thread::available_parallelism().is_ok_and(|count| count.get() > 1));
    *OF_USE
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Eager {
    /// So many attempts were in vain, one after another.
    in_vain: AtomicU32,
    /// So many callers do not try.
    pass: AtomicU32,
}

impl Eager {
    /// What is answered, looked for no longer than `patience` before it is slept for.
    pub(super) async fn answer<F>(&self, mut asked: F, patience: Duration) -> F::Output
    where
        F: Future + Unpin,
    {
        // (What gets lost where several count at once does not matter.)
        match self.pass.load(Ordering::Relaxed) {
            0 => {}
            left => {
                self.pass.store(left - 1, Ordering::Relaxed);
                return asked.await;
            }
        }
        let begun = BootInstant::now();
        loop {
            if let Poll::Ready(answer) = futures_util::poll!(&mut asked) {
                self.in_vain.store(0, Ordering::Relaxed);
                return answer;
            }
            if BootInstant::now().since(begun) >= patience {
                break;
            }
            tokio::task::yield_now().await;
        }
        let in_vain = (self.in_vain.load(Ordering::Relaxed) + 1).min(MOST_DOUBLINGS);
        self.in_vain.store(in_vain, Ordering::Relaxed);
        self.pass.store((1 << in_vain) - 1, Ordering::Relaxed);
        asked.await
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::Context;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// An answer that is there when it was looked for so often, and calls nobody.
    struct Quiet(u32);

    impl Future for Quiet {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            match self.0.checked_sub(1) {
                None => Poll::Ready(()),
                Some(left) => {
                    self.0 = left;
                    Poll::Pending
                }
            }
        }
    }

    /// How often an answer is looked for that comes when it was asked for by others.
    async fn looks(eager: &Eager, patience: Duration) -> u32 {
        let mut looks = 0;
        let (answer, asked) = tokio::sync::oneshot::channel();
        let mut asked = Box::pin(asked);
        let counted = std::future::poll_fn(|context| {
            looks += 1;
            asked.as_mut().poll(context)
        });
        let late = async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            answer.send(()).unwrap();
        };
        let (answer, ()) = tokio::join!(eager.answer(Box::pin(counted), patience), late);
        answer.unwrap();
        looks
    }

    #[tokio::test]
    async fn an_answer_that_comes_soon_is_found_by_looking() {
        let eager = Eager::default();
        for _ in 0..3 {
            eager.answer(Quiet(1000), LONG).await;
        }
    }

    #[tokio::test]
    async fn others_run_meanwhile() {
        let eager = Eager::default();
        assert!(looks(&eager, LONG).await > 2);
    }

    #[tokio::test]
    async fn where_looking_was_in_vain_ever_fewer_look() {
        let eager = Eager::default();
        let mut tried = Vec::new();
        for call in 0..40 {
            let before = eager.in_vain.load(Ordering::Relaxed);
            looks(&eager, Duration::from_micros(1)).await;
            if eager.in_vain.load(Ordering::Relaxed) > before {
                tried.push(call);
            }
        }
        assert_eq!(tried, [0, 2, 6, 14, 30]);
        eager.pass.store(0, Ordering::Relaxed);
        eager.answer(Quiet(0), LONG).await;
        assert_eq!(eager.in_vain.load(Ordering::Relaxed), 0, "it was found at once");
    }
}
