//! The catalogue as a JSON Schema, which gives editors completion and help.

use serde_json::{Map, Value, json};

use super::catalogue::{CLUSTER_NAME, DEFAULTS, JOB, NOTIFY, ROOT};
use super::duration::Human;
use super::keys::{Key, Kind, Section};
use super::size;

/// The JSON Schema of a config, draft 2020-12.
///
/// It says what can be said of one key at a time; what else must hold, such as
/// the grammar of a schedule, only loading finds out.
pub fn schema() -> Value {
    let mut root = section(&ROOT);
    let all = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "solocron",
        "$defs": {
            "name": {
                "type": "string",
                "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$",
                "examples": [CLUSTER_NAME],
            },
            "duration": {
                "type": "string",
                "pattern": "^(?=[0-9])([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
                "examples": ["500ms", "30s", "1h30m", "7d"],
            },
            "size": {
                "type": "string",
                "pattern": "^[0-9]+(B|kB|KiB|MB|MiB|GB|GiB)$",
                "examples": ["512B", "16KiB", "1MiB"],
            },
            "job": job(),
        },
    });
    if let (Value::Object(root), Value::Object(all)) = (&mut root, all) {
        root.extend(all);
    }
    root
}

/// A job is a section of which two things are required.
fn job() -> Value {
    let mut job = section(&JOB);
    job["required"] = json!(["schedule"]);
    job["oneOf"] = json!([
        { "required": ["command"] },
        { "required": ["shell"] },
        { "required": ["http"] },
    ]);
    job["properties"]["http"]["required"] = json!(["url"]);
    job
}

/// A channel is a section with one of two things.
fn channel() -> Value {
    let mut channel = section(&NOTIFY);
    channel["oneOf"] = json!([{ "required": ["webhook"] }, { "required": ["command"] }]);
    channel
}

fn section(section: &'static Section) -> Value {
    let common = std::ptr::eq(section, &DEFAULTS);
    let keys = section.keys.iter().filter(|key| !common || key.common);
    let properties: Map<String, Value> =
        keys.map(|key| (key.name.to_owned(), property(key))).collect();
    json!({
        "type": "object",
        "description": section.doc,
        "properties": properties,
        "additionalProperties": false,
    })
}

fn property(key: &'static Key) -> Value {
    let mut property = kind(key.kind);
    property["description"] = match key.kind {
        Kind::Duration(least, most, why) => {
            format!("{} From {} to {}: {why}.", key.doc, Human(least), Human(most)).into()
        }
        Kind::Size(most, why) => format!("{} Up to {}: {why}.", key.doc, size::Human(most)).into(),
        _ => key.doc.into(),
    };
    if let Some(default) = key.default.json() {
        property["default"] = default;
    }
    property
}

fn kind(kind: Kind) -> Value {
    match kind {
        Kind::Table(table) => section(table),
        Kind::Named(table) => {
            let each = match std::ptr::eq(table, &JOB) {
                true => json!({ "$ref": "#/$defs/job" }),
                false => channel(),
            };
            json!({
                "type": "object",
                "propertyNames": { "$ref": "#/$defs/name" },
                "additionalProperties": each,
            })
        }
        Kind::Tables(table) => json!({ "type": "array", "items": section(table) }),
        Kind::Name => json!({ "$ref": "#/$defs/name" }),
        Kind::Duration(..) => json!({ "$ref": "#/$defs/duration" }),
        Kind::Size(..) => json!({ "$ref": "#/$defs/size" }),
        Kind::Integer(least, most) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Kind::Switch => json!({ "type": "boolean" }),
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::Store => json!({
            "type": ["string", "array"],
            "items": { "type": "string" },
            "examples": [
                "sqlite:solocron.db",
                "redis://127.0.0.1:6379/0",
                "${REDIS_URL}",
                ["redis://a", "redis://b", "redis://c"],
            ],
        }),
        Kind::Listen => json!({
            "type": "string",
            "examples": ["127.0.0.1:7878", "[::1]:7878", "0.0.0.0:7878"],
        }),
        Kind::Path => json!({ "type": "string", "pattern": "^/" }),
        Kind::Schedules => json!({
            "type": ["string", "array"],
            "items": { "type": "string" },
            "minItems": 1,
            "examples": ["0 3 * * *", "*/5 * * * *", "@daily", "@every 10s"],
        }),
        Kind::Zone => json!({ "type": "string", "examples": ["UTC", "Europe/Berlin"] }),
        Kind::Command | Kind::Program => json!({
            "type": "array",
            "items": { "type": "string" },
            "minItems": 1,
        }),
        Kind::Variables => json!({
            "type": "object",
            "additionalProperties": { "type": "string" },
            "propertyNames": { "not": { "pattern": "^SOLOCRON_" } },
        }),
        Kind::Headers => json!({
            "type": "object",
            "additionalProperties": { "type": "string" },
        }),
        Kind::Channels => json!({
            "type": "array",
            "items": { "$ref": "#/$defs/name" },
            "examples": [["ops"]],
        }),
        Kind::Umask => json!({ "type": "string", "pattern": "^(0o)?0*[0-7]{1,3}$" }),
        Kind::ExitCodes => json!({
            "type": "array",
            "items": { "type": "integer", "minimum": 0, "maximum": 255 },
            "minItems": 1,
        }),
        Kind::Tags => json!({ "type": "array", "items": { "$ref": "#/$defs/name" } }),
        Kind::Statuses => json!({
            "type": "array",
            "items": { "type": "integer", "minimum": 200, "maximum": 599 },
            "minItems": 1,
            "examples": [[200, 204]],
        }),
        Kind::Nodes => json!({
            "type": "array",
            "items": { "type": "string", "pattern": "^[A-Za-z0-9*?][A-Za-z0-9._*?-]*$" },
            "minItems": 1,
            "examples": [["web-*"]],
        }),
        Kind::Filter | Kind::Text | Kind::Secret | Kind::RunText | Kind::Shell | Kind::Account => {
            json!({ "type": "string" })
        }
    }
}
