//! solocron: a cron daemon that runs as several equal replicas.
//!
//! The modules stand in the order in which a slot travels:
//!
//! ```text
//! config → table → schedule → slot → ticker → claim → lease → run → outcome → ledger → what people see
//! ```
//!
//! `ARCHITECTURE.md` draws it, and says which lines must not be crossed.

pub mod name;
pub mod word;

pub mod clock;
pub mod node;

pub mod config;
pub mod table;

pub mod schedule;
pub mod slot;

pub mod policy;

pub mod ticker;

pub mod claim;

pub mod lease;

pub mod lock;

pub mod run;

pub mod outcome;

pub mod ledger;

pub mod control;

pub mod store;

pub mod daemon;

pub mod log;
pub mod service;

pub mod cli;
