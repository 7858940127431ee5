//! What holds when nothing is said, and what goes over what.

use std::time::Duration;

use super::*;
use crate::policy::{
    Backoff, CatchUp, CatchUpPolicy, NodePattern, NodePatterns, OnCrash, Overlap, Policies, Retry,
};
use crate::schedule::Zone;
use crate::table::Work;

fn config(text: &str) -> Config {
    read(text).unwrap_or_else(|errors| panic!("{errors}")).config
}

#[test]
fn a_job_with_two_keys_has_all_the_rest_by_default() {
    let job = job("shell = 'echo'");
    assert_eq!(job.work, Work::Shell("echo".into()));
    assert_eq!((job.timeout, job.start_within), (None, None));
    assert_eq!(job.lease_ttl, Duration::from_secs(30));
    assert_eq!(job.kill_grace, Duration::from_secs(10));
    assert_eq!((&*job.success_codes, job.output_limit), (&[0][..], 16_384));
    assert_eq!((&job.user, &job.group, &job.cwd, job.umask), (&None, &None, &None, None));
    assert!(job.env.is_empty() && job.tags.is_empty() && job.enabled);
    assert_eq!(job.timezone, Zone::utc());
    assert_eq!(*job.policies, silent());
}

/// The policies of a job that says nothing.
fn silent() -> Policies {
    let seconds = Duration::from_secs;
    let (backoff, min, max) = (Backoff::Exponential, seconds(5), seconds(300));
    Policies {
        overlap: Overlap::Skip,
        on_crash: OnCrash::Takeover,
        max_takeovers: 3,
        catch_up: CatchUp { policy: CatchUpPolicy::None, window: seconds(3600), limit: 100 },
        retry: Retry { attempts: 1, backoff, min, max },
        jitter: Duration::ZERO,
        nodes: nodes(&["*"]),
    }
}

fn nodes(patterns: &[&str]) -> NodePatterns {
    NodePatterns::new(patterns.iter().map(|text| NodePattern::new(text).unwrap()).collect())
}

#[test]
fn every_policy_of_a_job_arrives() {
    let job = job(concat!(
        "shell = 'x'\noverlap = 'replace'\non_crash = 'takeover'\nmax_takeovers = 0\n",
        "catch_up = 'all'\ncatch_up_window = '7d'\ncatch_up_limit = 1000\njitter = '90s'\n",
        "nodes = ['web-*', 'db-?', 'web-*']\n",
        "[jobs.a.retry]\nattempts = 100\nbackoff = 'constant'\nmin = '0s'\n",
    ));
    let seconds = Duration::from_secs;
    let (backoff, min, max) = (Backoff::Constant, seconds(0), seconds(300));
    let expected = Policies {
        overlap: Overlap::Replace,
        on_crash: OnCrash::Takeover,
        max_takeovers: 0,
        catch_up: CatchUp { policy: CatchUpPolicy::All, window: seconds(604_800), limit: 1000 },
        retry: Retry { attempts: 100, backoff, min, max },
        jitter: seconds(90),
        nodes: nodes(&["db-?", "web-*"]),
    };
    assert_eq!(*job.policies, expected);
}

#[test]
fn what_retry_leaves_out_makes_room_for_what_it_says() {
    for (keys, min, max) in [
        ("", 5, 300),
        ("min = '10m'", 600, 600),
        ("max = '2s'", 2, 2),
        ("min = '1s', max = '2s'", 1, 2),
        ("max = '0s'", 0, 0),
        ("min = '3s', max = '3s'", 3, 3),
    ] {
        let keys = if keys.is_empty() { String::new() } else { format!(", {keys}") };
        let retry = job(&format!("shell = 'x'\nretry = {{ attempts = 2{keys} }}")).policies.retry;
        assert_eq!((retry.min.as_secs(), retry.max.as_secs()), (min, max), "{keys}");
    }
}

#[test]
fn a_policy_of_a_job_goes_over_that_of_the_defaults_and_retry_as_a_whole() {
    let config = config(concat!(
        "[defaults]\noverlap = 'wait'\ncatch_up = 'latest'\ncatch_up_window = '2h'\njitter = '1m'\n",
        "nodes = ['web-*']\nretry = { attempts = 4, backoff = 'constant', min = '9s' }\n",
        "[jobs.a]\nschedule = '@daily'\nshell = 'x'\n",
        "[jobs.b]\nschedule = '@daily'\nshell = 'x'\ncatch_up = 'none'\njitter = '0s'\n",
        "retry = { attempts = 2 }\n",
    ));
    let [a, b] = [0, 1].map(|index| &config.jobs[index].policies);
    let seconds = Duration::from_secs;
    let common = CatchUp { policy: CatchUpPolicy::Latest, window: seconds(7200), limit: 100 };
    let own = Retry { attempts: 2, ..silent().retry };
    let (backoff, min, max) = (Backoff::Constant, seconds(9), seconds(300));
    assert_eq!((a.overlap, a.catch_up, a.jitter), (Overlap::Wait, common, seconds(60)));
    assert_eq!(a.retry, Retry { attempts: 4, backoff, min, max });
    assert_eq!((b.overlap, b.jitter, b.retry), (Overlap::Wait, seconds(0), own));
    assert_eq!(b.catch_up, CatchUp { policy: CatchUpPolicy::None, ..common });
    assert_eq!((&a.nodes, &b.nodes), (&nodes(&["web-*"]), &nodes(&["web-*"])));
}

