//! The keys of a channel: `[notify.NAME]`.

use super::super::keys::{Key, Kind, Preset, Section};
use super::*;

/// `[notify.NAME]`
pub static NOTIFY: Section = Section {
    title: "[notify.NAME]",
    once: false,
    doc: "One way to tell somebody of a job's alerts: a webhook or a command. Jobs name it in `on_failure`, `on_recovery`, `on_missed` and `on_takeover`. `${VAR}` and `${file:/path}` are replaced in all texts but `ca`.",
    keys: &[
        Key::new(
            "webhook",
            Kind::Secret,
            "A URL that each alert is posted to, as JSON or as `body` says; any 2xx is success, and redirects are not followed. It is never shown. Exactly one of `webhook` and `command`.",
        )
        .also(&["url", "http", "slack", "webhook_url"]),
        Key::new(
            "command",
            Kind::Program,
            "A program and its arguments, as a list: it gets each alert as JSON, or as `body` says, on standard input, and `SOLOCRON_ALERT`, `SOLOCRON_JOB`, `SOLOCRON_MESSAGE` and others in its environment; exit code 0 is success. Exactly one of `webhook` and `command`.",
        )
        .also(&["cmd", "exec", "run", "program"]),
        Key::new(
            "secret",
            Kind::Secret,
            "Signs the webhook by the rules of Standard Webhooks: `webhook-signature` is `v1,` and the Base64 of the HMAC-SHA256 over `ID.TIMESTAMP.BODY`, with what `webhook-id` and `webhook-timestamp` say. A secret that begins with `whsec_` is Base64, any other is the key itself. It is never shown.",
        )
        .also(&["signing_secret", "hmac", "key", "token"]),
        Key::new(
            "headers",
            Kind::Headers,
            "Headers that the webhook is sent with: `{ Authorization = \"Bearer ${TOKEN}\" }`. Values are never shown.",
        )
        .also(&["header"]),
        Key::new(
            "body",
            Kind::Text,
            "What is sent in place of the JSON: a template in the language of Jinja with the fields of the JSON as variables, such as `{\"text\": {{ message | tojson }}}`. It is tried when the config is loaded.",
        )
        .also(&["template", "payload", "message", "format"]),
        Key::new(
            "timeout",
            Kind::Duration(ms(100), s(300), "an answer that takes longer does not come"),
            "How long one attempt may take.",
        )
        .preset(Preset::Duration(NOTIFY_TIMEOUT)),
        Key::new(
            "attempts",
            Kind::Integer(1, 100),
            "How many attempts an alert gets: the second follows after a second, each later one after twice the wait, up to five minutes.",
        )
        .preset(Preset::Integer(NOTIFY_ATTEMPTS as i64))
        .also(&["retries", "tries", "max_attempts", "retry"]),
        Key::new(
            "ca",
            Kind::Path,
            "A PEM file with the certificates to trust, for `https://`. Default: the public ones.",
        )
        .also(&["cacert", "ca_file", "ca_cert"]),
    ],
};
