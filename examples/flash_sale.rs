//! A flash sale: many buyers, few goods, several replicas of this service, and no more
//! sold than there was.
//!
//! ```sh
//! cargo run --example flash_sale                       # on redis://127.0.0.1:6379/0
//! curl -X PUT '127.0.0.1:8080/stock?product-id=42&count=100'
//! curl '127.0.0.1:8080/buy?product-id=42'              # 200, 409 sold out, 429 try again
//! ```
//!
//! More replicas: the same command with `LISTEN=127.0.0.1:8081`. With `LOCK=off` the sale
//! goes on without a lock, and oversells: `tests/shops` shows both.
//!
//! The stock is a number that is read, looked at and written back, as a service does
//! whose rules do not fit into one statement of its database.

use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, put};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use serde::Deserialize;
use solocron::lock::{LockError, Locks, Wait};

/// How long a buyer waits for a turn. Everybody is to have one, so nobody fails fast.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the product is locked if this process dies while it sells one.
const TTL: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Shop {
    /// None when the sale goes on without.
    locks: Option<Locks>,
    database: MultiplexedConnection,
}

#[derive(Deserialize)]
struct Product {
    #[serde(rename = "product-id")]
    id: String,
}

#[derive(Deserialize)]
struct Delivery {
    count: u64,
}

type Answer = (StatusCode, String);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let setting = |name: &str, usual: &str| std::env::var(name).unwrap_or_else(|_| usual.into());
    let store = setting("STORE", "redis://127.0.0.1:6379/0");
    let locks = match &*setting("LOCK", "on") {
        "off" => None,
        _ => Some(Locks::open(&store)?),
    };
    let database = redis::Client::open(&*store)?.get_multiplexed_async_connection().await?;
    let service = Router::new()
        .route("/buy", get(buy))
        .route("/stock", put(deliver).get(stock))
        .with_state(Shop { locks, database });
    let listener = tokio::net::TcpListener::bind(setting("LISTEN", "127.0.0.1:8080")).await?;
    // What follows a script may wait for.
    #[expect(clippy::print_stdout, reason = "an example talks to its user")]
    {
        println!("listening on http://{}", listener.local_addr()?);
    }
    axum::serve(listener, service).await?;
    Ok(())
}

/// The whole story of one purchase.
async fn buy(State(mut shop): State<Shop>, Query(product): Query<Product>) -> Answer {
    let guard = match &shop.locks {
        None => None,
        Some(locks) => {
            let request = locks.lock(format!("stock/{}", product.id)).ttl(TTL);
            match request.acquire(Wait::at_most(PATIENCE)).await {
                Ok(guard) => Some(guard),
                Err(LockError::Deadline { .. }) => {
                    return (StatusCode::TOO_MANY_REQUESTS, "too many buyers\n".to_owned());
                }
                Err(error @ LockError::Invalid(_)) => {
                    return (StatusCode::BAD_REQUEST, format!("{error}\n"));
                }
                Err(error) => return unavailable(&error),
            }
        }
    };
    let sold = sell(&mut shop.database, &product.id).await;
    if let Some(guard) = guard {
        // Two buyers may have had the same piece if it was lost before it was given back:
        // this one is not told that it has one.
        if let Err(error) = guard.release().await {
            return unavailable(&error);
        }
    }
    match sold {
        Ok(Some(left)) => (StatusCode::OK, format!("bought; {left} left\n")),
        Ok(None) => (StatusCode::CONFLICT, "sold out\n".to_owned()),
        Err(error) => unavailable(&error),
    }
}

/// Reads the stock, takes one away, writes it back. What is left; none when sold out.
async fn sell(database: &mut MultiplexedConnection, id: &str) -> redis::RedisResult<Option<u64>> {
    let key = stock_key(id);
    let stock: Option<u64> = database.get(&key).await?;
    let Some(left) = stock.unwrap_or(0).checked_sub(1) else { return Ok(None) };
    let () = database.set(&key, left).await?;
    Ok(Some(left))
}

/// Puts goods on sale.
async fn deliver(
    State(mut shop): State<Shop>,
    Query(product): Query<Product>,
    Query(delivery): Query<Delivery>,
) -> Answer {
    match shop.database.set::<_, _, ()>(stock_key(&product.id), delivery.count).await {
        Ok(()) => (StatusCode::OK, format!("{} on sale\n", delivery.count)),
        Err(error) => unavailable(&error),
    }
}

async fn stock(State(mut shop): State<Shop>, Query(product): Query<Product>) -> Answer {
    match shop.database.get::<_, Option<u64>>(stock_key(&product.id)).await {
        Ok(stock) => (StatusCode::OK, format!("{}\n", stock.unwrap_or(0))),
        Err(error) => unavailable(&error),
    }
}

fn stock_key(id: &str) -> String {
    format!("shop:stock:{id}")
}

fn unavailable(error: &dyn std::error::Error) -> Answer {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"))
}
