//! solocron: a cron daemon that runs as several equal replicas.
//!
//! The modules stand in the order in which a slot travels.

pub mod name;

pub mod clock;
pub mod config;
pub mod table;

pub mod schedule;
pub mod slot;
