//! The keys of a job: `[jobs.NAME]`, `[defaults]` and `retry` in either.

use super::super::keys::{Key, Kind, Preset, Section};
use super::*;

/// `[defaults]`: the keys of a job that are marked `common`.
pub static DEFAULTS: Section = Section {
    title: "[defaults]",
    once: true,
    doc: "What holds for every job that does not say otherwise: any key of a job but `schedule`, `command`, `shell` and `http`.",
    keys: JOB.keys,
};

/// `[jobs.NAME]`
pub static JOB: Section = Section {
    title: "[jobs.NAME]",
    once: false,
    doc: "One job: when it is due and what to run.",
    keys: &[
        Key::new(
            "schedule",
            Kind::Schedules,
            "When it is due: five cron fields (`0 3 * * *`), six with seconds first, `@daily` and the like, `@every 10s`, or a list of these.",
        )
        .also(&["cron", "when", "schedules", "every", "at"]),
        Key::new("timezone", Kind::Zone, "The zone of the schedule's local times, by its IANA name: `Europe/Berlin`.")
            .preset(Preset::Text(TIMEZONE))
            .also(&["tz", "time_zone", "zone"])
            .common(),
        Key::new(
            "command",
            Kind::Command,
            "A program and its arguments, as a list; no shell is involved. Exactly one of `command`, `shell` and `http`.",
        )
        .also(&["cmd", "exec", "run", "program", "args"]),
        Key::new("shell", Kind::Shell, "A line for `/bin/sh -c`. Exactly one of `command`, `shell` and `http`.")
            .also(&["script", "sh", "bash"]),
        Key::new("http", Kind::Table(&CALL), CALL.doc).also(&["request", "url", "curl", "webhook"]),
        Key::new(
            "timeout",
            Kind::Duration(ms(1), d(365), "a run without a limit is one without this key"),
            "How long a run may take before it is ended. Default: no limit.",
        )
        .also(&["max_runtime", "deadline"])
        .common(),
        Key::new(
            "start_within",
            Kind::Duration(ms(100), h(24), "a job that may start a day late has missed its slot"),
            "How late a run may start; a slot that could not start by then is `missed`. Default: until the job's next slot, at most 1m.",
        )
        .common(),
        Key::new(
            "lease_ttl",
            Kind::Duration(s(1), h(24), "renewals go out every quarter of it, and a dead node's slot waits for all of it"),
            "How long the lock of a run outlives a holder that died. A run survives a store that is away for nearly half of it.",
        )
        .preset(Preset::Duration(LEASE_TTL))
        .also(&["ttl", "lock_ttl", "lease"])
        .common(),
        Key::new(
            "env",
            Kind::Variables,
            "Variables for the job, added to those of `[defaults]`. `${VAR}` and `${file:/path}` in a value are replaced; values are never shown.",
        )
        .also(&["environment", "vars", "variables", "envs"])
        .common(),
        Key::new("user", Kind::Account, "The user to run as. Default: the daemon's own.")
            .also(&["username", "uid", "run_as"])
            .common(),
        Key::new("group", Kind::Account, "The group to run as. Default: the user's own.").also(&["gid"]).common(),
        Key::new("cwd", Kind::Path, "The directory to run in. Default: the user's home.")
            .also(&["dir", "directory", "workdir", "working_dir", "working_directory", "chdir"])
            .common(),
        Key::new("umask", Kind::Umask, "Permissions that new files do not get, in octal: `\"022\"`. Default: the daemon's own.")
            .common(),
        Key::new(
            "kill_grace",
            Kind::Duration(s(0), h(1), "what has to end must end"),
            "How long a run has to end between TERM and KILL. When its lease is lost, at most a quarter of `lease_ttl`.",
        )
        .preset(Preset::Duration(KILL_GRACE))
        .also(&["grace", "kill_timeout", "stop_timeout"])
        .common(),
        Key::new("success_codes", Kind::ExitCodes, "The exit codes that mean success.")
            .preset(Preset::Integers(SUCCESS_CODES))
            .also(&["exit_codes", "success_code"])
            .common(),
        Key::new(
            "output_limit",
            Kind::Size(1 << 20, "tails of the last 20 runs of every job are kept in the store"),
            "How much of the end of a run's output the history keeps; the log gets all of it.",
        )
        .preset(Preset::Size(OUTPUT_LIMIT))
        .common(),
        Key::new("enabled", Kind::Switch, "`false` keeps the job in the table and never runs it by schedule.")
            .preset(Preset::Switch(true))
            .also(&["enable", "active", "disabled"])
            .common(),
        Key::new("tags", Kind::Tags, "Words to find jobs by.").also(&["tag", "labels"]).common(),
        Key::new(
            "overlap",
            Kind::Choice(Overlap::WORDS),
            "What a slot does that comes while an earlier one of the job still runs, on any node: `skip` misses it, `allow` runs it beside, `wait` keeps it until the other has ended (a newer slot takes its place), `replace` ends the other first.",
        )
        .preset(Preset::Text(OVERLAP.as_str()))
        .also(&["concurrency", "concurrency_policy", "allow_overlap", "concurrent"])
        .common(),
        Key::new(
            "on_crash",
            Kind::Choice(OnCrash::WORDS),
            "What happens to a slot whose node died, froze or was cut off while it ran: `takeover` runs it again on another node once the lease has lapsed, `skip` records it as `abandoned` for good.",
        )
        .preset(Preset::Text(ON_CRASH.as_str()))
        .common(),
        Key::new(
            "max_takeovers",
            Kind::Integer(0, 1000),
            "How often a slot is taken over at most, so that a job that takes its nodes down does not take down all of them. 0 is never.",
        )
        .preset(Preset::Integer(MAX_TAKEOVERS as i64))
        .common(),
        Key::new(
            "catch_up",
            Kind::Choice(CatchUpPolicy::WORDS),
            "Which slots are run after all that were missed, after an outage or a suspend: `none`, `latest` (the newest one), or `all`, oldest first.",
        )
        .preset(Preset::Text(CATCH_UP.as_str()))
        .also(&["catchup", "backfill", "misfire", "persistent"])
        .common(),
        Key::new(
            "catch_up_window",
            Kind::Duration(s(1), d(7), "the store keeps a settled slot's record for as long"),
            "How long after it was due a missed slot is still caught up.",
        )
        .preset(Preset::Duration(CATCH_UP_WINDOW))
        .also(&["starting_deadline"])
        .common(),
        Key::new(
            "catch_up_limit",
            Kind::Integer(1, 1000),
            "How many missed slots `catch_up = \"all\"` runs at most: the newest ones.",
        )
        .preset(Preset::Integer(CATCH_UP_LIMIT as i64))
        .common(),
        Key::new("retry", Kind::Table(&RETRY), RETRY.doc).also(&["retries", "retry_policy"]).common(),
        Key::new(
            "jitter",
            Kind::Duration(s(0), h(24), "a delay of more than a day belongs in the schedule"),
            "How long after its slot a run is due at most. The delay is drawn from the job's name and the slot, less than this and than what is left until the next slot: all nodes agree on it. Start windows begin with it. Default: none.",
        )
        .also(&["splay", "random_delay", "randomized_delay"])
        .common(),
        Key::new(
            "nodes",
            Kind::Nodes,
            "Which nodes may run it, by name: `*` stands for any run of characters, `?` for one. Default: every node.",
        )
        .preset(Preset::Texts(NODES))
        .also(&["hosts", "run_on", "only_on"])
        .common(),
        Key::new(
            "on_failure",
            Kind::Channels,
            "Who is told when a slot fails after all its retries, times out or is abandoned: names of `[notify.NAME]`. Of failures in a row the first is told, and one more every 20 hours.",
        )
        .also(&["on_error", "onfailure", "notify", "alert"])
        .common(),
        Key::new(
            "on_recovery",
            Kind::Channels,
            "Who is told of the first success after a failure, or after the job was overdue.",
        )
        .also(&["on_success", "on_resolve"])
        .common(),
        Key::new(
            "on_missed",
            Kind::Channels,
            "Who is told when slots were missed, for any reason but a pause. Of those in a row, with no run between, the first are told, and some more every 20 hours.",
        )
        .also(&["on_miss", "on_skip"])
        .common(),
        Key::new(
            "on_takeover",
            Kind::Channels,
            "Who is told when a node was lost while it ran a slot and another runs it again.",
        )
        .also(&["on_crash_alert", "on_lost"])
        .common(),
        Key::new(
            "expect_every",
            Kind::Duration(s(1), d(400), "a job that need not succeed within a year needs no alarm"),
            "An alarm, told to those of `on_failure` and of `on_missed`, when the job has not succeeded for so long, also if it never ran. Not while it is paused or switched off.",
        )
        .also(&["expect_within", "deadman", "max_silence"])
        .common(),
    ],
};

