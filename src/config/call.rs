//! `http` of a job: from what the file says to a [`Call`].

use std::path::Path;

use hyper::Method;
use hyper::header::HeaderName;
use toml::de::DeTable;

use super::catalogue::CALL;
use super::diagnostics::Spot;
use super::expand::expand_for_runs;
use super::keys::Key;
use super::reader::Reader;
use super::value::{HeaderText, Quoted, Value};
use crate::request::{self, Address};
use crate::table::{Call, RunText, RunVariable};

/// Keys of a job that say how its processes run: a request has none.
const OF_PROCESSES: [&str; 7] =
    ["env", "user", "group", "cwd", "umask", "kill_grace", "success_codes"];

/// Reads `http`; none when something is wrong with it, which is reported.
pub(super) fn call(reader: &mut Reader<'_>, table: &DeTable<'_>, at: &Spot) -> Option<Call> {
    let mut method = Method::GET;
    let (mut url, mut headers, mut ca) = (None, Some(Vec::new()), None);
    let mut body = (Some(RunText::default()), None);
    let mut expect = Vec::new();
    for entry in reader.entries(&CALL, table) {
        let at = reader.spot(entry.span);
        match (entry.key.name, entry.value) {
            // It is one of the choices, and these are methods.
            ("method", Value::Text(word)) => method = word.parse().unwrap_or_default(),
            ("url", Value::RunText(text)) => url = reader.url(entry.key, &text),
            ("headers", Value::Headers(texts)) => headers = reader.run_headers(entry.key, texts),
            ("body", Value::RunText(text)) => body = (reader.run_text(entry.key, &text), Some(at)),
            ("expect", Value::Statuses(statuses)) => expect = statuses,
            ("ca", Value::Text(path)) => ca = Some((Box::from(Path::new(path)), at)),
            (name, _) => debug_assert!(false, "a request has no reader for {name}"),
        }
    }
    if !table.contains_key("url") {
        let finding = reader.report.error(at.clone(), "the request has no `url`");
        finding.absence = true;
        finding.help("write http = { url = \"https://…\" }");
    }
    let has_no_body = matches!(method, Method::GET | Method::HEAD);
    if let (_, Some(at)) = &body
        && has_no_body
    {
        let said = format!("`body`: a {method} has none");
        let finding = reader.report.error(at.clone(), said);
        finding.help("write method = \"POST\", or another that has one");
    }
    if let (Some((_, address)), Some((_, at))) = (&url, &ca)
        && !address.is_secure()
    {
        let said = "this is for TLS, and the request is without";
        reader.report.error(at.clone(), said).help("write https:// with an s");
    }
    Some(Call {
        method,
        url: url?.0,
        headers: headers?.into(),
        body: body.0?,
        expect: expect.into(),
        ca: ca.map(|(path, _)| path),
    })
}

/// Says which keys of a job with a request have no effect.
pub(super) fn check_keys(reader: &mut Reader<'_>, job: &DeTable<'_>) {
    for key in OF_PROCESSES {
        if let Some((name, _)) = job.get_key_value(key) {
            let at = reader.spot(name.span());
            let said = format!("`{key}` has no effect: the job is a request, and no program");
            let finding = reader.report.warning(at, said);
            if key == "success_codes" {
                finding.help("write the statuses that are a success: http = { expect = [200] }");
            }
        }
    }
}

/// What a run may be, to try a text on.
fn sample(variable: RunVariable) -> String {
    let sample = match variable {
        RunVariable::Slot => "2026-11-22T03:00:00Z",
        RunVariable::RunId => "0193f7a1-7b1c-7000-8000-0123456789ab",
        RunVariable::Attempt | RunVariable::Fence => "1",
        RunVariable::Cluster | RunVariable::Job | RunVariable::Node => "a",
    };
    sample.to_owned()
}

impl Reader<'_> {
    /// The text with places for what a run is.
    fn run_text(&mut self, key: &'static Key, text: &Quoted<'_>) -> Option<RunText> {
        match expand_for_runs(text.text, self.env) {
            Ok(expanded) => Some(expanded),
            Err(errors) => {
                for invalid in errors {
                    self.refuse(key, text.part(invalid.span.clone()), invalid);
                }
                None
            }
        }
    }

    fn url(&mut self, key: &'static Key, text: &Quoted<'_>) -> Option<(RunText, Address)> {
        let url = self.run_text(key, text)?;
        match Address::parse(&url.fill(sample)) {
            Ok(address) => Some((url, address)),
            Err(why) => {
                self.error(text.span(), format!("`url`: {why}"));
                None
            }
        }
    }

    fn run_headers(
        &mut self,
        key: &'static Key,
        texts: Vec<HeaderText<'_>>,
    ) -> Option<Vec<(HeaderName, RunText)>> {
        let count = texts.len();
        let mut headers = Vec::with_capacity(count);
        for HeaderText { name, value: text } in texts {
            let Some(value) = self.run_text(key, &text) else { continue };
            match request::header(name.as_str(), &value.fill(sample)) {
                Ok(_) => headers.push((name, value)),
                Err(why) => {
                    self.error(text.span(), format!("`headers`: {why}"));
                }
            }
        }
        (headers.len() == count).then_some(headers)
    }
}
