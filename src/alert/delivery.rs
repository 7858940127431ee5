//! One alert on its way to one channel: the right to send it, attempts, and the end.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::channel::{Channel, Means};
use super::notice::Notice;
use super::right::{Asked, LEASE, Right};
use super::{NEWS_FOR, command, webhook};
use crate::clock::BootInstant;
use crate::log::events::{self, Told};

/// The wait before the second attempt; each later one is twice as long, up to the other.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// How long is waited for a store that does not answer.
const STORE_WAIT: Duration = Duration::from_secs(1);

/// What may end a delivery before it is done.
#[derive(Debug, Clone, Default)]
pub(super) struct Ends {
    /// The node drains: nothing is waited for any more, but for an answer.
    pub(super) draining: CancellationToken,
    /// Nothing at all.
    pub(super) over: CancellationToken,
}

/// One alert for one channel.
pub(super) struct Delivery {
    pub(super) notice: Arc<Notice>,
    pub(super) channel: Arc<Channel>,
    pub(super) right: Right,
    /// So many alerts go out on the channel at a time.
    pub(super) room: Arc<tokio::sync::Semaphore>,
    pub(super) ends: Ends,
}

/// What became of the attempts.
enum Sent {
    /// It was sent, or given up.
    Done,
    /// The right to send it was lost.
    RightLost,
    /// The node drains, and another may send it.
    Left,
}

impl Delivery {
    /// Delivers it, or sees to it that another may.
    pub(super) async fn run(mut self) {
        let begun = BootInstant::now();
        while BootInstant::now().since(begun) < NEWS_FOR {
            let room = Arc::clone(&self.room);
            let wait = {
                let over = self.ends.over.clone();
                // Also while the node drains: its last runs have news, too.
                let Some(Ok(_room)) = over.run_until_cancelled(room.acquire()).await else {
                    return;
                };
                match self.right.ask().await {
                    Ok(Asked::Settled) => return,
                    Ok(Asked::Others(remaining)) => remaining.min(LEASE) + jitter(),
                    Err(_) => STORE_WAIT + jitter(),
                    Ok(Asked::Ours) => {
                        let over = self.ends.over.clone();
                        match over.run_until_cancelled(self.send()).await {
                            Some(Sent::Done) => return,
                            Some(Sent::RightLost) => jitter(),
                            Some(Sent::Left) | None => return self.right.give_back().await,
                        }
                    }
                }
            };
            let wait = tokio::time::sleep(wait);
            if self.ends.draining.run_until_cancelled(wait).await.is_none() {
                return;
            }
        }
    }

    /// Sends it, while the right to do so is ours.
    async fn send(&mut self) -> Sent {
        let Self { notice, channel, right, ends, .. } = self;
        let body = match &channel.body {
            Some(template) => template.render(notice),
            None => Ok(notice.json()),
        };
        let attempts = attempts(notice, channel, body, ends);
        let sent = tokio::select! {
            sent = attempts => sent,
            () = right.keep() => return Sent::RightLost,
        };
        if matches!(sent, Sent::Done) {
            right.settle().await;
        }
        sent
    }
}

async fn attempts(
    notice: &Notice,
    channel: &Channel,
    body: Result<String, String>,
    ends: &Ends,
) -> Sent {
    let begun = BootInstant::now();
    let told = |attempt| Told {
        notify: &channel.name,
        alert: notice.alert,
        id: &notice.id,
        job: &notice.job,
        slot: notice.slot.as_deref(),
        attempt,
    };
    let body = match body {
        Ok(body) => body,
        Err(why) => {
            events::notify_failed(told(0), &why, None);
            return Sent::Done;
        }
    };
    let mut wait = FIRST_WAIT;
    for attempt in 1..=channel.attempts {
        let trial = tokio::time::timeout(channel.timeout, try_once(notice, channel, &body)).await;
        let error = match trial {
            Ok(Ok(())) => {
                events::notify_sent(told(attempt), BootInstant::now().since(begun));
                return Sent::Done;
            }
            Ok(Err(error)) => error,
            Err(_) => format!("no answer within {:?}", channel.timeout),
        };
        let again = (attempt < channel.attempts).then(|| wait + jitter());
        events::notify_failed(told(attempt), &error, again);
        let Some(again) = again else { break };
        if ends.draining.run_until_cancelled(tokio::time::sleep(again)).await.is_none() {
            return Sent::Left;
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
    Sent::Done
}

async fn try_once(notice: &Notice, channel: &Channel, body: &str) -> Result<(), String> {
    match &channel.means {
        Means::Webhook(webhook) => webhook::post(webhook, &notice.id, body).await,
        Means::Command(words) => command::run(&words.0, notice, body).await,
    }
}

/// Up to half a second, so that nodes do not ask together.
fn jitter() -> Duration {
    Duration::from_millis(fastrand::u64(50..500))
}
