//! What must not be seen is not seen, whatever goes wrong around it.

use super::*;

const SECRET: &str = "hunter2";

fn assert_hidden(shown: &str) {
    assert!(!shown.contains(SECRET), "{shown}");
}

#[test]
fn no_diagnostic_shows_a_secret() {
    for text in [
        "[cluster]\nstore = 'redsi://u:hunter2@h'",
        "[cluster]\nstore = 'redis://u:hunter2@h:port'",
        "[cluster]\nstore = 'redis://u:hunter2'",
        "[cluster]\nstore = 'redis://u:hunter2@h/db'",
        "[cluster]\nstore = redis://u:hunter2@h/0",
        "[cluster]\nstore = 'redis://u:hunter2@h",
        "[cluster]\nstore = ['redis://u:hunter2@h', 'redis://:hunter2@i']",
        "[cluster]\nstore = { url = 'redis://u:hunter2@h' }",
        "[cluster]\nstore = 'redis+unix:///r?pass=hunter2&x=1'",
        "[cluster]\nstore = 'redis+sentinel://u:hunter2@a,b'",
        "[cluster]\nstore = 'redis+sentinel://u:hunter2/m'",
        "[cluster]\nstore = 'redis+sentinel://a:1,b:hunter2/m'",
        "[cluster]\nstore = \"redsi\\u003a//u:hunter2@h\"",
        "[cluster]\nurl = 'redis://u:hunter2@h'",
        "[cluster]\nredis = { password = 'hunter2', timeout = 3 }",
        "[cluster]\nredis = { timeout = 3, password = '''hunter2''' }",
        "[cluster.redis]\npassword = hunter2",
        "[cluster.redis]\npassword = 'hunter2",
        "[cluster.redis]\npassword = ['hunter2']",
        "[cluster.redis]\npassword = { is = 'hunter2' }",
        "[cluster.redis]\npassword = \"hunter2\\q\"",
        "[cluster.redis]\npassword = 'hunter2${NOPE}hunter2'",
        "[cluster.redis]\npassword = '${hunter2'",
        "[cluster.redis]\npasword = 'hunter2'",
        "[cluster.redis]\nmy_token = 'hunter2'",
        "[cluster.redis]\nsentinel_password = ['hunter2']",
        "[cluster]\nstore = 'redis://h'\n[cluster.redis]\nsentinel_password = 'hunter2'",
        "[cluster.redis\npassword = 'hunter2'",
        "password = 'hunter2'",
        "[http]\ntokens = [{ role = 'viewer', token = 'hunter2' }]",
        "http.tokens = [{ token = 'hunter2' }]",
        "http.tokens = 'hunter2'",
        "http.tokens = ['hunter2']",
        "http.tokens = { secret = 'hunter2' }",
        "[[http.tokens]]\nsecret = 'hunter2'",
        "[[http.tokens]]\nhash = 'hunter2'",
        "[[http.tokens]]\nsecret = ['hunter2']",
        "[[http.tokens]]\nsecrte = 'hunter2'",
        "notify.ops = { webhook = 'https://example.com/hunter2' }\nx = 1",
        "[notify.ops]\nwebhook = 'example.com/hunter2'",
        "[notify.ops]\nwebhook = ['https://example.com/hunter2']",
        "notify.ops = 'https://example.com/hunter2'",
        "[notify.ops]\nwebhok = 'https://example.com/hunter2'",
        "[notify.ops]\nwebhook = 'https://a.example'\nsecret = 'whsec_hunter2'",
        "[notify.ops]\nwebhook = 'https://a.example'\nheaders = { Authorization = \"hunter2\\n\" }",
        "[notify.ops]\nwebhook = 'https://a.example'\nheaders = { 'A B' = 'hunter2' }",
        "[notify.ops]\ncommand = ['a', 'hunter2', 3]",
        "[notify.ops]\ncommand = 'curl hunter2'",
        "[notify.ops]\ncommand = ['a', 'hunter2${NOPE}']",
        "[jobs.a]\nschedule = '@daily'\nshell = 'x'\nenv = { A = 'hunter2', B = 3 }",
        "[jobs.a]\nschedule = '@daily'\nshell = 'x'\nenv = { SOLOCRON_A = 'hunter2' }",
        "[jobs.a]\nschedule = '@daily'\nshell = 'x'\nenv = { A = 'hunter2${NOPE}' }",
        "[jobs.a]\nschedule = '@daily'\nshell = 'x'\nenv = { A = \"a\\u0000hunter2\" }",
        "[jobs.a]\nschedule = '@daily'\nshell = 'x'\nenv = ['A=hunter2']",
        "[jobs.a]\nschedule = '@daily'\nshell = 'x'\nenv = 'A=hunter2'",
        "[jobs.a]\nschedule = '@daily'\nshell = 'x'\nenv = { A = hunter2 }",
        "[jobs.a]\nschedule = '@daily'\nshell = 'x'\nenvironment = { A = 'hunter2' }",
        "[jobs.a]\nschedule = '@daily'\ncommand = 'mysql --password=hunter2'",
        "[jobs.a]\nschedule = '@daily'\nshell = 'x'\nhttp = { url = 'x', headers = { Authorization = 'hunter2' } }",
        "[jobs.a]\nschedule = '@daily'\nhttp = { url = 'hunter2' }",
        "[jobs.a]\nschedule = '@daily'\nhttp = { url = 'https://a/hunter2${NOPE}', body = 'hunter2' }",
        "[jobs.a]\nschedule = '@daily'\nhttp = 'https://a/hunter2'",
        "[jobs.a]\nschedule = '@daily'\nhttp = { url = 'https://a', bdy = 'hunter2' }",
        "[cluster]\nstore = 'mysql:hunter2@h'\nx = 'https://u:hunter2@h'",
    ] {
        let errors = read(text).unwrap_err();
        assert_hidden(&errors.to_string());
        assert_hidden(&errors.render(Paint::Colour).to_string());
        assert_hidden(&format!("{errors:?}"));
    }
}

