//! What tests start beside the program: real servers, and all that is real.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod redis_server;
