//! Hears the calls to those of this process who wait for locks.
//!
//! One connection, made when somebody waits first, on which this client's own channel is
//! subscribed: a release publishes there the number of the waiter that may try again. A
//! call is a hint. When the connection was lost, all are called once it is back. One that
//! is silent may be lost as well, without anybody having closed it, so it is asked now and
//! then; and a master that was replaced says no more what happens at the new one.

use std::time::Duration;

use futures_util::StreamExt as _;
use redis::aio::{PubSub, PubSubSink, PubSubStream};
use redis::{Cmd, RedisConnectionInfo, Value};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::store::locks::{Waiter, WaitingRoom};
use crate::store::redis::dial;
use crate::store::redis::keys::Keys;
use crate::store::redis::options::{Address, Options};
use crate::store::redis::sentinel::{self, Favourite, Master};

/// The pauses between attempts to subscribe.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];

/// How often the other side is asked whether it is still there, while somebody waits.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Whether calls are heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hearing {
    /// A subscription is being made, or will be when somebody waits.
    Unclear,
    Yes,
    /// None could be made: this user may not have one, or the server is away.
    No,
}

/// See the module's head.
#[derive(Debug)]
pub(super) struct Calls {
    client: Uuid,
    /// What the name of a client follows in that of its channel.
    prefix: String,
    /// Whether a server knows all who listen: in a Redis Cluster each knows its own.
    counted: bool,
    room: WaitingRoom,
    hearing: watch::Receiver<Hearing>,
    bound: Duration,
    _stop_on_drop: DropGuard,
    stop: CancellationToken,
}

impl Calls {
    /// Begins to listen to one server when somebody waits.
    pub(super) fn new(server: Options, keys: &Keys) -> Self {
        Self::begin(vec![server], true, keys)
    }

    /// Begins to listen to one of these servers of a Redis Cluster when somebody waits:
    /// what is said on a channel goes to all of them.
    pub(super) fn of_cluster(servers: Vec<Options>, keys: &Keys) -> Self {
        Self::begin(servers, false, keys)
    }

    fn begin(servers: Vec<Options>, counted: bool, keys: &Keys) -> Self {
        let prefix = keys.calls();
        let client = Uuid::new_v4();
        let room = WaitingRoom::default();
        let (told, hearing) = watch::channel(Hearing::Unclear);
        let stop = CancellationToken::new();
        let bound = servers.iter().map(|server| server.timeout).max().unwrap_or_default();
        let channel = format!("{prefix}{client}");
        let work = listen(servers, channel, room.clone(), told);
        tokio::spawn(stop.clone().run_until_cancelled_owned(work));
        let _stop_on_drop = stop.clone().drop_guard();
        Self { client, prefix, counted, room, hearing, bound, _stop_on_drop, stop }
    }

    /// One more who waits; calls are heard from now on, unless that cannot be had in time.
    pub(super) async fn enter(&self) -> Waiter {
        let waiter = self.room.enter();
        let mut hearing = self.hearing.clone();
        let clear = hearing.wait_for(|hearing| *hearing != Hearing::Unclear);
        if let Ok(Ok(hearing)) = tokio::time::timeout(self.bound, clear).await
            && *hearing == Hearing::Yes
        {
            // That to all, when the subscription was made, was for those before.
            waiter.forget_calls();
        }
        // Without it there are timers.
        waiter
    }

    /// How a waiter stands in a queue.
    pub(super) fn address(&self, waiter: u64) -> String {
        format!("{} {waiter}", self.client)
    }

    /// What scripts are told that call waiters (`scripts/lock/queue.lua`).
    pub(super) fn add_to(&self, call: &mut Cmd) {
        call.arg(format!("{}{}", u8::from(self.counted), self.prefix));
    }

    pub(super) fn close(&self) {
        self.stop.cancel();
    }
}

async fn listen(
    servers: Vec<Options>,
    channel: String,
    room: WaitingRoom,
    told: watch::Sender<Hearing>,
) {
    let favourite = Favourite::default();
    let [mut pause, longest] = PAUSES;
    for options in servers.iter().cycle() {
        room.occupied().await;
        let limit = options.timeout.max(Duration::from_secs(1));
        let subscribed =
            tokio::time::timeout(limit, subscribe(options, &favourite, &channel)).await;
        if let Ok(Some((subscription, master))) = subscribed {
            [pause, _] = PAUSES;
            // Before it is told: those who were waiting for it have no place yet.
            room.call_all();
            told.send_replace(Hearing::Yes);
            let (mut sink, messages) = subscription.split();
            tokio::select! {
                () = hear(messages, &room) => {}
                () = silent(&mut sink, &room, limit) => {}
                () = replaced(options, &favourite, master) => {}
            }
            told.send_replace(Hearing::Unclear);
        } else {
            told.send_replace(Hearing::No);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

/// Passes calls on until the connection ends.
async fn hear(mut messages: PubSubStream, room: &WaitingRoom) {
    while let Some(message) = messages.next().await {
        // One that is gone by now has left the queue, and hands the call on there.
        if let Ok(number) = message.get_payload::<u64>() {
            room.call(number);
        }
    }
}

/// Returns when the other side has not answered within `limit`.
async fn silent(sink: &mut PubSubSink, room: &WaitingRoom, limit: Duration) {
    loop {
        tokio::time::sleep(ASK_EVERY).await;
        room.occupied().await;
        let answer = tokio::time::timeout(limit, sink.ping::<Value>()).await;
        // One that may not ask hears all the same.
        if answer.is_err() {
            return;
        }
    }
}

/// Returns when the sentinels, where there are some, name another master.
async fn replaced(options: &Options, favourite: &Favourite, master: Option<Master>) {
    match (&options.address, master) {
        (Address::Sentinel(of), Some(master)) => {
            sentinel::replaced(of, options.timeout, favourite, &master).await;
            // The link looks as often: who is called when this listens at the new master
            // is to ask there, and not at the old one once more.
            tokio::time::sleep(sentinel::LOOK_EVERY).await;
        }
        _ => std::future::pending().await,
    }
}

/// None where that fails: the link says why.
async fn subscribe(
    options: &Options,
    favourite: &Favourite,
    channel: &str,
) -> Option<(PubSub, Option<Master>)> {
    let (stream, master) = dial::reach(options, favourite).await.ok()?;
    let mut info = RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Some(username) = &options.username {
        info = info.set_username(username);
    }
    if let Some(password) = &options.password {
        info = info.set_password(password);
    }
    let mut subscription = PubSub::new(&info, stream).await.ok()?;
    subscription.subscribe(channel).await.ok()?;
    Some((subscription, master))
}
