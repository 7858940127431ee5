//! What a command sees of the world: a clean environment, nothing of the daemon's.
//!
//! | variable | value |
//! |---|---|
//! | `PATH` | [`PATH`] |
//! | `HOME` | the home of the user that the command runs as |
//! | `LANG` | the daemon's, else `C.UTF-8` |
//! | `TZ` | the job's zone |
//! | the job's `env` | as written; it may override those above |
//! | `SOLOCRON_CLUSTER` … `SOLOCRON_FENCE` | which run this is; nothing overrides them |
//! | `TRACEPARENT` | where in its trace the run stands, where there are traces; likewise |

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::call;
use super::task::{Identity, Task};
use crate::table::RunVariable;

/// Where programs are looked for unless the job says otherwise.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The variables of one run, by name.
pub(super) fn environment(
    task: &Task,
    identity: &Identity,
    home: &Path,
    lang: Option<OsString>,
) -> BTreeMap<String, OsString> {
    let mut all = BTreeMap::new();
    let mut set = |name: &str, value: &OsStr| {
        all.insert(name.to_owned(), value.to_owned());
    };
    set("PATH", PATH.as_ref());
    set("HOME", home.as_os_str());
    set("LANG", lang.as_deref().filter(|lang| !lang.is_empty()).unwrap_or("C.UTF-8".as_ref()));
    set("TZ", task.timezone.as_ref().as_ref());
    for variable in task.env.iter() {
        set(&variable.name, variable.value.as_ref().as_ref());
    }
    for &variable in RunVariable::ALL {
        set(variable.as_str(), call::value(identity, variable).as_ref());
    }
    if let Some(parent) = identity.trace {
        set("TRACEPARENT", parent.to_string().as_ref());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::tests::{identity, shell};
    use crate::table::Variable;
    use crate::trace::TraceParent;

    #[test]
    fn the_job_overrides_the_defaults_but_not_which_run_it_is() {
        let mut task = shell("true");
        task.timezone = "Europe/Berlin".into();
        let plain = environment(&task, &identity(), Path::new("/home/web"), None);
        assert_eq!(plain["PATH"], PATH);
        assert_eq!(plain["HOME"], "/home/web");
        assert_eq!(plain["LANG"], "C.UTF-8");
        assert_eq!(plain["TZ"], "Europe/Berlin");
        assert_eq!(plain["SOLOCRON_SLOT"], "2026-11-22T03:00:00Z");
        assert_eq!(plain["SOLOCRON_FENCE"], "1795316400000000");

        task.env = [
            ("PATH", "/opt/bin"),
            ("TZ", "UTC"),
            ("LANG", "C"),
            ("SOLOCRON_FENCE", "0"),
            ("SOLOCRON_STORE", "redis://x"),
        ]
        .map(|(name, value)| Variable::plain(name, value))
        .into();
        let own = environment(&task, &identity(), Path::new("/home/web"), Some("de_DE".into()));
        assert_eq!(own["PATH"], "/opt/bin");
        assert_eq!(own["TZ"], "UTC");
        assert_eq!(own["LANG"], "C");
        assert_eq!(own["SOLOCRON_FENCE"], "1795316400000000");
        assert_eq!(own["SOLOCRON_STORE"], "redis://x");
        assert_eq!(own.len(), plain.len() + 1);
    }

    #[test]
    fn a_run_that_stands_in_a_trace_is_told_where() {
        let mut identity = identity();
        identity.trace = Some(TraceParent { trace: 0xa, span: 0xb, sampled: false });
        let all = environment(&shell("true"), &identity, Path::new("/"), None);
        let parent = "00-0000000000000000000000000000000a-000000000000000b-00";
        assert_eq!(all["TRACEPARENT"], parent);
    }

    #[test]
    fn the_language_of_the_daemon_is_passed_on() {
        let all = environment(&shell("true"), &identity(), Path::new("/"), Some("de_DE".into()));
        assert_eq!(all["LANG"], "de_DE");
        let all = environment(&shell("true"), &identity(), Path::new("/"), Some("".into()));
        assert_eq!(all["LANG"], "C.UTF-8");
    }
}
