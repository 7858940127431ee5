//! Which boot of the kernel this is, and the cluster's clock in the file.
//!
//! Cluster time is `CLOCK_BOOTTIME` plus one offset, which the first process of a
//! boot takes from the wall clock and writes into the file. The processes that
//! follow go by the file, so that a stepped wall clock lapses nothing. The clock
//! never reads less than the file has seen, also across a reboot with a wrong
//! wall clock.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::fault::Fault;
use crate::claim::Fence;
use crate::clock::{BootInstant, ClusterTime, Offset};

/// A boot of the kernel, and the wall clock's offset in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// What the wall clock reads when the boot clock reads zero.
    pub wall: Offset,
}

impl Kernel {
    /// The one this process runs on.
    pub(super) fn read() -> Result<Self, Fault> {
        const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
        let boot_id = std::fs::read_to_string(BOOT_ID).map_err(|error| {
            Fault::Unusable(format!(
                "{BOOT_ID} cannot be read, so a reboot could not be told: {error}; mount /proc, \
                 or use redis://"
            ))
        })?;
        Ok(Self { boot_id: boot_id.trim().to_owned(), wall: Offset::of_wall_clock() })
    }
}

/// The one row of the table `clock`.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    boot_id: String,
    offset: Offset,
    last_time: ClusterTime,
    pub(super) last_fence: Fence,
}

impl Clock {
    /// The clock in the file, if one was written yet.
    fn find(db: &Connection) -> rusqlite::Result<Option<Self>> {
        db.prepare_cached("SELECT boot_id, offset, last_time, last_fence FROM clock")?
            .query_row([], |row| {
                Ok(Self {
                    boot_id: row.get(0)?,
                    offset: Offset::from_micros(row.get(1)?),
                    last_time: ClusterTime::from_unix_micros(row.get(2)?),
                    last_fence: Fence::new(row.get::<_, i64>(3)?.max(0) as u64),
                })
            })
            .optional()
    }

    /// The clock as this boot of the kernel has set it.
    pub(super) fn read(db: &Connection, boot_id: &str) -> Result<Self, Fault> {
        match Self::find(db)? {
            Some(clock) if clock.boot_id == boot_id => Ok(clock),
            Some(_) => Err(taken_over()),
            None => Err(Fault::Unusable("the file has lost its clock".to_owned())),
        }
    }

    /// The cluster's time now.
    pub(super) fn now(&self) -> ClusterTime {
        self.offset.cluster_time(BootInstant::now()).max(self.last_time)
    }

    /// Keeps that the clock has read `now` and that `last_fence` was given out.
    pub(super) fn keep(
        db: &Connection,
        now: ClusterTime,
        last_fence: Fence,
    ) -> rusqlite::Result<()> {
        db.prepare_cached("UPDATE clock SET last_time = ?1, last_fence = ?2")?
            .execute(params![now.unix_micros(), last_fence.get() as i64])?;
        Ok(())
    }

    /// How far the cluster's clock is ahead of the wall clock, in microseconds.
    pub(super) fn ahead_of(&self, kernel: &Kernel) -> i64 {
        let boot = BootInstant::now();
        self.now().unix_micros() - kernel.wall.cluster_time(boot).unix_micros()
    }
}

fn taken_over() -> Fault {
    Fault::Unusable(
        "the file was taken over by another boot of a kernel while this process used it: two \
         machines or virtual machines share it, though their clocks and locks do not agree, or \
         it was replaced by an older copy; give each machine its own file, or use redis://, and \
         start this node again"
            .to_owned(),
    )
}

/// Whether this process opens the file for the first time or again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// For the first time: a clock of another boot is one of the past.
    First,
    /// Again: no reboot has come in between, so a clock of another boot is one of
    /// another kernel, alive at the same time.
    Again,
}

/// Whether [`settle_boot`] would write.
pub(super) fn boot_is_settled(db: &Connection, kernel: &Kernel) -> rusqlite::Result<bool> {
    Ok(Clock::find(db)?.is_some_and(|clock| clock.boot_id == kernel.boot_id))
}

/// Sets the clock for this boot, if no process has yet; in a write transaction.
/// The leases of an older boot have lapsed: their holders ended with it.
pub(super) fn settle_boot(db: &Connection, kernel: &Kernel, arrival: Arrival) -> Result<(), Fault> {
    let found = Clock::find(db)?;
    match &found {
        Some(clock) if clock.boot_id == kernel.boot_id => return Ok(()),
        Some(_) if arrival == Arrival::Again => return Err(taken_over()),
        Some(_) | None => {}
    }
    let boot = BootInstant::now();
    let by_wall = kernel.wall.cluster_time(boot);
    let last = found.as_ref().map(|clock| clock.last_time).unwrap_or(by_wall);
    let now = by_wall.max(last);
    let offset = kernel.wall.micros() + (now.unix_micros() - by_wall.unix_micros());
    db.execute(
        "INSERT INTO clock (one, boot_id, offset, last_time, last_fence) VALUES (1, ?1, ?2, ?3, 0)
         ON CONFLICT (one) DO UPDATE SET boot_id = ?1, offset = ?2, last_time = ?3",
        params![kernel.boot_id, offset, now.unix_micros()],
    )?;
    db.execute(
        "UPDATE slots SET lapses_at = ?1 WHERE state = 'running' AND lapses_at > ?1",
        params![now.unix_micros()],
    )?;
    Ok(())
}
