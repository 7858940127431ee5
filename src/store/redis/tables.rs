//! Job tables, as the nodes publish them: `JOB:DIGEST JOB:DIGEST`, in order of name,
//! each digest in hexadecimal.

use std::time::Duration;

use crate::name::JobName;
use crate::store::Result;
use crate::store::redis::keys::Keys;
use crate::store::redis::link::Purpose;
use crate::store::redis::reply;
use crate::store::redis::scripts::millis;
use crate::store::redis::server::Server;

pub(super) async fn publish(
    link: &impl Server,
    keys: &Keys,
    digest: &str,
    jobs: &[(JobName, u64)],
    keep: Duration,
) -> Result<()> {
    let mut cmd = redis::cmd("SET");
    cmd.arg(keys.table(digest)).arg(written(jobs)).arg("PX").arg(millis(keep));
    link.ask(Purpose::Write, cmd).await.map(drop)
}

pub(super) async fn table(
    link: &impl Server,
    keys: &Keys,
    digest: &str,
) -> Result<Option<Vec<(JobName, u64)>>> {
    let mut cmd = redis::cmd("GET");
    cmd.arg(keys.table(digest));
    let text = reply::optional_text(link.ask(Purpose::Read, cmd).await?)?;
    text.map(|text| read(&text).ok_or_else(|| reply::corrupt("a job table"))).transpose()
}

pub(super) fn written(jobs: &[(JobName, u64)]) -> String {
    let mut jobs: Vec<_> = jobs.iter().collect();
    jobs.sort();
    let words: Vec<_> = jobs.iter().map(|(job, says)| format!("{job}:{says:x}")).collect();
    words.join(" ")
}

pub(super) fn read(text: &str) -> Option<Vec<(JobName, u64)>> {
    let job = |word: &str| {
        let (job, says) = word.split_once(':')?;
        Some((job.parse().ok()?, u64::from_str_radix(says, 16).ok()?))
    };
    text.split_whitespace().map(job).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_reads_back_in_order_of_name() {
        let job = |name, says| (JobName::new(name).unwrap(), says);
        let table = [job("b.-_", u64::MAX), job("a", 0)];
        assert_eq!(written(&table), "a:0 b.-_:ffffffffffffffff");
        assert_eq!(read(&written(&table)), Some(vec![table[1].clone(), table[0].clone()]));
        assert_eq!(read(&written(&[])), Some(Vec::new()));
        for bad in ["a", "a:x", "-:1"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
