//! A file that is read in parts gives what the whole gives.

use proptest::prelude::*;

use super::super::load::load_text_in_parts;
use super::*;

fn in_parts(text: &str) -> Option<Loaded> {
    load_text_in_parts(Path::new("solocron.toml"), text, &machine())
}

fn assert_same(parts: &Loaded, whole: &Loaded) {
    assert_eq!(parts.warnings, whole.warnings);
    assert_eq!(format!("{:?}", parts.config), format!("{:?}", whole.config));
    assert_eq!(parts.config.jobs.digest(), whole.config.jobs.digest());
}

#[test]
fn jobs_and_their_warnings_are_the_same() {
    let text = "[cluster]\nname = 'x'\n\n[defaults]\nenv = { A = 'a' }\n\n\
                [jobs.b]\nschedule = '@daily'\nshell = 'b'\n[jobs.b.env]\nB = 'b'\n\n\
                [jobs.a]\nschedule = '0 0 30 2 *'\nshell = 'a'\nkill_grace = '1h'\n";
    let (parts, whole) = (in_parts(text).unwrap(), read(text).unwrap());
    assert_eq!((whole.warnings.warnings(), whole.config.jobs.len()), (2, 2));
    assert_same(&parts, &whole);
}

#[test]
fn what_only_the_whole_can_tell_is_left_to_it() {
    let job = |name| format!("[jobs.{name}]\nschedule = '@daily'\nshell = 'x'\n");
    let [a, b] = ["a", "b"].map(job);
    assert!(in_parts(&format!("{a}{b}")).is_some());
    for text in [
        format!("{a}{a}"),
        format!("{a}{b}{a}"),
        format!("{a}{b}[jobs.a.env]\nA = 'a'\n"),
        format!("jobs = {{}}\n{a}"),
        format!("{a}timeout = 'x'\n{b}"),
        format!("{a}env = {{ A = '''\n{b}''' }}\n"),
    ] {
        assert!(in_parts(&text).is_none(), "{text}");
    }
}

/// What files are made of, and where they may be cut.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "[jobs.a]\nschedule = '@daily'\nshell = 'x'\n",
        "[jobs.b]\r\nschedule = 'H H * * *'\r\nshell = 'x'\r\n",
        "[jobs.c]\nschedule = '@daily'\nshell = '''\n[jobs.d]\nschedule = 'x'\n'''\n",
        "[jobs.d]\nschedule = ['@daily',\n'@hourly'\n]\ncommand = ['x']\nenv = { A = 'é' }\n",
        "[jobs.\"e\"]\nschedule = '@daily'\nshell = 'x'\nretry.attempts = 2\n",
        "[jobs.a.env]\nA = 'x'\n",
        "[jobs.d.retry]\nattempts = 2\n",
        "timeout = '1m'\n",
        "kill_grace = '20s'\n",
        "tags = [\n['x'],\n]\n",
        "shell = '''",
        "[jobs]\n",
        "[jobs.x",
        "[log]\n",
        "[defaults]\nkill_grace = '20s'\n",
        "[cluster]\nname = 'x'\n",
        "# [jobs.a]\n",
        "\n",
        "jobs.a.shell = 'x'\n",
        "jobs = {}\n",
        "'''\n",
    ]);
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_can_be_read_in_parts_is_what_the_whole_says(text in pieces()) {
        if let Some(parts) = in_parts(&text) {
            match read(&text) {
                Ok(whole) => assert_same(&parts, &whole),
                Err(errors) => prop_assert!(false, "the whole has errors: {}", errors),
            }
        }
    }
}
