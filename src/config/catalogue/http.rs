//! The keys of a request as a job: `http` in `[jobs.NAME]`.

use super::super::keys::{Key, Kind, Section};
use super::*;

/// `http` of a job
pub static CALL: Section = Section {
    title: "[jobs.NAME.http]",
    once: false,
    doc: "A request over HTTP in place of a program. `${VAR}` and `${file:/path}` are replaced in `url`, `headers` and `body`, and in each run `${SOLOCRON_SLOT}`, `${SOLOCRON_JOB}`, `${SOLOCRON_RUN_ID}`, `${SOLOCRON_ATTEMPT}`, `${SOLOCRON_FENCE}`, `${SOLOCRON_NODE}` and `${SOLOCRON_CLUSTER}`.",
    keys: &[
        Key::new("method", Kind::Choice(METHODS), "The method. Default: `GET`.").also(&["verb"]),
        Key::new(
            "url",
            Kind::RunText,
            "Where the request goes, `http://` or `https://`. What a run is stands in it percent-encoded. Redirects are not followed. It is never shown.",
        )
        .also(&["uri", "href", "address", "endpoint"]),
        Key::new(
            "headers",
            Kind::Headers,
            "Headers; values are never shown. `Idempotency-Key` is `JOB@SLOT/ATTEMPT` unless it is given; `Solocron-Slot`, `-Job`, `-Run-Id`, `-Attempt`, `-Fence`, `-Node` and `-Cluster` are always sent.",
        )
        .also(&["header"]),
        Key::new("body", Kind::RunText, "The body. Default: none. It is never shown.")
            .also(&["data", "payload", "json"]),
        Key::new("expect", Kind::Statuses, "The statuses that are a success. Default: any 2xx.")
            .also(&["status", "expected", "success", "success_codes"]),
        Key::new(
            "ca",
            Kind::Path,
            "A PEM file with the certificates to trust, for `https://`. Default: the public ones.",
        )
        .also(&["cacert", "ca_file", "ca_cert"]),
    ],
};
