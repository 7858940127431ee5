//! `[http]`: what it says, and what it may not.

use super::*;
use crate::http::token::{Hash, Role};

const JOB: &str = "[jobs.a]\nschedule = '@daily'\nshell = 'x'\n";
const SECRET: &str = "0123456789abcdef";

fn http(text: &str) -> Option<HttpConfig> {
    let loaded = read(&format!("{text}\n{JOB}")).unwrap_or_else(|errors| panic!("{errors}"));
    loaded.config.http
}

#[test]
fn without_the_table_nothing_listens_and_with_it_this_machine_may_look() {
    assert_eq!(http(""), None);
    let config = http("[http]").unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:7878");
    assert_eq!((config.tls, config.behind_proxy, config.tokens), (None, false, vec![]));
    for (listen, address) in [
        ("localhost:80", "127.0.0.1:80"),
        ("[::1]:7878", "[::1]:7878"),
        ("127.0.0.1:0", "127.0.0.1:0"),
    ] {
        let config = http(&format!("[http]\nlisten = '{listen}'")).unwrap();
        assert_eq!(config.listen.to_string(), address);
    }
}

#[test]
fn tokens_have_a_name_a_role_and_a_secret_or_its_hash() {
    let hash = "sha256:9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f";
    let config = http(&format!(
        "[http]\nlisten = '0.0.0.0:7878'\nbehind_proxy = true\n\
         [[http.tokens]]\nname = 'ada'\nsecret = '{SECRET}'\n\
         [[http.tokens]]\nname = 'bob'\nrole = 'operator'\nhash = '{hash}'"
    ));
    let tokens = config.unwrap().tokens;
    let expected =
        |name: &str, role| TokenConfig { name: name.to_owned(), role, hash: Hash::of(SECRET) };
    assert_eq!(tokens, [expected("ada", Role::Viewer), expected("bob", Role::Operator)]);
}

#[test]
fn what_others_can_reach_needs_a_token_and_tls() {
    let token = format!("[[http.tokens]]\nname = 'ada'\nsecret = '{SECRET}'");
    let tls = "tls = { cert = '/c', key = '/k' }";
    for (text, mistakes) in [
        ("[http]\nlisten = '0.0.0.0:7878'".to_owned(), 2),
        ("[http]\nlisten = '[::]:7878'\nbehind_proxy = true".to_owned(), 1),
        (format!("[http]\nlisten = '10.0.0.5:80'\n{tls}"), 1),
        (format!("[http]\nlisten = '10.0.0.5:80'\n{token}"), 1),
        (format!("[http]\nlisten = '10.0.0.5:80'\n{tls}\n{token}"), 0),
        (format!("[http]\nlisten = '10.0.0.5:80'\nbehind_proxy = true\n{token}"), 0),
        ("[http]\nlisten = '127.0.0.7:80'".to_owned(), 0),
    ] {
        let read = read(&format!("{text}\n{JOB}"));
        assert_eq!(read.map_or_else(|errors| errors.errors(), |_| 0), mistakes, "{text}");
    }
}

#[test]
fn a_mistake_is_told_at_its_place() {
    for (text, said) in [
        ("[http]\nlisten = 'x'", "2:11: error: `listen`: this is not an address to listen on"),
        ("[http]\nport = 80", "2:1: error: unknown key `port` in [http]"),
        ("[http]\nlisten = 80", "2:10: error: `listen` is a text, and this is a number"),
        ("[http]\ntls = { cert = '/c' }", "2:16: error: `cert` goes with `key`, and there is none"),
        (
            "[http]\n[http.tokens]\nname = 'ada'",
            "2:1: error: `tokens` is a list of tables, and this is a table",
        ),
        ("[http]\ntokens = 'x'", "2:10: error: `tokens` is a list of tables, and this is a text"),
        ("[http]\ntokens = ['x']", "2:11: error: `tokens` is a list of tables, and this is a text"),
        ("[[http.tokens]]\nsecret = '0123456789abcdef'", "1:1: error: a token needs a `name`"),
        (
            "[[http.tokens]]\nname = 'a'",
            "1:1: error: a token needs a `secret`, or the `hash` of one",
        ),
        (
            "[[http.tokens]]\nname = 'a'\nsecret = 'short'",
            "3:10: error: this secret has 5 characters, the least is 16",
        ),
        (
            "[[http.tokens]]\nname = 'a'\nhash = 'short'",
            "3:8: error: this is not a hash: `sha256:` and 64 hex digits",
        ),
        (
            "[[http.tokens]]\nname = 'a'\nrole = 'admin'\nsecret = '0123456789abcdef'",
            "3:9: error: `role`: \"admin\" is not a choice",
        ),
        (
            "[[http.tokens]]\nname = 'a'\nsecret = '0123456789abcdef'\n\
             [[http.tokens]]\nname = 'a'\nsecret = '0123456789abcdef'",
            "4:1: error: the token `a` is declared twice",
        ),
        (
            "[[http.tokens]]\nname = 'a'\nsecret = '0123456789abcdef'\nhash = 'x'",
            "4:8: error: a token has a `secret` or its `hash`, not both",
        ),
    ] {
        let errors = read(&format!("{text}\n{JOB}")).unwrap_err();
        assert_eq!(first_lines(&errors), [said]);
    }
}

#[test]
fn an_unset_secret_is_an_error_and_an_empty_one_lets_nobody_in() {
    let text = format!("[[http.tokens]]\nname = 'a'\nsecret = '${{TOKEN}}'\n{JOB}");
    assert!(read(&text).is_err());
    let with = |secret| read_with(&text, &Overrides::default(), &machine().set("TOKEN", secret));
    assert!(with("").is_err());
    assert!(with(SECRET).is_ok());
}
