//! What runs in progress print, for who watches on another node.

use std::time::Duration;

use crate::claim::RunId;
use crate::store::Result;
use crate::store::redis::keys::Keys;
use crate::store::redis::link::Purpose;
use crate::store::redis::scripts::millis;
use crate::store::redis::server::Server;
use crate::store::redis::{reply, scripts};

pub(super) async fn watch(
    link: &impl Server,
    keys: &Keys,
    run: RunId,
    keep: Duration,
) -> Result<Option<String>> {
    let mut call = scripts::WATCH_OUTPUT.call(&[&keys.watched(), &keys.output(run)]);
    call.arg(run.to_string()).arg(millis(keep));
    reply::optional_text(link.ask(Purpose::Write, call).await?)
}

pub(super) async fn watched(link: &impl Server, keys: &Keys) -> Result<Vec<RunId>> {
    let call = scripts::WATCHED_OUTPUTS.call(&[&keys.watched()]);
    let runs = reply::list(link.ask(Purpose::Write, call).await?)?;
    let run = |run| reply::text(run)?.parse().map_err(|_| reply::corrupt("the id of a run"));
    runs.into_iter().map(run).collect()
}

pub(super) async fn show(
    link: &impl Server,
    keys: &Keys,
    run: RunId,
    output: &str,
    keep: Duration,
) -> Result<()> {
    let mut cmd = redis::cmd("SET");
    cmd.arg(keys.output(run)).arg(output).arg("PX").arg(millis(keep));
    link.ask(Purpose::Write, cmd).await.map(drop)
}
