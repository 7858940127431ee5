//! `[notify.NAME]`: from what the files say to [`Channel`]s, and the lists of jobs that
//! name them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{CONTENT_TYPE, HeaderMap};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::catalogue::{self as preset, NOTIFY};
use super::diagnostics::{Report, Spot};
use super::excerpt::cited;
use super::keys::Key;
use super::reader::Reader;
use super::value::{HeaderText, Quoted, Value};
use crate::alert::{Alerts, Body, Channel, Channels, Means, SigningKey, Webhook, Words};
use crate::name;
use crate::request::{self, Address};

/// What one table says.
#[derive(Default)]
struct Settings<'v> {
    webhook: Option<(Option<Address>, Spot)>,
    command: Option<(Option<Words>, Spot)>,
    secret: Option<(Option<SigningKey>, Spot)>,
    headers: Option<(HeaderMap, Spot)>,
    body: Option<(Quoted<'v>, Option<Body>)>,
    timeout: Option<Duration>,
    attempts: Option<u32>,
    ca: Option<(PathBuf, Spot)>,
}

/// The channels of all files.
#[derive(Default)]
pub(crate) struct Directory {
    /// Each by its name; none where something is wrong with it, which is reported.
    known: BTreeMap<Box<str>, (Option<Arc<Channel>>, Spot)>,
    used: BTreeSet<Box<str>>,
}

