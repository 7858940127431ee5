//! Where the file is, and what happens when it cannot be used.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::bench::{Bench, every_second};

const NOBODY: u32 = 65_534;

/// Makes the command that of a user who is not root, with only these variables.
fn as_a_user(bench: &Bench, command: &mut Command, variables: &[(&str, String)]) {
    command.env_remove("STATE_DIRECTORY").env_remove("HOME");
    for (name, value) in variables {
        command.env(name, value);
    }
    if nix::unistd::geteuid().is_root() {
        std::fs::set_permissions(bench.dir(), PermissionsExt::from_mode(0o777)).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
}

fn store_of(bench: &Bench, variables: &[(&str, String)]) -> Result<String, String> {
    let answer = bench.run_with(&["check"], |command| as_a_user(bench, command, variables));
    if answer.code != Some(0) {
        return Err(answer.refused(78));
    }
    let said = answer.good();
    let line = said.lines().find_map(|line| line.strip_prefix("  store    sqlite:"));
    Ok(line.expect("a store").to_owned())
}

#[test]
fn the_state_directory_is_the_managers_then_the_users() {
    let bench = Bench::with(&every_second("job", "shell = \"true\""));
    let state = ("STATE_DIRECTORY", "/given/one:/given/two".to_owned());
    let xdg = ("XDG_STATE_HOME", "/xdg".to_owned());
    let home = ("HOME", "/home/user".to_owned());
    let all = [state, xdg.clone(), home.clone()];
    assert_eq!(store_of(&bench, &all).unwrap(), "/given/one/solocron.db");
    if !program_is_open_to_all() {
        return;
    }
    assert_eq!(store_of(&bench, &[xdg, home.clone()]).unwrap(), "/xdg/solocron/solocron.db");
    let found = store_of(&bench, std::slice::from_ref(&home)).unwrap();
    assert_eq!(found, "/home/user/.local/state/solocron/solocron.db");
    let relative = ("XDG_STATE_HOME", "state".to_owned());
    let found = store_of(&bench, &[relative, home]).unwrap();
    assert_eq!(found, "/home/user/.local/state/solocron/solocron.db");
    let said = store_of(&bench, &[]).unwrap_err();
    assert!(said.contains("no state directory"), "{said}");
}

/// Root's tests start the program as somebody else, who must be able to reach it.
fn program_is_open_to_all() -> bool {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_solocron"));
    let open = |path: &std::path::Path| {
        path.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0)
    };
    !nix::unistd::geteuid().is_root() || program.ancestors().all(open)
}

#[test]
fn root_keeps_its_state_in_var_lib() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let bench = Bench::with(&every_second("job", "shell = \"true\""));
    let said = bench.run_with(&["check"], |command| {
        command.env_remove("STATE_DIRECTORY").env("XDG_STATE_HOME", "/xdg");
    });
    assert!(said.good().contains("  store    sqlite:/var/lib/solocron/solocron.db\n"));
}

#[test]
fn the_file_and_its_directory_are_private() {
    let bench = Bench::with(&every_second("job", "shell = \"true\""));
    assert_eq!(bench.node().drain(), 0);
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&bench.path("state")), 0o700);
    assert_eq!(mode(&bench.store()), 0o600);
}

#[test]
fn a_store_that_cannot_be_used_ends_every_command_with_the_reason() {
    let bench = Bench::with(&every_second("job", "shell = \"touch ran\""));
    bench.write("text.db", "this is not a database, and was never one\n".repeat(10));
    bench.write("file", "in the way");
    std::fs::create_dir(bench.path("directory.db")).unwrap();
    let damaged = damaged_store();
    std::fs::copy(damaged.store(), bench.path("damaged.db")).unwrap();
    let foreign = rusqlite::Connection::open(bench.path("foreign.db")).unwrap();
    foreign.execute_batch("CREATE TABLE accounts (id); PRAGMA user_version = 7").unwrap();

    for (path, words) in [
        (bench.path("text.db"), "not a SQLite database"),
        (bench.path("damaged.db"), "damaged"),
        (bench.path("directory.db"), "is a directory; name a file"),
        (bench.path("foreign.db"), "solocron"),
        (bench.path("file/solocron.db"), "cannot be created"),
        ("/proc/solocron/solocron.db".into(), "cannot be created"),
        ("/dev/null".into(), "not a regular file"),
    ] {
        let before = std::fs::read(&path).ok();
        let store = format!("sqlite:{}", path.display());
        let answer = bench.run(&["run", "--store", &store]);
        assert_eq!(answer.code, Some(69), "{store}: {}{}", answer.stdout, answer.stderr);
        assert!(answer.took.as_secs() < 5, "{store}: {:?}", answer.took);
        assert!(answer.stderr.starts_with("solocron: the store "), "{}", answer.stderr);
        assert!(answer.stderr.contains(words), "{store}: {}", answer.stderr);
        assert_eq!(answer.stderr.lines().count(), 1, "{}", answer.stderr);
        let log: Vec<_> = answer.stdout.lines().collect();
        assert!(log.iter().all(|line| !line.contains("node.started")), "{}", answer.stdout);

        let said = bench.run(&["history", "--store", &store]).refused(69);
        assert!(said.starts_with("solocron: the store "), "{said}");
        if path.is_file() {
            assert!(said.contains(words), "{said}");
            assert_eq!(std::fs::read(&path).ok(), before, "{store} was changed");
        }
    }
    assert!(!bench.path("ran").exists());
}

/// A store that a node made, and something else overwrote the middle of.
fn damaged_store() -> Bench {
    let bench = Bench::with(&every_second("job", "shell = \"true\""));
    assert_eq!(bench.node().drain(), 0);
    let mut bytes = std::fs::read(bench.store()).unwrap();
    let (from, to) = (4096, bytes.len() - 4096);
    bytes[from..to].iter_mut().enumerate().for_each(|(at, byte)| *byte = (at * 7 % 251) as u8);
    std::fs::write(bench.store(), bytes).unwrap();
    bench
}
