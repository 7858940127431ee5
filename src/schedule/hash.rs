//! `H`: a value that is drawn from the job's name, so that the jobs of a table
//! spread over the hour without anybody choosing minutes.
//!
//! The draw is SHA-256 of the bytes `JOB`, 0x00, `FIELD`, where the field is
//! `second`, `minute`, `hour`, `day-of-month`, `month`, `day-of-week` or `year`.
//! Its first 8 bytes are read as a big-endian number; that number modulo how
//! many values there are to draw from, added to the first of them, is the value.
//! A name cannot hold a zero byte, so no two pairs hash the same bytes.
//!
//! The draw never changes between releases: every node of a cluster must find
//! the same slots also while a new release is rolled out.

use sha2::{Digest, Sha256};

use super::field::Field;
use crate::name::JobName;

/// The value that `job` draws for `field` out of the `size` values from `first` on.
pub(super) fn draw(job: &JobName, field: Field, first: u32, size: u32) -> u32 {
    let mut hash = Sha256::new();
    hash.update(job.as_str());
    hash.update([0]);
    hash.update(field.name());
    let digest = hash.finalize();
    let mut head = [0; 8];
    head.copy_from_slice(&digest[..8]);
    // Less than `size`, hence within u32.
    first + (u64::from_be_bytes(head) % u64::from(size)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [Field; 7] = [
        Field::Second,
        Field::Minute,
        Field::Hour,
        Field::DayOfMonth,
        Field::Month,
        Field::DayOfWeek,
        Field::Year,
    ];

    fn draws(job: &str) -> Vec<u32> {
        let job = JobName::new(job).unwrap();
        let bare = |field: &Field| {
            let from = field.drawn_from();
            draw(&job, *field, *from.start(), from.count() as u32)
        };
        FIELDS.iter().map(bare).collect()
    }

    #[test]
    fn the_hash_never_changes_between_releases() {
        // second, minute, hour, day-of-month, month, day-of-week, year
        assert_eq!(draws("nightly-backup"), [57, 49, 5, 23, 12, 2, 2133]);
        assert_eq!(draws("a"), [11, 57, 22, 5, 3, 3, 2005]);
        assert_eq!(draws("web.report_2"), [5, 11, 0, 21, 1, 3, 2050]);
    }

    #[test]
    fn the_draws_of_many_jobs_spread_over_all_values() {
        let mut seen = [0u32; 60];
        for n in 0..6_000 {
            let job = JobName::new(&format!("job-{n}")).unwrap();
            seen[draw(&job, Field::Minute, 0, 60) as usize] += 1;
        }
        assert!(seen.iter().all(|n| (60..=140).contains(n)), "{seen:?}");
    }
}