impl Directory {
    /// Reads `[notify]` of one source.
    pub(crate) fn read<'v>(&mut self, reader: &mut Reader<'_>, table: &'v DeTable<'v>) {
        for (name, value) in table {
            let at = reader.spot(name.span());
            let shown = cited(name.get_ref());
            if let Some((_, before)) = self.known.get(name.get_ref().as_ref()) {
                let before = before.clone();
                reader
                    .report
                    .error(at, format!("the channel `{shown}` is declared twice"))
                    .help("rename one of the two, or remove it")
                    .related("first declared at", before);
                continue;
            }
            let channel = channel(reader, name, value).map(Arc::new);
            self.known.insert(name.get_ref().as_ref().into(), (channel, at));
        }
    }

    /// Says which channels nobody uses.
    pub(crate) fn check(&self, report: &mut Report) {
        for (name, (_, at)) in &self.known {
            if !self.used.contains(name) {
                report
                    .warning(at.clone(), format!("no job names the channel `{name}`"))
                    .help(format!("write on_failure = [\"{name}\"] in a job or in [defaults]"));
            }
        }
    }

    /// The channels that a list names.
    fn find(&mut self, report: &mut Report, key: &str, names: &[(Box<str>, Spot)]) -> Channels {
        let mut found: Vec<Arc<Channel>> = Vec::with_capacity(names.len());
        for (name, at) in names {
            match self.known.get(name) {
                Some((channel, _)) => {
                    self.used.insert(name.clone());
                    found.extend(channel.clone());
                }
                None => {
                    let message = format!("`{key}`: there is no channel [notify.{}]", cited(name));
                    let help = self.meant(name);
                    report.error(at.clone(), message).help(help);
                }
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found.dedup_by(|b, a| a.name == b.name);
        found.into()
    }

    fn meant(&self, name: &str) -> String {
        let likeness = |known: &str| strsim::damerau_levenshtein(name, known);
        let nearest = self.known.keys().min_by_key(|known| likeness(known));
        match nearest {
            Some(known) if likeness(known) <= (known.len() / 3).clamp(1, 3) => {
                format!("did you mean \"{known}\"?")
            }
            Some(_) => {
                let known: Vec<_> = self.known.keys().map(|known| &**known).collect();
                format!("the channels are {}", known.join(", "))
            }
            None => "a channel is a table [notify.NAME] with a `webhook` or a `command`".to_owned(),
        }
    }
}

/// The channel of this name; none when something is wrong with it, which is reported.
fn channel<'v>(
    reader: &mut Reader<'_>,
    name: &Spanned<std::borrow::Cow<'_, str>>,
    value: &'v Spanned<DeValue<'v>>,
) -> Option<Channel> {
    let shown = cited(name.get_ref());
    let named = name::check(name.get_ref());
    if let Err(error) = &named {
        reader.error(name.span(), format!("a channel cannot be called \"{shown}\": {error}"));
    }
    let DeValue::Table(table) = value.get_ref() else {
        // It may be the webhook itself.
        reader.hide(value);
        reader
            .error(value.span(), format!("the channel `{shown}` is not a table"))
            .help("write [notify.NAME] and its keys below: webhook = \"https://…\"");
        return None;
    };
    reader.job.clear();
    reader.job.push_str(name.get_ref());
    let mut own = Settings::default();
    for entry in reader.entries(&NOTIFY, table) {
        let at = reader.spot(entry.span);
        own.set(reader, entry.key, entry.value, at);
    }
    let Settings { webhook, command, secret, headers, body, timeout, attempts, ca } = own;
    let given = |key: &str| table.contains_key(key);
    let means = match (webhook, command) {
        (Some((_, first)), Some((_, second))) => {
            let (first, second) = if first.span.start < second.span.start {
                (first, second)
            } else {
                (second, first)
            };
            reader
                .report
                .error(second, format!("the channel `{shown}` has a `webhook` and a `command`"))
                .help("a channel has exactly one of the two")
                .related("the other one is at", first);
            None
        }
        (None, None) => {
            if !given("webhook") && !given("command") {
                let finding =
                    reader.error(name.span(), format!("the channel `{shown}` tells nobody"));
                finding.absence = true;
                finding.help("give it a `webhook` (a URL) or a `command` (a list of words)");
            }
            None
        }
        (Some((address, _)), None) => {
            if let (Some(address), Some((_, at))) = (&address, &ca)
                && !address.is_secure()
            {
                let message = "this is for TLS, and the webhook is without";
                reader.report.error(at.clone(), message).help("write https:// with an s");
            }
            address.map(|address| {
                Means::Webhook(Webhook {
                    address,
                    headers: headers.clone().map(|(headers, _)| headers).unwrap_or_default(),
                    key: secret.and_then(|(key, _)| key),
                    ca: ca.map(|(path, _)| path),
                })
            })
        }
        (None, Some((words, _))) => {
            let of_webhooks = [
                ("secret", secret.map(|(_, at)| at)),
                ("headers", headers.clone().map(|(_, at)| at)),
                ("ca", ca.map(|(_, at)| at)),
            ];
            for (key, at) in of_webhooks {
                if let Some(at) = at {
                    let message = format!("`{key}` goes with a `webhook`, and this is a `command`");
                    reader.report.error(at, message).help("remove it");
                }
            }
            words.map(Means::Command)
        }
    };
    let sends_json = matches!(means, Some(Means::Webhook(_)))
        && headers.is_none_or(|(headers, _)| is_json(&headers));
    if let Some((text, Some(body))) = &body
        && sends_json
        && !body.is_json()
    {
        reader
            .error(text.span(), "`body`: what comes of this template is not JSON")
            .help("write a text as {{ message | tojson }}, which adds the quotes")
            .help("or say what it is: headers = { Content-Type = \"text/plain\" }");
    }
    named.ok()?;
    Some(Channel {
        name: name.get_ref().as_ref().into(),
        means: means?,
        body: body.and_then(|(_, body)| body),
        timeout: timeout.unwrap_or(preset::NOTIFY_TIMEOUT),
        attempts: attempts.unwrap_or(preset::NOTIFY_ATTEMPTS),
    })
}

/// Whether what is sent with `headers` is to be JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let is_json = |kind: &str| kind.contains("json");
    headers.get(CONTENT_TYPE).is_none_or(|kind| kind.to_str().is_ok_and(is_json))
}

impl<'v> Settings<'v> {
    fn set(&mut self, reader: &mut Reader<'_>, key: &'static Key, value: Value<'v>, at: Spot) {
        match (key.name, value) {
            ("webhook", Value::Expanded(text, url)) => {
                let address = Address::parse(&url.text);
                let address = address.map_err(|why| refuse(reader, key, &text, why)).ok();
                self.webhook = Some((address, at));
            }
            ("command", Value::Program(words)) => {
                self.command = Some((reader.program(key, words), at));
            }
            ("secret", Value::Expanded(text, secret)) => {
                let secret = SigningKey::new(&secret.text);
                self.secret =
                    Some((secret.map_err(|why| refuse(reader, key, &text, why)).ok(), at));
            }
            ("headers", Value::Headers(texts)) => {
                self.headers = Some((reader.headers_as_they_are(key, texts), at));
            }
            ("body", Value::Expanded(text, template)) => {
                let body = Body::new(&template.text).map_err(|bad| {
                    let at = bad.at.filter(|_| !template.changed);
                    let at = at.map_or_else(|| text.span(), |at| text.part(at));
                    reader.error(at, format!("`body`: {}", bad.why)).help(
                        "it is a template of Jinja, and its variables are the fields of the JSON",
                    );
                });
                self.body = Some((text, body.ok()));
            }
            ("timeout", Value::Duration(value)) => self.timeout = Some(value),
            ("attempts", Value::Integer(most)) => self.attempts = u32::try_from(most).ok(),
            ("ca", Value::Text(path)) => self.ca = Some((path.into(), at)),
            (name, _) => debug_assert!(false, "a channel has no reader for {name}"),
        }
    }
}

