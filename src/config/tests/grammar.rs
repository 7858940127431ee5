//! TOML that is not TOML is explained, and does not hide the rest of the file.

use super::*;

#[test]
fn a_mistake_of_the_grammar_is_one_message_in_plain_words() {
    let job = "[jobs.a]\nschedule='@hourly'\nshell='x'\n";
    for (text, said) in [
        ("timeout = 30s", "4:11: error: `30s` needs quotes"),
        ("timeout =", "4:10: error: a value is missing here"),
        ("umask = 022", "4:9: error: a number does not begin with 0"),
        ("enabled = True", "4:11: error: this is not a value"),
        ("enabled = yes", "4:11: error: this is not a value"),
        ("user = 'x", "4:10: error: this text is never closed"),
        ("user = \"x", "4:10: error: this text is never closed"),
        (
            "user = \"\\q\"",
            "4:10: error: a backslash begins an escape such as \\n, and this is none",
        ),
        ("user = \"a\u{1}\"", "4:10: error: a text cannot hold this character as it is"),
        ("my user = 'x'", "4:4: error: a key is followed by `=` and a value"),
        ("tags = ['a' 'b']", "4:13: error: a `,` is missing here"),
        (
            "tags = ['a', 'b'\ncwd = 'x'\n[log]\nformat = 'text'",
            "5:1: error: this array is not closed before here",
        ),
        ("env = { A = 'x'", "4:16: error: this table is never closed"),
        ("[log\nformat = 'text'", "4:5: error: this header is never closed"),
        ("é = 1", "4:1: error: a key without quotes has only letters, digits, `-` and `_`"),
        ("shell = 'y'", "4:1: error: `shell` is there already"),
        ("[jobs.a]", "4:7: error: `a` is there already"),
    ] {
        let text = format!("{job}{text}\n");
        let errors = read(&text).unwrap_err();
        assert_eq!(first_lines(&errors), [said], "{errors}");
    }
}

#[test]
fn a_key_that_is_there_twice_names_both_places() {
    for (text, first) in [
        ("[log]\nformat='text'\nfilter='info'\nformat='json'", "2:1"),
        (
            "[jobs.a]\nschedule='@daily'\n[jobs.b]\nshell='x'\nschedule='@daily'\n[jobs.a]\nshell='x'",
            "1:7",
        ),
        ("[jobs.a]\nschedule='@daily'\nshell='x'\nenv={A='1', B='2', A='3'}", "4:6"),
        (
            "[defaults]\numask='022'\n[jobs.a]\numask='022'\nschedule='@daily'\nshell='x'\numask='077'",
            "4:1",
        ),
    ] {
        let errors = read(text).unwrap_err();
        let twice = errors.iter().find(|e| e.message.ends_with("there already")).unwrap();
        let (_, place) = twice.related.as_ref().unwrap();
        assert_eq!(format!("{}:{}", place.line, place.column), first, "{errors}");
    }
}

#[test]
fn mistakes_of_both_kinds_come_together() {
    let text =
        "[log]\nformat = text\n\n[jobs.a]\nschedule = '99 * * * *'\nshell = 'x'\ntimout = '1s'\n";
    assert_eq!(
        first_lines(&read(text).unwrap_err()),
        [
            "2:10: error: `text` needs quotes",
            "5:13: error: `schedule`: minute must be 0-59, not 99",
            "7:1: error: unknown key `timout` in [jobs.a]",
        ]
    );
}

#[test]
fn nothing_is_reported_that_only_follows_from_a_mistake_of_the_grammar() {
    for text in [
        "[jobs.a\nschedule='@daily'\nshell='x'",
        "[jobs.a]\nschedule='@daily\nshell='x'",
        "[jobs.a]\nshell='x'\nschedule=\n",
        "[jobs.a]\nschedule='@daily'\nshell x\n",
        "[jobs.a]\nschedule='@daily'\ncommand=['x',\n",
        "[jobs.a]\nschedule='@daily'\ncommand=['x', y]\n",
    ] {
        let errors = read(text).unwrap_err();
        assert_eq!(errors.iter().len(), 1, "{errors}");
    }
}
