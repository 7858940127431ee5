//! As whom a run executes: the user database is asked before the fork, because
//! nothing between fork and exec may ask it.

use std::path::PathBuf;

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User, getegid, geteuid, getgrouplist};

use super::failure::NotStarted;

/// Who the command will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    /// The user's home, whether it exists or not.
    pub(super) home: PathBuf,
    /// What to become; nothing when the daemon is it already.
    pub(super) change: Option<Credentials>,
}

/// The ids to take on, and what the job calls them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) uid: Uid,
    pub(super) gid: Gid,
    pub(super) groups: Vec<Gid>,
    /// `user backup` or `group backup`, for messages.
    pub(super) wanted: String,
    /// The key of the job that asks for it.
    pub(super) key: &'static str,
    /// `web (uid 33)`: who asks, for messages.
    pub(super) own: String,
}

/// Looks `user` and `group` up, each by name first and then as a number. May
/// block for as long as the user database does.
pub(super) fn resolve(user: Option<&str>, group: Option<&str>) -> Result<Account, NotStarted> {
    let own = geteuid();
    let (uid, entry) = match user {
        None => (own, asked(User::from_uid(own), || format!("uid {own}"))?),
        Some(text) => find_user(text)?,
    };
    let home = entry.as_ref().map_or_else(|| PathBuf::from("/"), |entry| entry.dir.clone());
    if user.is_none() && group.is_none() {
        return Ok(Account { home, change: None });
    }
    let gid = match (group, &entry, user) {
        (Some(text), ..) => find_group(text)?,
        (None, Some(entry), _) => entry.gid,
        (None, None, text) => {
            return Err(NotStarted::NoGroup(text.unwrap_or_default().into()));
        }
    };
    if uid == own && gid == getegid() && !own.is_root() {
        return Ok(Account { home, change: None });
    }
    let groups = match &entry {
        Some(entry) => supplementary(entry, gid)?,
        None => vec![gid],
    };
    let (wanted, key) = match (user, group) {
        (Some(user), _) if uid != own => (format!("user {user}"), "user"),
        (_, Some(group)) => (format!("group {group}"), "group"),
        (user, None) => (format!("user {}", user.unwrap_or_default()), "user"),
    };
    let own = match User::from_uid(own) {
        Ok(Some(entry)) => format!("{} (uid {own})", entry.name),
        _ => format!("uid {own}"),
    };
    Ok(Account { home, change: Some(Credentials { uid, gid, groups, wanted, key, own }) })
}

fn find_user(text: &str) -> Result<(Uid, Option<User>), NotStarted> {
    if let Some(entry) = asked(User::from_name(text), || format!("user {text}"))? {
        return Ok((entry.uid, Some(entry)));
    }
    let uid = text.parse().map_err(|_| NotStarted::UnknownUser(text.into()))?;
    let uid = Uid::from_raw(uid);
    Ok((uid, asked(User::from_uid(uid), || format!("user {text}"))?))
}

fn find_group(text: &str) -> Result<Gid, NotStarted> {
    match asked(Group::from_name(text), || format!("group {text}"))? {
        Some(entry) => Ok(entry.gid),
        None => match text.parse() {
            Ok(gid) => Ok(Gid::from_raw(gid)),
            Err(_) => Err(NotStarted::UnknownGroup(text.into())),
        },
    }
}

fn supplementary(entry: &User, gid: Gid) -> Result<Vec<Gid>, NotStarted> {
    let failed = |errno| {
        let asked = format!("the groups of user {}", entry.name).into();
        NotStarted::UserDatabase { asked, errno }
    };
    let name = std::ffi::CString::new(entry.name.as_str()).map_err(|_| failed(Errno::EINVAL))?;
    getgrouplist(&name, gid).map_err(failed)
}

/// Some sources of the user database say "no such entry" by an error.
fn asked<T>(
    answer: nix::Result<Option<T>>,
    what: impl FnOnce() -> String,
) -> Result<Option<T>, NotStarted> {
    match answer {
        Ok(entry) => Ok(entry),
        Err(Errno::ENOENT | Errno::ESRCH) => Ok(None),
        Err(errno) => Err(NotStarted::UserDatabase { asked: what().into(), errno }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_asked_for_means_the_daemon_itself() {
        let account = resolve(None, None).unwrap();
        assert_eq!(account.change, None);
        let own = User::from_uid(geteuid()).unwrap().unwrap();
        assert_eq!(account.home, own.dir);
    }

    #[test]
    fn a_user_is_found_by_name_and_by_number() {
        let root = resolve(Some("root"), None).unwrap();
        assert_eq!(root, {
            let mut by_number = resolve(Some("0"), None).unwrap();
            if let Some(change) = &mut by_number.change {
                change.wanted = "user root".into();
            }
            by_number
        });
        assert_eq!(root.home, PathBuf::from("/root"));
    }

    #[test]
    fn unknown_names_are_told_apart() {
        for (user, group, message) in [
            (Some("no-such-user"), None, "there is no user \"no-such-user\""),
            (None, Some("no-such-group"), "there is no group \"no-such-group\""),
            (Some("-1"), None, "there is no user \"-1\""),
            (
                Some("3999999999"),
                None,
                "user 3999999999 is not in the user database, so its group is not known: \
                 set `group` too",
            ),
        ] {
            let error = resolve(user, group).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn a_number_without_an_entry_runs_with_the_group_given_and_no_other() {
        let account = resolve(Some("3999999999"), Some("3999999998")).unwrap();
        assert_eq!(account.home, PathBuf::from("/"));
        let change = account.change.unwrap();
        assert_eq!((change.uid.as_raw(), change.gid.as_raw()), (3_999_999_999, 3_999_999_998));
        assert_eq!(change.groups, [change.gid]);
    }
}