fn refuse(reader: &mut Reader<'_>, key: &Key, text: &Quoted<'_>, why: &str) {
    reader.error(text.span(), format!("`{}`: {why}", key.name));
}

impl Reader<'_> {
    /// The words of a program, expanded; none when something is wrong with one.
    fn program(&mut self, key: &'static Key, words: Vec<Quoted<'_>>) -> Option<Words> {
        let mut expanded = Vec::with_capacity(words.len());
        let count = words.len();
        for word in words {
            if let Some(Value::Expanded(_, word)) = self.expandable(key, word) {
                expanded.push(word.text.into_boxed_str());
            }
        }
        (expanded.len() == count).then(|| Words(expanded.into()))
    }

    /// Headers, expanded.
    fn headers_as_they_are(&mut self, key: &'static Key, texts: Vec<HeaderText<'_>>) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(texts.len());
        for HeaderText { name, value } in texts {
            let Some(Value::Expanded(text, value)) = self.expandable(key, value) else { continue };
            match request::header(name.as_str(), &value.text) {
                Ok((name, value)) => {
                    headers.append(name, value);
                }
                Err(why) => refuse(self, key, &text, why),
            }
        }
        headers
    }
}

/// Whom a job or `[defaults]` wants told, before defaults.
#[derive(Default)]
pub(super) struct Wishes {
    lists: BTreeMap<&'static str, Vec<(Box<str>, Spot)>>,
    expect_every: Option<(Duration, Spot)>,
}

/// The keys that name channels.
const LISTS: [&str; 4] = ["on_failure", "on_recovery", "on_missed", "on_takeover"];

impl Wishes {
    /// Whether `key` is one of these.
    pub(super) fn has(key: &str) -> bool {
        LISTS.contains(&key) || key == "expect_every"
    }

    pub(super) fn set(&mut self, reader: &Reader<'_>, key: &str, value: Value<'_>, at: Spot) {
        match value {
            Value::Duration(value) => self.expect_every = Some((value, at)),
            Value::Channels(names) => {
                let names = names.iter().map(|name| (name.text.into(), reader.spot(name.span())));
                if let Some(key) = LISTS.into_iter().find(|list| *list == key) {
                    self.lists.insert(key, names.collect());
                }
            }
            _ => debug_assert!(false, "alerts have no reader for {key}"),
        }
    }

    /// What comes of it, over what `common` says.
    pub(super) fn over(
        self,
        common: &Arc<Alerts>,
        directory: &mut Directory,
        report: &mut Report,
    ) -> Arc<Alerts> {
        if self.lists.is_empty() && self.expect_every.is_none() {
            return common.clone();
        }
        let mut list = |key: &str, common: &Channels| match self.lists.get(key) {
            Some(names) => directory.find(report, key, names),
            None => common.clone(),
        };
        let [failure, recovery, missed, takeover] = LISTS;
        Arc::new(Alerts {
            on_failure: list(failure, &common.on_failure),
            on_recovery: list(recovery, &common.on_recovery),
            on_missed: list(missed, &common.on_missed),
            on_takeover: list(takeover, &common.on_takeover),
            expect_every: self.expect_every.map(|(every, _)| every).or(common.expect_every),
        })
    }

    /// Where a job wants to be expected, although nobody would be told.
    pub(super) fn expects_in_vain(&self, common: &Alerts) -> Option<Spot> {
        let (_, at) = self.expect_every.as_ref()?;
        let names = |key: &str, common: &Channels| match self.lists.get(key) {
            Some(names) => !names.is_empty(),
            None => !common.is_empty(),
        };
        let told = names("on_failure", &common.on_failure) || names("on_missed", &common.on_missed);
        (!told).then(|| at.clone())
    }
}