#[test]
fn jobs_with_equal_policies_share_them() {
    let job = |name, keys| format!("[jobs.{name}]\nschedule = '@daily'\nshell = 'x'\n{keys}\n");
    let config = config(
        &[
            "[defaults]\noverlap = 'wait'\n",
            &job("a", ""),
            &job("b", "timeout = '1m'"),
            &job("c", "jitter = '1m'"),
            &job("d", "jitter = '60s'"),
            &job("e", "jitter = '2m'"),
        ]
        .concat(),
    );
    let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(|index| &config.jobs[index].policies);
    let same = |one, other| std::sync::Arc::ptr_eq(one, other);
    assert!(same(a, b) && same(c, d));
    assert!(!same(a, c) && !same(c, e));
}

#[test]
fn every_key_of_a_job_arrives() {
    let job = job(concat!(
        "timezone = 'europe/berlin'\ncommand = ['a', 'b c', '']\ntimeout = '1h30m'\n",
        "start_within = '90s'\nlease_ttl = '1m'\nenv = { B = '2', A = '1' }\nuser = 'ada'\n",
        "group = '100'\ncwd = '/srv'\numask = '0o027'\nkill_grace = '0s'\n",
        "success_codes = [3, 0, 3]\noutput_limit = '1MiB'\nenabled = false\ntags = ['x', 'b', 'x']\n",
    ));
    assert_eq!(job.work, Work::Command(Box::new(["a".into(), "b c".into(), "".into()])));
    assert_eq!(job.timezone.name(), "Europe/Berlin");
    assert_eq!(job.timeout, Some(Duration::from_secs(5400)));
    assert_eq!(job.start_within, Some(Duration::from_secs(90)));
    assert_eq!((job.lease_ttl, job.kill_grace), (Duration::from_secs(60), Duration::ZERO));
    let env: Vec<_> = job.env.iter().map(|v| (&*v.name, &*v.value, v.local)).collect();
    assert_eq!(env, [("A", "1", false), ("B", "2", false)]);
    assert_eq!((job.user.as_deref(), job.group.as_deref()), (Some("ada"), Some("100")));
    assert_eq!((job.cwd.as_deref(), job.umask), (Some(Path::new("/srv")), Some(0o027)));
    assert_eq!((&*job.success_codes, job.output_limit), (&[0, 3][..], 1 << 20));
    assert_eq!(job.tags.iter().map(|tag| &**tag).collect::<Vec<_>>(), ["b", "x"]);
    assert!(!job.enabled);
}

#[test]
fn a_job_goes_over_the_defaults_and_adds_to_their_variables() {
    let config = config(concat!(
        "[defaults]\ntimezone = 'Asia/Tokyo'\nlease_ttl = '20s'\nuser = 'ada'\nenabled = false\n",
        "env = { A = 'common', B = 'common' }\ntags = ['all']\n",
        "[jobs.a]\nschedule = '@daily'\nshell = 'x'\n",
        "[jobs.b]\nschedule = '@daily'\nshell = 'x'\ntimezone = 'UTC'\nlease_ttl = '40s'\n",
        "enabled = true\nenv = { B = 'own', C = 'own' }\ntags = []\n",
    ));
    let [a, b] = [0, 1].map(|index| config.jobs.iter().nth(index).unwrap());
    let env = |job: &Job| -> Vec<String> {
        job.env.iter().map(|v| format!("{}={}", v.name, v.value)).collect()
    };
    assert_eq!((a.timezone.name(), b.timezone.name()), ("Asia/Tokyo", "UTC"));
    assert_eq!((a.lease_ttl.as_secs(), b.lease_ttl.as_secs()), (20, 40));
    assert_eq!((a.user.as_deref(), b.user.as_deref()), (Some("ada"), Some("ada")));
    assert_eq!((a.enabled, b.enabled), (false, true));
    assert_eq!(env(a), ["A=common", "B=common"]);
    assert_eq!(env(b), ["A=common", "B=own", "C=own"]);
    assert_eq!((a.tags.len(), b.tags.len()), (1, 0));
    assert_eq!(a.schedule.schedules()[0].zone().name(), "Asia/Tokyo");
    assert_eq!(b.schedule.schedules()[0].zone().name(), "UTC");
}

