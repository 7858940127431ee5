//! Several independent servers as one store: what a majority of them has is kept. Of locks
//! that stand alone in `locks`, of slots in `slots`.

pub mod locks;
mod report;
#[cfg(feature = "daemon")]
pub mod slots;

/// How many of `servers` are a majority.
const fn majority(servers: usize) -> usize {
    servers / 2 + 1
}
