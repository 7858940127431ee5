//! Crontabs that cannot be read.

use super::*;

fn refused(text: &str, form: Form) -> Vec<String> {
    first_lines(&import(Path::new("crontab"), text, form, None).unwrap_err())
}

#[test]
fn each_mistake_is_told_at_its_place() {
    for (text, told) in [
        ("61 * * * * a", "1:1: error: minute must be 0-59, not 61"),
        ("\n  * * * FOO * a", "2:9: error: `FOO` is not a value of month"),
        ("* * * a", "1:1: error: this is no line of a crontab"),
        ("a = b c\nx\n", "2:1: error: this is no line of a crontab"),
        ("* * * * * ", "1:1: error: there is no command on this line"),
        ("@daily", "1:1: error: there is no command on this line"),
        ("@dayly a", "1:1: error: there is no `@dayly`"),
        ("*/5 * * * * * a", "1:13: error: a command cannot begin with `*`"),
        ("CRON_TZ=Europe/Berln", "1:9: error: unknown time zone `Europe/Berln`"),
        ("CRON_TZ=", "1:1: error: unknown time zone ``"),
        ("SHELL=", "1:1: error: `SHELL` names no shell"),
        ("0a=1", "1:1: error: `0a` is not the name of a variable"),
        ("'a b' = 1", "1:2: error: `a b` is not the name of a variable"),
        ("A=\"b", "1:3: error: this quote is never closed"),
        ("A='b' c", "1:7: error: nothing can stand behind the closing quote"),
        ("\u{e9}\u{e9} = 1", "1:1: error: `\u{e9}\u{e9}` is not the name of a variable"),
        ("* * * * * a\0b", "1:12: error: a line cannot hold a NUL character"),
    ] {
        let lines = refused(text, Form::OfUser);
        assert!(lines.iter().any(|line| line.starts_with(told)), "{text:?}: {lines:?}");
    }
}

#[test]
fn the_user_of_a_systems_crontab_is_held_against_what_users_can_be() {
    for (text, told) in [
        ("* * * * *", "1:1: error: there is no user on this line"),
        ("* * * * * root", "1:1: error: there is no command on this line"),
        ("* * * * * /bin/a b", "1:11: error: `/bin/a`: a user or group has no '/' in its name"),
    ] {
        assert_eq!(refused(text, Form::OfSystem), [told]);
    }
}

#[test]
fn all_mistakes_are_told_at_once_and_warnings_beside_them() {
    let told = refused("61 * * * * a\n@reboot b\nA=\"\n* * * * * c\n", Form::OfUser);
    let places: Vec<_> = told.iter().map(|line| line.split(": ").nth(1).unwrap()).collect();
    assert_eq!(places, ["error", "warning", "error"], "{told:?}");
}