#[test]
fn what_was_put_in_is_not_shown_either() {
    let env = machine().set("SECRET", SECRET).file("/run/secret", SECRET);
    for text in [
        "[cluster]\nstore = '${SECRET}'",
        "[cluster]\nstore = '${SECRET}://h'",
        "[cluster]\nstore = 'redis://h:${SECRET}'",
        "[cluster]\nstore = 'redis://h/${file:/run/secret}'",
        "[cluster]\nstore = 'redis://h'\nredis = { username = '${SECRET}' }",
    ] {
        let errors = read_with(text, &Overrides::default(), &env).unwrap_err();
        assert_hidden(&errors.to_string());
        assert_hidden(&format!("{errors:?}"));
    }
}

#[test]
fn a_config_that_is_printed_shows_no_secret() {
    let env = machine().set("SECRET", SECRET);
    let text = concat!(
        "[cluster]\nstore = 'redis://u:hunter2@h'\n",
        "[jobs.a]\nschedule = '@daily'\nshell = 'x'\nenv = { A = 'hunter2', B = '${SECRET}' }\n",
    );
    let loaded = read_with(text, &Overrides::default(), &env).unwrap();
    assert_eq!(&*loaded.config.jobs.iter().next().unwrap().env[1].value, SECRET);
    assert_hidden(&format!("{loaded:?} {:#?}", loaded));
    assert_hidden(&loaded.config.cluster.store.to_string());
    let given = Override::new("--store", "redis://u:hunter2@h");
    assert_hidden(&format!("{given:?}"));
}

/// A slip of the finger anywhere in a file with secrets: a character too few or
/// one too many.
#[test]
fn no_slip_of_the_finger_shows_a_secret() {
    let text = concat!(
        "[cluster]\nstore = \"redis://u:hunter2@h:6379/0\"\nheartbeat = 3\n\n",
        "[cluster.redis]\npassword = 'hunter2'\ntimeout = 3\n\n",
        "[jobs.a]\nschedule = '@daily'\nshell = 'x'\nenv = { A = 'hunter2', SOLOCRON_B = 'x' }\n",
        "[jobs.a.env.C]\n",
        "[jobs.b.env]\nA = \"hunter2\"\nSOLOCRON_B = 'hunter2'\n\n",
        "[jobs.c]\nshell = 'x'\nenv = {\n  A = 'hunter2',\n  B = 3,\n}\n",
        "[notify.ops]\nheaders = ['X: hunter2', 'Y: 1']\n",
    );
    let secrets: Vec<_> = text.match_indices(SECRET).map(|(at, _)| at..at + SECRET.len()).collect();
    let mut slips = 0;
    for at in 0..text.len() {
        if secrets.iter().any(|secret| secret.contains(&at)) {
            continue;
        }
        for typed in ["", "'", "\"", "=", "[", "}", "x", " ", "\n", "#", "\\"] {
            let slip =
                format!("{}{typed}{}", &text[..at], &text[at + usize::from(typed.is_empty())..]);
            if let Err(errors) = read(&slip) {
                assert!(!errors.to_string().contains(SECRET), "{slip}\n\n{errors}");
                slips += 1;
            }
        }
    }
    assert!(slips > 1000, "{slips}");
}
