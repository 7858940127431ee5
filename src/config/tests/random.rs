//! Whatever is in a file, loading it ends with a config or with diagnostics.

use proptest::prelude::*;

use super::*;

fn assert_sane(text: &str) -> Result<(), TestCaseError> {
    let found = match read(text) {
        Ok(loaded) => loaded.warnings,
        Err(errors) => {
            prop_assert!(errors.errors() > 0);
            errors
        }
    };
    for found in &found {
        prop_assert!(found.place.line >= 1 && found.place.column >= 1);
        let shown = found.render(Paint::Plain).to_string();
        let first = shown.lines().next().unwrap_or_default();
        let place = format!("{}: {}: {}", found.place, found.severity, found.message);
        prop_assert_eq!(first, place, "the first line is all of the message");
        prop_assert!(!shown.contains(char::from(0x1b)));
    }
    Ok(())
}

/// Words that meet in configs, in any order.
fn scraps() -> impl Strategy<Value = String> {
    let scrap = prop::sample::select(vec![
        "[jobs.a]",
        "[jobs.b]",
        "[cluster]",
        "[cluster.redis]",
        "[defaults]",
        "[log]",
        "[[jobs]]",
        "[",
        "]",
        "{",
        "}",
        "\n",
        "\n",
        "\n",
        " = ",
        " = ",
        ",",
        ".",
        "'",
        "\"",
        "'''",
        "\"\"\"",
        "#",
        "\\",
        "schedule",
        "shell",
        "command",
        "timeout",
        "env",
        "store",
        "password",
        "lease_ttl",
        "kill_grace",
        "retry",
        "[jobs.a.retry]",
        "jitter",
        "nodes",
        "overlap",
        "catch_up",
        "{ attempts = 2, max = '1s' }",
        "'@daily'",
        "'* * * * *'",
        "'H H * * *'",
        "'30s'",
        "'redis://u:p@h/0'",
        "'${HOME}'",
        "'${file:/x}'",
        "30",
        "true",
        "1e9",
        "1979-05-27",
        "[]",
        "['a', 'b']",
        "{ a = 1 }",
        "é",
        "日",
        "\u{1b}",
        "\r\n",
        "\t",
    ]);
    prop::collection::vec(scrap, 0..40).prop_map(|scraps| scraps.concat())
}

/// A value of any type.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<bool>().prop_map(|switch| switch.to_string()),
        "[a-z0-9 */@:$%{}é.-]{0,12}".prop_map(|text| format!("'{text}'")),
        Just("1979-05-27T07:32:00Z".to_owned()),
        Just("-inf".to_owned()),
        Just("\"a\\u0000\\u001b\"".to_owned()),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::btree_map("[a-z]{1,3}", inner, 0..3).prop_map(|table| {
                let pairs: Vec<_> =
                    table.iter().map(|(key, value)| format!("{key} = {value}")).collect();
                format!("{{ {} }}", pairs.join(", "))
            }),
        ]
    })
}

/// Every section with any of its keys, each with any value.
fn document() -> impl Strategy<Value = String> {
    use super::catalogue::{CLUSTER, HISTORY, JOB, LOG, REDIS, RETRY};
    let sections: Vec<(&str, Vec<&str>)> = [
        ("cluster", &CLUSTER),
        ("cluster.history", &HISTORY),
        ("cluster.redis", &REDIS),
        ("log", &LOG),
        ("defaults", &JOB),
        ("jobs.a", &JOB),
        ("jobs.b", &JOB),
        ("jobs.b.retry", &RETRY),
    ]
    .into_iter()
    .map(|(title, section)| {
        let keys = section.keys.iter().map(|key| key.name);
        (title, keys.filter(|key| !["history", "redis"].contains(key)).collect())
    })
    .collect();
    let tables: Vec<_> = sections
        .into_iter()
        .map(|(title, keys)| {
            prop::collection::btree_map(prop::sample::select(keys), value(), 0..4).prop_map(
                move |table| {
                    let lines: String =
                        table.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
                    format!("[{title}]\n{lines}")
                },
            )
        })
        .collect();
    tables.prop_map(|tables| tables.concat())
}

proptest! {
    #[test]
    fn any_text_is_a_config_or_is_explained(text in "\\PC*|(\\PC|\n)*") {
        assert_sane(&text)?;
    }

    #[test]
    fn scraps_of_configs_are_configs_or_are_explained(text in scraps()) {
        assert_sane(&text)?;
    }

    #[test]
    fn any_value_of_any_key_is_taken_or_is_explained(text in document()) {
        assert_sane(&text)?;
    }

    #[test]
    fn any_address_is_a_store_or_is_explained(address in "(redis|sqlite|redis\\+unix)?:?/{0,3}[a-z0-9:@/?=&%,é\\[\\].~-]{0,30}") {
        assert_sane(&format!("[cluster]\nstore = '{address}'"))?;
    }
}
