//! A payment that is asked for many times and made once.
//!
//! ```sh
//! cargo run --example idempotent_payment               # on redis://127.0.0.1:6379/0
//! curl -X POST '127.0.0.1:8090/pay?order-id=4711&cents=1999'
//! ```
//!
//! 201 for the one that charges; 409 for a duplicate, at once: while the first is under
//! way because it has the lock, and later because the charge is on record. The lock alone
//! would not do: it lapses. The record alone would not do either: two that look at the
//! same time both find none.

use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use serde::Deserialize;
use solocron::lock::{LockError, Locks};

/// How long an order is locked if this process dies while it charges for it.
const TTL: Duration = Duration::from_secs(10);

#[derive(Clone)]
struct Till {
    locks: Locks,
    database: MultiplexedConnection,
}

#[derive(Deserialize)]
struct Order {
    #[serde(rename = "order-id")]
    id: String,
}

#[derive(Deserialize)]
struct Amount {
    cents: u64,
}

type Answer = (StatusCode, String);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let setting = |name: &str, usual: &str| std::env::var(name).unwrap_or_else(|_| usual.into());
    let store = setting("STORE", "redis://127.0.0.1:6379/0");
    let locks = Locks::open(&store)?;
    let database = redis::Client::open(&*store)?.get_multiplexed_async_connection().await?;
    let service = Router::new()
        .route("/pay", post(pay))
        .route("/charges", get(charges))
        .with_state(Till { locks, database });
    let listener = tokio::net::TcpListener::bind(setting("LISTEN", "127.0.0.1:8090")).await?;
    #[expect(clippy::print_stdout, reason = "an example talks to its user")]
    {
        println!("listening on http://{}", listener.local_addr()?);
    }
    axum::serve(listener, service).await?;
    Ok(())
}

async fn pay(
    State(mut till): State<Till>,
    Query(order): Query<Order>,
    Query(amount): Query<Amount>,
) -> Answer {
    let guard = match till.locks.lock(format!("payment/{}", order.id)).ttl(TTL).try_acquire().await
    {
        Ok(guard) => guard,
        Err(LockError::Contended { holder, .. }) => {
            return (StatusCode::CONFLICT, format!("in progress: {holder}\n"));
        }
        Err(error @ LockError::Invalid(_)) => {
            return (StatusCode::BAD_REQUEST, format!("{error}\n"));
        }
        Err(error) => return unavailable(&error),
    };
    let charged = charge(&mut till.database, &order.id, amount.cents, guard.fence().get()).await;
    // What comes of it changes nothing: the charge is on record.
    let _ = guard.release().await;
    match charged {
        Ok(true) => (StatusCode::CREATED, "charged\n".to_owned()),
        Ok(false) => (StatusCode::CONFLICT, "charged before\n".to_owned()),
        Err(error) => unavailable(&error),
    }
}

/// Charges for the order unless that was done before. The provider of payments is played
/// by a list, and takes its time.
async fn charge(
    database: &mut MultiplexedConnection,
    order: &str,
    cents: u64,
    fence: u64,
) -> redis::RedisResult<bool> {
    let record = format!("till:charged:{order}");
    if database.exists(&record).await? {
        return Ok(false);
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let () = database.rpush(format!("till:charges:{order}"), format!("{cents} {fence}")).await?;
    let () = database.set(&record, fence).await?;
    Ok(true)
}

/// How often the order was charged for.
async fn charges(State(mut till): State<Till>, Query(order): Query<Order>) -> Answer {
    match till.database.llen::<_, u64>(format!("till:charges:{}", order.id)).await {
        Ok(count) => (StatusCode::OK, format!("{count}\n")),
        Err(error) => unavailable(&error),
    }
}

fn unavailable(error: &dyn std::error::Error) -> Answer {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"))
}
