//! Which bucket a job is in, and which hash slot of Redis a bucket is.

use crate::lock::LockName;
use crate::name::{ClusterName, JobName};

/// So many buckets there are, for ever: with another number every job would be looked
/// for where it is not.
///
/// Enough to give each of a few masters its share, and few enough that a batch of
/// claims is some calls of many items, and a look at all buckets costs nothing.
pub(super) const BUCKETS: u32 = 16;

/// So many hash slots a Redis Cluster has.
pub(super) const HASH_SLOTS: u16 = 16_384;

/// The bucket of a job: the CRC16 of its name, as Redis takes it of a key, modulo
/// [`BUCKETS`].
pub(super) fn bucket_of(job: &JobName) -> u32 {
    u32::from(crc16(job.as_str().as_bytes())) % BUCKETS
}

/// The bucket of a lock that stands alone, in the same way of its name; where that has a
/// part in braces, of that part, as Redis takes it: `{order/1}stock` and `{order/1}money`
/// are in one bucket and can be taken together.
pub(super) fn bucket_of_lock(name: &LockName) -> u32 {
    let name = name.as_str();
    let tag = name.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    let hashed = tag.map(|(tag, _)| tag).filter(|tag| !tag.is_empty()).unwrap_or(name);
    u32::from(crc16(hashed.as_bytes())) % BUCKETS
}

/// The hash slot of a bucket, from the tag that its keys carry.
pub(super) fn hash_slot(cluster: &ClusterName, bucket: u32) -> u16 {
    crc16(format!("{cluster}.{bucket}").as_bytes()) % HASH_SLOTS
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

/// The items of a batch by bucket, each with its place in the batch.
pub(super) fn by_bucket<T>(items: &[T], job: impl Fn(&T) -> &JobName) -> Vec<(u32, Vec<usize>)> {
    let mut places = vec![Vec::new(); BUCKETS as usize];
    for (place, item) in items.iter().enumerate() {
        places[bucket_of(job(item)) as usize].push(place);
    }
    (0..BUCKETS).zip(places).filter(|(_, places)| !places.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str) -> JobName {
        JobName::new(name).unwrap()
    }

    #[test]
    fn the_hash_is_the_one_of_redis() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        // CLUSTER KEYSLOT p:{p.0}:x
        assert_eq!(hash_slot(&ClusterName::new("p").unwrap(), 0), 2994);
    }

    /// Never to be changed: it is where stored data are.
    #[test]
    fn a_job_stays_in_its_bucket() {
        let buckets = ["backup", "a", "nightly-report", "tick-1"].map(|name| bucket_of(&job(name)));
        assert_eq!(buckets, [10, 7, 15, 1]);
    }

    #[test]
    fn a_lock_stays_in_its_bucket_and_those_with_the_same_tag_are_together() {
        let bucket = |name: &str| bucket_of_lock(&LockName::new(name).unwrap());
        assert_eq!(["backup", "a", "tick-1"].map(bucket), [10, 7, 1]);
        assert_eq!(["{backup}", "x{backup}y", "{backup}{a}"].map(bucket), [10; 3]);
        assert_eq!(bucket("{}a"), u32::from(crc16(b"{}a")) % BUCKETS);
        assert_eq!(bucket("{a"), u32::from(crc16(b"{a")) % BUCKETS);
    }

    #[test]
    fn jobs_fill_all_buckets() {
        let jobs: Vec<_> = (0..200).map(|n| job(&format!("job-{n}"))).collect();
        let parts = by_bucket(&jobs, |job| job);
        assert_eq!(parts.len(), BUCKETS as usize);
        assert!(parts.iter().all(|(_, places)| (5..=25).contains(&places.len())), "{parts:?}");
        let mut places: Vec<_> = parts.into_iter().flat_map(|(_, places)| places).collect();
        places.sort_unstable();
        assert_eq!(places, (0..200).collect::<Vec<_>>());
    }

    #[test]
    fn each_of_three_masters_has_some_of_the_buckets() {
        for name in ["default", "prod", "demo", "test", "cron-7", "p"] {
            let cluster = ClusterName::new(name).unwrap();
            let mut of_master = [0; 3];
            for bucket in 0..BUCKETS {
                of_master
                    [usize::from(hash_slot(&cluster, bucket)) * 3 / usize::from(HASH_SLOTS)] += 1;
            }
            assert!(
                of_master.iter().all(|&count| (2..=9).contains(&count)),
                "{name}: {of_master:?}"
            );
        }
    }
}
