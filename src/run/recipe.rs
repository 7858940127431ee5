//! What a child needs between fork and exec, as it crosses from the daemon, which
//! knows jobs and users, to the keeper, which knows neither.

use std::ffi::CString;
use std::os::fd::RawFd;
use std::time::Duration;

use nix::libc;
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid};

use super::bytes::{Reader, Writer};
use super::decide::Limits;

/// The image of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recipe {
    /// The files to try in turn. A relative one is meant from the working directory.
    pub(super) candidates: Vec<CString>,
    /// Never empty.
    pub(super) argv: Vec<CString>,
    pub(super) environment: Vec<CString>,
    /// The working directories to try in turn, unless one is handed over.
    pub(super) dirs: Vec<CString>,
    pub(super) umask: Option<Mode>,
    /// The signals that it ignores from the start, a bit each, as `/proc` has them.
    pub(super) ignored: u64,
    /// What to become, if anything else.
    pub(super) ids: Option<Ids>,
}

/// Whose rights the command has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) uid: Uid,
    pub(super) gid: Gid,
    pub(super) groups: Vec<Gid>,
}

/// All that a keeper is given before it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Brief {
    pub(super) recipe: Recipe,
    pub(super) limits: Limits,
    pub(super) timeout: Option<Duration>,
    /// The soft and the hard limit on open files that the command gets.
    pub(super) open_files: Option<(u64, u64)>,
    /// Under which numbers the command has the descriptors that are handed over, in the
    /// order in which they come.
    pub(super) numbers: Vec<RawFd>,
}

/// The number of the working directory among [`Brief::numbers`]: the kernel's own.
pub(super) const WORKING_DIRECTORY: RawFd = libc::AT_FDCWD;

impl Brief {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let Self { recipe, limits, timeout, open_files, numbers } = self;
        let mut out = Writer::default();
        for texts in [&recipe.candidates, &recipe.argv, &recipe.environment, &recipe.dirs] {
            out.list(texts, |out, text| out.text(text));
        }
        out.option(recipe.umask, |out, mask| out.u32(mask.bits())).u64(recipe.ignored);
        out.option(recipe.ids.as_ref(), |out, ids| {
            out.u32(ids.uid.as_raw()).u32(ids.gid.as_raw());
            out.list(&ids.groups, |out, group| out.u32(group.as_raw()))
        });
        out.duration(limits.kill_grace).duration(limits.grace_on_loss);
        out.option(*timeout, Writer::duration);
        out.option(*open_files, |out, (soft, hard)| out.u64(soft).u64(hard));
        out.list(numbers, |out, number| out.u32(number.cast_unsigned()));
        out.finish()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let from = &mut Reader::new(bytes);
        let recipe = Recipe {
            candidates: from.list(Reader::text)?,
            argv: from.list(Reader::text)?,
            environment: from.list(Reader::text)?,
            dirs: from.list(Reader::text)?,
            umask: from.option(|from| from.u32().map(Mode::from_bits_truncate))?,
            ignored: from.u64()?,
            ids: from.option(|from| {
                Some(Ids {
                    uid: Uid::from_raw(from.u32()?),
                    gid: Gid::from_raw(from.u32()?),
                    groups: from.list(|from| from.u32().map(Gid::from_raw))?,
                })
            })?,
        };
        let limits = Limits { kill_grace: from.duration()?, grace_on_loss: from.duration()? };
        let timeout = from.option(Reader::duration)?;
        let open_files = from.option(|from| Some((from.u64()?, from.u64()?)))?;
        let numbers = from.list(|from| from.u32().map(u32::cast_signed))?;
        (!recipe.argv.is_empty()).then_some(Self { recipe, limits, timeout, open_files, numbers })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts() -> impl Strategy<Value = Vec<CString>> {
        let text = proptest::collection::vec(1..=u8::MAX, 0..20);
        proptest::collection::vec(text.prop_map(|text| CString::new(text).unwrap()), 1..5)
    }

    fn brief() -> impl Strategy<Value = Brief> {
        let ids = (any::<u32>(), any::<u32>(), proptest::collection::vec(any::<u32>(), 0..4));
        let recipe = (texts(), texts(), texts(), texts(), any::<(Option<u32>, u64)>());
        (
            recipe,
            proptest::option::of(ids),
            any::<[u32; 2]>(),
            any::<Option<u32>>(),
            (any::<Option<(u64, u64)>>(), proptest::collection::vec(any::<RawFd>(), 0..4)),
        )
            .prop_map(
                |(
                    (candidates, argv, environment, dirs, (umask, ignored)),
                    ids,
                    graces,
                    timeout,
                    (open_files, numbers),
                )| {
                    let [kill_grace, grace_on_loss] =
                        graces.map(|ms| Duration::from_millis(ms.into()));
                    Brief {
                        recipe: Recipe {
                            candidates,
                            argv,
                            environment,
                            dirs,
                            umask: umask.map(Mode::from_bits_truncate),
                            ignored,
                            ids: ids.map(|(uid, gid, groups)| Ids {
                                uid: Uid::from_raw(uid),
                                gid: Gid::from_raw(gid),
                                groups: groups.into_iter().map(Gid::from_raw).collect(),
                            }),
                        },
                        limits: Limits { kill_grace, grace_on_loss },
                        timeout: timeout.map(|ms| Duration::from_millis(ms.into())),
                        open_files,
                        numbers,
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn a_brief_survives_the_way_and_nothing_comes_of_a_part_of_it(brief in brief()) {
            let bytes = brief.to_bytes();
            prop_assert_eq!(Brief::from_bytes(&bytes), Some(brief));
            for length in 0..bytes.len() {
                prop_assert_eq!(Brief::from_bytes(&bytes[..length]), None);
            }
        }
    }
}
