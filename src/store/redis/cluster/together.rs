//! Several calls at once, to several servers.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// A call under way.
pub(super) type Call<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Waits for all calls; what they bring, in their order.
pub(super) async fn all<T>(calls: Vec<Call<'_, T>>) -> Vec<T> {
    let mut under_way: Vec<_> = calls.into_iter().map(Some).collect();
    let mut brought: Vec<Option<T>> = under_way.iter().map(|_| None).collect();
    poll_fn(|context| {
        let mut waits = false;
        for (call, answer) in under_way.iter_mut().zip(&mut brought) {
            let Some(running) = call else { continue };
            match running.as_mut().poll(context) {
                Poll::Ready(value) => (*call, *answer) = (None, Some(value)),
                Poll::Pending => waits = true,
            }
        }
        if waits { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    brought.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_go_on_side_by_side_and_their_answers_keep_their_order() {
        let call = |n: u64| -> Call<'_, u64> {
            Box::pin(async move {
                tokio::time::sleep(Duration::from_secs(10 - n)).await;
                n
            })
        };
        let together = all((0..5).map(call).collect());
        let in_time = tokio::time::timeout(Duration::from_secs(11), together);
        assert_eq!(in_time.await, Ok(vec![0, 1, 2, 3, 4]));
        assert!(all::<()>(Vec::new()).await.is_empty());
    }
}
