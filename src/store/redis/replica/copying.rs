//! How a server becomes a member of its quorum, and is copied to when it came back empty.

use async_trait::async_trait;
use redis::Value;
use uuid::Uuid;

use super::RedisReplica;
use super::acceptor::Parts;
use crate::clock::ClusterTime;
use crate::store::Result;
use crate::store::quorum::slots::{Ballot, Candidate, Copied, Membership, Page, Position, Stage};
use crate::store::redis::link::Purpose;
use crate::store::redis::reply;
use crate::store::redis::scripts;
use crate::store::redis::server::Server;

/// So many keys are looked at in one round trip.
const SCANNED: usize = 200;

impl RedisReplica {
    /// Asks what the server is, after it did what `words` say.
    async fn after(&self, words: &[&str]) -> Result<Membership> {
        let mut call = self.call(&scripts::MEMBERSHIP, &[]);
        for word in words {
            call.arg(word);
        }
        read(self.answer(Purpose::Settle, call).await?)
    }

    /// Some names of keys of cells, and where to go on.
    async fn scan(&self, from: &str) -> Result<(String, Vec<String>)> {
        let own = [self.keys.key("state"), self.keys.key("journal")];
        let mut scan = redis::cmd("SCAN");
        scan.arg(from).arg("MATCH").arg(format!("{}*", escaped(&self.keys.key(""))));
        scan.arg("COUNT").arg(SCANNED);
        let mut parts = self.answer(Purpose::Read, scan).await?;
        let next = parts.text()?;
        let mut names = reply::texts(parts.next()?)?;
        names.retain(|name| !own.contains(name));
        Ok((next, names))
    }
}

#[async_trait]
impl Candidate for RedisReplica {
    async fn membership(&self) -> Result<Membership> {
        self.after(&["ask"]).await
    }

    async fn mark(&self, quorum: Uuid, process: u128) -> Result<Membership> {
        let (quorum, name) = (quorum.to_string(), Uuid::new_v4().to_string());
        self.after(&["mark", &quorum, &name, &run_id(process)]).await
    }

    async fn admit(&self, quorum: Uuid, process: u128) -> Result<Membership> {
        self.after(&["admit", &quorum.to_string(), &run_id(process)]).await
    }

    async fn begin_copy(&self, copier: Uuid, stale: Option<Position>) -> Result<bool> {
        let stale = stale.map_or_else(String::new, |position| position.to_string());
        let after = self.after(&["copy", &copier.to_string(), &stale]).await?;
        if after.copier != Some(copier) {
            return Ok(false);
        }
        let mut from = String::from("0");
        loop {
            let (next, names) = self.scan(&from).await?;
            if !names.is_empty()
                && !self.import(copier, names.into_iter().map(gone).collect()).await?
            {
                return Ok(false);
            }
            if next == "0" {
                return Ok(true);
            }
            from = next;
        }
    }

    async fn export(&self, from: Option<String>) -> Result<Page> {
        let (next, names) = self.scan(from.as_deref().unwrap_or("0")).await?;
        let mut commands = Vec::with_capacity(2 * names.len());
        for name in &names {
            for command in ["PTTL", "DUMP"] {
                let mut command = redis::cmd(command);
                command.arg(name);
                commands.push(command);
            }
        }
        let mut replies = self.link.send(Purpose::Read, commands).await?.into_iter();
        let mut keys = Vec::with_capacity(names.len());
        for name in names {
            let (Some(life), Some(content)) = (replies.next(), replies.next()) else {
                return Err(reply::corrupt("all answers"));
            };
            // One that has expired in between is none.
            if let Value::BulkString(content) = content? {
                // What is kept for ever is -1 here, and 0 there.
                let life = match reply::integer(life?)? {
                    life if life < 0 => 0,
                    life => life.max(1).unsigned_abs(),
                };
                keys.push(Copied { name, life, content });
            }
        }
        Ok(Page { keys, next: Some(next).filter(|next| next != "0") })
    }

    async fn import(&self, copier: Uuid, keys: Vec<Copied>) -> Result<bool> {
        let mut call = self.call(&scripts::IMPORT, &[]);
        call.arg(copier.to_string());
        for key in keys {
            call.arg(key.name).arg(key.life).arg(key.content);
        }
        Ok(reply::text(self.link.ask(Purpose::Settle, call).await?)? == "yes")
    }

    async fn end_copy(&self, copier: Uuid, position: Position, last: ClusterTime) -> Result<()> {
        let (copier, position) = (copier.to_string(), position.to_string());
        let last = last.unix_micros().to_string();
        self.after(&["copied", &copier, &position, &last]).await.map(drop)
    }

    async fn leave_copy(&self, copier: Uuid) -> Result<()> {
        self.after(&["leave", &copier.to_string()]).await.map(drop)
    }

    async fn join(
        &self,
        copier: Uuid,
        quorum: Uuid,
        ballot: Ballot,
        least: Position,
    ) -> Result<bool> {
        let (of, name) = (quorum.to_string(), Uuid::new_v4().to_string());
        let (ballot, least) = (ballot.to_string(), least.to_string());
        let words = ["join", &copier.to_string(), &of, &name, &ballot, &least];
        let after = self.after(&words).await?;
        Ok(after.stage == Stage::Member && after.quorum == Some(quorum))
    }
}

/// The id of a process, as the script has it.
fn run_id(process: u128) -> String {
    format!("{process:032x}")
}

/// A key that is to go.
fn gone(name: String) -> Copied {
    Copied { name, life: 0, content: Vec::new() }
}

/// A text in which nothing stands for something else in a pattern.
fn escaped(text: &str) -> String {
    let special = |c: char| matches!(c, '*' | '?' | '[' | ']' | '\\');
    text.chars().fold(String::new(), |mut text, c| {
        if special(c) {
            text.push('\\');
        }
        text.push(c);
        text
    })
}

pub(super) fn read(mut parts: Parts) -> Result<Membership> {
    let mut id = || -> Result<Option<Uuid>> {
        let text = parts.text()?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| reply::corrupt("an id"))
    };
    let (quorum, server) = (id()?, id()?);
    let stage = match parts.text()?.as_str() {
        "member" => Stage::Member,
        "marked" => Stage::Marked,
        "outside" => Stage::Outside,
        _ => return Err(reply::corrupt("what a server is in its quorum")),
    };
    let (position, begins) = (parts.position()?, parts.position()?);
    let copier = parts.text()?;
    let copier = (!copier.is_empty())
        .then(|| copier.parse().map_err(|_| reply::corrupt("an id")))
        .transpose()?;
    let process = parts.text()?;
    let process =
        u128::from_str_radix(&process, 16).map_err(|_| reply::corrupt("the id of a process"))?;
    Ok(Membership { quorum, server, stage, position, begins, copier, process })
}
