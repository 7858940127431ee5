//! solocron: a cron daemon that runs as several equal replicas.
//!
//! The modules stand in the order in which a slot travels:
//!
//! ```text
//! config → table → schedule → slot → ticker → claim → lease → run → outcome → ledger → what people see
//! ```
//!
//! `ARCHITECTURE.md` draws it, and says which lines must not be crossed.
//!
//! Without the default feature `daemon` there is the [lock library](lock) alone, on Redis.

#![cfg_attr(
    not(feature = "daemon"),
    allow(dead_code, unused_imports, reason = "slots are left out, and what they alone use")
)]

pub mod name;
#[cfg(feature = "daemon")]
pub mod word;

pub mod clock;
#[cfg(feature = "daemon")]
pub mod node;

#[cfg(feature = "daemon")]
pub mod config;
#[cfg(feature = "daemon")]
pub mod crontab;
#[cfg(feature = "daemon")]
pub mod table;

#[cfg(feature = "daemon")]
pub mod schedule;
#[cfg(feature = "daemon")]
pub mod slot;

#[cfg(feature = "daemon")]
pub mod policy;

#[cfg(feature = "daemon")]
pub mod ticker;

#[cfg(feature = "daemon")]
pub mod claim;

pub mod lease;

pub mod lock;

#[cfg(feature = "daemon")]
pub mod request;

#[cfg(feature = "daemon")]
pub mod trace;

#[cfg(feature = "daemon")]
pub mod run;

#[cfg(feature = "daemon")]
pub mod outcome;

#[cfg(feature = "daemon")]
pub mod ledger;

#[cfg(feature = "daemon")]
pub mod control;

pub mod address;
pub mod tls;

pub mod store;

#[cfg(feature = "daemon")]
pub mod alert;

#[cfg(feature = "daemon")]
pub mod daemon;

#[cfg(all(feature = "daemon", any(test, fuzzing)))]
pub mod fuzzing;
#[cfg(feature = "daemon")]
pub mod http;
#[cfg(feature = "daemon")]
pub mod log;
#[cfg(feature = "daemon")]
pub mod service;

#[cfg(feature = "daemon")]
pub mod cli;
