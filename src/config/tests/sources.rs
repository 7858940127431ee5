//! Files, directories, and several of them.

use std::fs;

use super::*;

/// Loads files below a directory of their own; what is said names them below it.
struct Files(tempfile::TempDir);

impl Files {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        Self(directory)
    }

    fn load(&self, paths: &[&str]) -> Result<Loaded, String> {
        let paths = paths.iter().map(|path| self.0.path().join(path)).collect();
        load(&Load { paths, overrides: Overrides::default() }, &machine()).map_err(|errors| {
            errors.to_string().replace(&format!("{}/", self.0.path().display()), "")
        })
    }
}

const A: &[u8] = b"[log]\nformat = 'json'\n[jobs.a]\nschedule = '@daily'\nshell = 'x'\n";
const B: &[u8] = b"[defaults]\nlease_ttl = '20s'\n[jobs.b]\nschedule = '@daily'\nshell = 'x'\n";

#[test]
fn several_files_are_one_config() {
    let files = Files::new(&[("a.toml", A), ("b.toml", B)]);
    let config = files.load(&["a.toml", "b.toml"]).unwrap().config;
    let names: Vec<_> =
        config.jobs.iter().map(|job| (job.name.as_str(), job.lease_ttl.as_secs())).collect();
    assert_eq!(names, [("a", 20), ("b", 20)], "defaults of one file hold for the jobs of all");
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.sources.len(), 2);
}

#[test]
fn a_directory_is_its_toml_files_in_order_and_no_others() {
    let files = Files::new(&[
        ("d/b.toml", B),
        ("d/a.toml", A),
        ("d/.hidden.toml", b"["),
        ("d/notes.txt", b"["),
        ("d/sub/c.toml", b"["),
        ("d/dir.toml/x", b"["),
    ]);
    let config = files.load(&["d"]).unwrap().config;
    let names: Vec<_> = config.sources.iter().map(|path| path.file_name().unwrap()).collect();
    assert_eq!(names, ["a.toml", "b.toml"]);
}

#[test]
fn a_file_that_is_named_twice_is_read_once() {
    let files = Files::new(&[("d/a.toml", A)]);
    assert_eq!(files.load(&["d", "d/a.toml", "d/../d/a.toml"]).unwrap().config.jobs.len(), 1);
}

#[test]
fn what_is_in_two_files_names_both_places() {
    let files = Files::new(&[
        ("a.toml", b"[cluster]\nname = 'x'\nredis.timeout = '1s'\n[defaults]\nlease_ttl = '30s'\n[jobs.a]\nschedule = '@daily'\nshell = 'x'\n"),
        ("b.toml", b"[log]\n[cluster]\nname = 'x'\nredis.timeout = '1s'\n[defaults]\nlease_ttl = '30s'\nuser = 'x'\n[jobs.b]\nschedule = '@daily'\nshell = 'x'\n[jobs.a]\nschedule = '@daily'\nshell = 'x'\n"),
    ]);
    insta::assert_snapshot!(files.load(&["a.toml", "b.toml"]).unwrap_err());
}

#[test]
fn retry_is_one_value_and_not_put_together_from_several_files() {
    let job = "[jobs.a]\nschedule = '@daily'\nshell = 'x'\nretry = { attempts = 2 }\n";
    let other = job.replace("[jobs.a]", "[defaults]\nretry.attempts = 3\n[jobs.b]");
    let good = Files::new(&[("a.toml", job.as_bytes()), ("b.toml", other.as_bytes())]);
    good.load(&["a.toml", "b.toml"]).unwrap();
    let files = Files::new(&[
        ("a.toml", b"[defaults.retry]\nattempts = 2\n"),
        ("b.toml", b"[defaults]\nretry = { attempts = 2, max = '1m' }\n"),
    ]);
    let errors = files.load(&["a.toml", "b.toml"]).unwrap_err();
    assert!(
        errors.starts_with("b.toml:2:1: error: `retry` of [defaults] is set twice\n"),
        "{errors}"
    );
    assert!(errors.contains("first declared at a.toml:1:11"), "{errors}");
}

#[test]
fn what_cannot_be_read_is_told_at_the_start_of_the_file() {
    let files = Files::new(&[
        ("latin1.toml", b"# caf\xe9\n[log]\n"),
        ("second.toml", b"[log]\n# \xc3\xa9\xff\xff"),
        ("none/readme", b""),
        ("good.toml", A),
    ]);
    for (path, said) in [
        ("missing.toml", "missing.toml:1:1: error: this file cannot be read: it does not exist\n"),
        ("none", "none:1:1: error: there is no *.toml file in this directory\n"),
        ("latin1.toml", "latin1.toml:1:6: error: this byte, 0xe9, is not UTF-8\n"),
        ("second.toml", "second.toml:2:4: error: this byte, 0xff, is not UTF-8\n"),
    ] {
        let errors = files.load(&[path]).unwrap_err();
        assert!(errors.starts_with(said), "{errors}");
        assert!(errors.ends_with("\n1 error in 1 file\n"), "{errors}");
        assert!(files.load(&["good.toml", path]).is_err());
    }
}

#[test]
fn an_empty_file_is_a_config_with_a_warning() {
    for empty in [&b""[..], b"\n \n", b"\xef\xbb\xbf"] {
        let loaded = Files::new(&[("x.toml", empty)]).load(&["x.toml"]).unwrap();
        assert_eq!(first_lines(&loaded.warnings), ["1:1: warning: this file is empty"]);
    }
}

#[test]
fn a_byte_order_mark_and_the_line_ends_of_windows_do_no_harm() {
    let files = Files::new(&[("x.toml", b"\xef\xbb\xbf[log]\r\nformat = 'txt'\r\n")]);
    let errors = files.load(&["x.toml"]).unwrap_err();
    assert!(errors.starts_with("x.toml:2:11: error: "), "{errors}");
    assert!(errors.contains("  2 | format = 'txt'\n    |           ^^^\n"), "{errors}");
}

#[test]
fn columns_count_characters_and_carets_count_cells() {
    let text = "[jobs.a]\nschedule = '@daily'\nshell = 'x'\nenv = { 'ключ' = 'w', '日本' = 5 }";
    let errors = read(text).unwrap_err();
    assert!(
        errors.to_string().starts_with(concat!(
            "solocron.toml:4:30: error: a variable is a text, and this is a number\n",
            "  4 | env = { 'ключ' = '***', '日本' = *** }\n",
            "    |                                  ^^^\n",
        )),
        "{errors}"
    );
}
