//! The keys as a page of Markdown, for whoever prints one.

use std::fmt::Write;

use super::catalogue::{
    CALL, CLUSTER, DEFAULTS, HISTORY, HTTP, HTTP_TLS, HTTP_TOKEN, JOB, LOG, NOTIFY, REDIS, RETRY,
};
use super::keys::Section;

/// Every key that works, by section, with its default and what it does.
pub fn documentation() -> String {
    let mut page = String::new();
    for section in [
        &CLUSTER,
        &HISTORY,
        &REDIS,
        &HTTP,
        &HTTP_TLS,
        &HTTP_TOKEN,
        &LOG,
        &JOB,
        &CALL,
        &RETRY,
        &NOTIFY,
    ] {
        add(&mut page, section);
    }
    // Writing to a string does not fail.
    let _ = writeln!(page, "## `{}`\n\n{}", DEFAULTS.title, DEFAULTS.doc);
    page
}

fn add(page: &mut String, section: &Section) {
    let _ = writeln!(page, "## `{}`\n\n{}\n", section.title, section.doc);
    let _ = writeln!(page, "| key | default | what it does |\n|---|---|---|");
    for key in section.keys {
        let default = match key.default.to_string() {
            text if text.is_empty() => String::new(),
            text => format!("`{text}`"),
        };
        let _ = writeln!(page, "| `{}` | {default} | {} |", key.name, key.doc.replace('|', "\\|"));
    }
    page.push('\n');
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_names_every_key_that_works_with_its_default() {
        let page = super::documentation();
        assert!(page.contains("| `lease_ttl` | `\"30s\"` | How long the lock"), "{page}");
        assert!(page.contains("| `success_codes` | `[0]` |"), "{page}");
        assert!(page.contains("| `schedule` |  | When it is due"), "{page}");
        assert!(page.contains("| `attempts` | `1` | How many runs"), "{page}");
        assert!(page.contains("| `webhook` |  | A URL"), "{page}");
    }
}
