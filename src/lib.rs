//! solocron: a cron daemon that runs as several equal replicas.
//!
//! The modules stand in the order in which a slot travels.

pub mod name;

pub mod clock;
pub mod node;

pub mod table;

pub mod slot;

pub mod claim;

pub mod run;

pub mod outcome;

pub mod ledger;

pub mod store;