#[test]
fn what_many_jobs_share_is_there_once() {
    let config = config(concat!(
        "[defaults]\nenv = { A = '1' }\ncwd = '/srv'\nuser = 'ada'\ntags = ['x']\nsuccess_codes = [0, 1]\n",
        "[jobs.a]\nschedule = '@daily'\nshell = 'x'\n[jobs.b]\nschedule = '@daily'\nshell = 'x'\n",
    ));
    let [a, b] = [0, 1].map(|index| config.jobs.iter().nth(index).unwrap());
    assert!(std::ptr::eq(&raw const *a.env, &raw const *b.env));
    assert!(std::ptr::eq(&raw const *a.tags, &raw const *b.tags));
    assert!(std::ptr::eq(&raw const *a.success_codes, &raw const *b.success_codes));
    assert!(std::ptr::eq(a.cwd.as_deref().unwrap(), b.cwd.as_deref().unwrap()));
    assert!(std::ptr::eq(a.user.as_deref().unwrap(), b.user.as_deref().unwrap()));
}

#[test]
fn an_empty_config_is_a_cluster_on_this_machine() {
    let Config { cluster, http, log, jobs, sources } = config("");
    assert_eq!(http, None);
    assert_eq!((cluster.name.as_str(), cluster.node.as_str()), ("default", "web-1"));
    let path = "/home/ada/.local/state/solocron/solocron.db".into();
    assert_eq!(cluster.store, StoreConfig::Sqlite { path });
    assert_eq!(cluster.max_clock_skew, Duration::from_secs(5));
    assert_eq!(cluster.heartbeat, Duration::from_secs(5));
    assert_eq!(cluster.drain_timeout, Duration::from_secs(30));
    assert_eq!(cluster.max_running, None);
    let keep = Duration::from_secs(30 * 86_400);
    assert_eq!(cluster.history, HistoryPolicy { keep, per_job: 1000 });
    assert_eq!(log, LogConfig { format: LogFormat::Text, filter: "info".to_owned() });
    assert_eq!((jobs.len(), sources), (0, vec![PathBuf::from("solocron.toml")]));
}

#[test]
fn what_is_given_beside_the_files_goes_over_them() {
    let text = "[cluster]\nname='file'\nnode='file'\nstore='${UNSET}'\n[log]\nformat='text'\nfilter='warn'";
    let overrides = Overrides {
        store: Some(Override::new("--store", "redis://10.0.0.5")),
        cluster: Some(Override::new("--cluster", "flag")),
        node: Some(Override::new("SOLOCRON_NODE", "env")),
        log_filter: Some(Override::new("SOLOCRON_LOG", "debug")),
        log_format: Some(LogFormat::Json),
    };
    assert!(read(text).is_err());
    let given = read_with(text, &overrides, &machine());
    // A mistake in the file is one, whatever goes over it.
    assert_eq!(
        first_lines(&given.unwrap_err()),
        ["4:8: error: `store`: the variable `UNSET` is not set"]
    );
    let config = read_with(text, &overrides, &machine().set("UNSET", "sqlite:x")).unwrap().config;
    assert_eq!(config.cluster.store.to_string(), "redis://10.0.0.5:6379/0");
    assert_eq!((config.cluster.name.as_str(), config.cluster.node.as_str()), ("flag", "env"));
    assert_eq!(config.log, LogConfig { format: LogFormat::Json, filter: "debug".to_owned() });
    assert_eq!(config.sources.len(), 1);
}

#[test]
fn a_mistake_beside_the_files_is_told_where_it_was_made() {
    let overrides = Overrides {
        store: Some(Override::new("--store", "redsi://u:hunter2@h")),
        cluster: Some(Override::new("SOLOCRON_CLUSTER", "a b")),
        node: Some(Override::new("--node", "")),
        log_filter: Some(Override::new("SOLOCRON_LOG", "inof")),
        log_format: None,
    };
    let errors = read_with("", &overrides, &machine()).unwrap_err();
    insta::assert_snapshot!(errors);
}

#[test]
fn a_host_without_a_fitting_name_is_told_to_give_one() {
    for (host, node) in
        [("web-1", "web-1"), ("My Mac.local", "My-Mac.local"), ("_x_", "x"), ("été", "t")]
    {
        let loaded = read_with("", &Overrides::default(), &machine().host(host)).unwrap();
        assert_eq!(loaded.config.cluster.node.as_str(), node);
    }
    let long = "x".repeat(300);
    assert!(read_with("", &Overrides::default(), &machine().host(&long)).is_ok());
    for host in ["", "---", "日本"] {
        let errors = read_with("[log]", &Overrides::default(), &machine().host(host)).unwrap_err();
        assert!(errors.to_string().contains("--node or SOLOCRON_NODE"), "{errors}");
        assert!(
            read_with("[cluster]\nnode='a'", &Overrides::default(), &machine().host(host)).is_ok()
        );
    }
}

#[test]
fn without_a_home_a_store_needs_an_absolute_path() {
    let nowhere = Fixed::default().host("web-1");
    let errors =
        read_with("[cluster]\nstore = 'sqlite:x.db'", &Overrides::default(), &nowhere).unwrap_err();
    assert_eq!(
        first_lines(&errors),
        ["2:9: error: there is no state directory to keep the store in"]
    );
    assert!(
        read_with("[cluster]\nstore = 'sqlite:/x.db'", &Overrides::default(), &nowhere).is_ok()
    );
}