/// `retry`, of a job or of `[defaults]`
pub static RETRY: Section = Section {
    title: "[jobs.NAME.retry]",
    once: false,
    doc: "Whether a failed run is repeated, and when. A job that has it takes nothing of that in `[defaults]`.",
    keys: &[
        Key::new(
            "attempts",
            Kind::Integer(1, 100),
            "How many runs a slot gets, the first one included: 1 is no retry.",
        )
        .preset(Preset::Integer(RETRY_ATTEMPTS as i64))
        .also(&["max_attempts", "tries", "count", "limit"]),
        Key::new(
            "backoff",
            Kind::Choice(Backoff::WORDS),
            "`constant` waits `min` each time, `exponential` twice as long each time, from `min` up to `max`. Up to a quarter is added, so that jobs that failed together do not come back together.",
        )
        .preset(Preset::Text(RETRY_BACKOFF.as_str()))
        .also(&["strategy", "policy"]),
        Key::new(
            "min",
            Kind::Duration(s(0), h(24), "what waits longer is a slot of its own"),
            "How long after the first failed run the next begins. Less by default where `max` is less.",
        )
        .preset(Preset::Duration(RETRY_MIN))
        .also(&["delay", "wait", "interval", "initial"]),
        Key::new(
            "max",
            Kind::Duration(s(0), h(24), "what waits longer is a slot of its own"),
            "The longest wait that doubling leads to. More by default where `min` is more.",
        )
        .preset(Preset::Duration(RETRY_MAX))
        .also(&["max_delay", "cap"]),
    ],
};
