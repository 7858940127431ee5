//! The contract of a lock, as cases that every backend passes, and the table that says
//! which case ran where.
//!
//! A backend joins with a [`Fixture`] and one line in `backends!` below, which makes one
//! test of each case and one column of the table. A case is an `async fn(&impl Fixture)`
//! in the file of its theme and is listed in `cases!`, with what it needs of a backend: a
//! case left out there is dead code, which the lints refuse. What the tests run and what
//! the table prints is decided by the same list and the same [`Need::met_by`].
//!
//! Cases run in real time on a machine that may be busy: a lock that must live is long,
//! one that must lapse is short, and states are waited for.

use std::sync::Arc;
use std::time::Duration;

use solocron::lock::Locks;
use solocron::name::ClusterName;
use solocron::store::locks::LockStore;
use solocron::store::sqlite::{Options, SqliteStore};

use crate::harness::redis_server::RedisServer;

pub(crate) mod cancelling;
mod cast;
pub(crate) mod failing;
pub(crate) mod holding;
pub(crate) mod losing;
pub(crate) mod model;
pub(crate) mod refusing;
pub(crate) mod voting;
pub(crate) mod waiting;

pub(crate) use cast::*;

/// A backend under test: data of its own, gone when it is dropped.
pub(crate) trait Fixture: Sized + Send + Sync + 'static {
    /// What cases may ask of it.
    const OFFERS: &'static [Need];

    /// A store with nothing in it, maybe on servers that other cases use as well.
    fn start() -> Self;

    /// The same on servers that nobody else uses: they can be stopped.
    fn alone() -> Self {
        Self::start()
    }

    /// Where it is, as another process would be told.
    fn address(&self) -> String;

    /// The cluster in it.
    fn cluster(&self) -> ClusterName {
        cluster()
    }

    /// What is left of locks and of queues for them.
    fn residue(&self) -> Vec<String>;

    /// Lets a lock lapse now.
    fn lapse(&self, name: &str);

    /// From now on nothing is answered, until it is [thawed](Self::thaw).
    fn freeze(&self);

    /// It goes on, with what was sent to it meanwhile.
    fn thaw(&self);

    /// Has a server forget the scripts that it was taught.
    fn forget_scripts(&self) {
        panic!("it offers no `Scripts`")
    }

    /// Puts something of another program where the lock `name` belongs: as another type,
    /// or as a text.
    fn block(&self, _name: &str, _as_text: bool) {
        panic!("it offers no `OpenKeys`")
    }

    /// Its servers, where there are several.
    fn servers(&self) -> &[RedisServer] {
        panic!("it offers no `Quorum`")
    }

    /// Waits until what was asked for has come to rest at all of them: an answer may be
    /// there before. For cases that look at a lock from the side, or speak for one token
    /// from two stores.
    fn settle(&self) {}

    /// The store behind it, as another process would have it, with connections of its own.
    fn store(&self) -> Arc<dyn LockStore> {
        store_at(&self.address(), &self.cluster(), PATIENT)
    }

    /// Its locks, with connections of their own.
    fn locks(&self) -> Locks {
        Locks::new(self.store())
    }

    /// The same, where no call takes longer than `bound`.
    fn hasty_locks(&self, bound: Duration) -> Locks {
        Locks::new(store_at(&self.address(), &self.cluster(), bound))
    }
}

/// What a case needs of a backend beyond what all of them have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing.
    Nothing,
    /// A server that knows scripts by heart.
    Scripts,
    /// Keys that other programs may write as well.
    OpenKeys,
    /// Servers that stop, and nobody else's case with them.
    Stops,
    /// One queue for the waiters of all processes.
    CommonQueue,
    /// Nothing, since it is about timers of the library's own, in front of whatever store.
    /// They take their time, and are looked at before one server and a file.
    Timers,
    /// A queue in which nobody is ever called before those in front: several servers may
    /// disagree for a moment.
    StrictQueue,
    /// A vote of several servers that nobody else uses.
    Quorum,
}

impl Need {
    pub(crate) const fn met_by(self, offers: &[Self]) -> bool {
        let mut at = 0;
        while at < offers.len() {
            if offers[at] as u8 == self as u8 {
                return true;
            }
            at += 1;
        }
        matches!(self, Self::Nothing)
    }
}

/// A call may take so long on a busy machine.
pub(crate) const PATIENT: Duration = Duration::from_secs(10);

/// The store at `address`, whose calls take no longer than `bound`. Where sentinels watch
/// over a master, what its replica has acknowledged is what counts.
pub(crate) fn store_at(
    address: &str,
    cluster: &ClusterName,
    bound: Duration,
) -> Arc<dyn LockStore> {
    use solocron::address::{RedisAddress, StoreConfig, parse_all};
    let mut config = parse_all(address).unwrap();
    match &mut config {
        StoreConfig::Sqlite { path } => {
            let options = Options { bound, ..Options::default() };
            return Arc::new(SqliteStore::open(path, cluster, options).unwrap());
        }
        StoreConfig::Redis(server) => {
            server.timeout = bound;
            if let RedisAddress::Sentinel(_) = server.address {
                server.min_acks = Some(1);
            }
        }
        StoreConfig::Quorum(servers) => servers.iter_mut().for_each(|s| s.timeout = bound),
    }
    solocron::store::open::open_locks(&config, cluster, None, bound).unwrap()
}

pub(crate) fn cluster() -> ClusterName {
    ClusterName::new("prod").unwrap()
}

/// Hands the list of cases to the macro `$then`, behind `$with`.
macro_rules! cases {
    ($then:ident! { $($with:tt)* }) => {
        $then! { $($with)*
            holding {
                create_and_release: Nothing,
                a_second_try_learns_the_holder: Nothing,
                independent_names: Nothing,
                many_at_once_have_each_what_they_asked_for: Nothing,
                ten_relocks_in_a_row: Nothing,
                expiry: Nothing,
                a_hundred_callers_one_winner: Nothing,
                counter_under_eight_tasks_on_two_locks: Nothing,
                acquire_after_expiry: Nothing,
                metadata_round_trip: Nothing,
                same_token_again_is_held: Nothing,
                several_keys_all_or_nothing: Nothing,
                several_keys_in_any_order_never_wait_for_each_other: Nothing,
                a_ttl_of_one_millisecond_leaves_no_key: Nothing,
                a_minimum_hold_time_is_kept_after_release: Nothing,
            }
            waiting {
                retry_limit: Nothing,
                deadline_on_time_with_its_cause: Nothing,
                deadline_while_the_store_is_away: Stops,
                the_backoff_sequence: Timers,
                woken_in_order_of_arrival: Nothing,
                who_waits_is_called_after_a_minimum_hold_time: Nothing,
                hand_overs_within_a_process_are_prompt: Nothing,
                hand_overs_between_processes_are_prompt: Nothing,
                a_killed_waiter_holds_up_nobody: Nothing,
                a_stopped_waiter_holds_others_up_for_a_second_at_most: Nothing,
                processes_share_locks: Nothing,
            }
            losing {
                release_of_an_expired_lock: Nothing,
                release_of_a_foreign_lock: Nothing,
                release_after_takeover: Nothing,
                stale_extend_leaves_the_successors_ttl: Nothing,
                a_lost_refresh_is_not_retried: Timers,
                a_transient_one_is: Nothing,
                trust_counts_from_the_send: Timers,
                keep_alive_timing: Timers,
                keep_alive_stops_on_loss: Nothing,
                an_extension_to_less_is_kept_alive_too: Timers,
                an_extension_without_measure_is_refused: Nothing,
                a_loss_says_why_it_could_not_be_averted: Timers,
                who_looks_at_what_he_was_told_may_ask_the_guard: Timers,
            }
            failing {
                lost_reply_then_same_token: Nothing,
                a_lost_reply_that_nobody_follows_up_leaves_no_lock: Nothing,
                a_stopped_server_gives_a_bounded_error_and_its_late_set_is_cleaned: Stops,
                script_flush_is_not_noticed: Scripts,
                a_key_of_another_program_is_named_and_left_alone: OpenKeys,
                a_closed_store_says_so: Nothing,
            }
            cancelling {
                a_cancelled_wait_says_so_and_leaves_no_place: Nothing,
                a_wait_dropped_before_the_call_hands_it_on: Nothing,
                a_wait_dropped_just_after_the_call_hands_it_on: Nothing,
                attempts_dropped_at_any_instant_leave_nothing_and_never_two_holders: Nothing,
                waits_dropped_at_any_instant_leave_nothing_and_never_two_holders: Nothing,
            }
            refusing {
                names_that_are_none: Nothing,
                requests_that_make_no_sense: Nothing,
                a_ttl_shorter_than_a_round_trip: Nothing,
                a_wait_shorter_than_a_round_trip: Nothing,
            }
            model {
                random_histories_are_answered_as_the_model_does: Nothing,
            }
            voting {
                extend_on_every_node: Quorum,
                every_mask_of_foreign_keys: Quorum,
                relock_on_extend: Quorum,
            }
        }
    };
}

/// Makes one test of each case for one backend.
macro_rules! tests {
    ($fixture:ty; $($theme:ident { $($case:ident: $need:ident,)* })*) => {
        $(tests! { @ $fixture; $theme { $($case: $need,)* } })*
    };
    (@ $fixture:ty; $theme:ident { $($case:ident: $need:ident,)* }) => {
        mod $theme {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                use $crate::contract::{Fixture, Need};
                if Need::$need.met_by(<$fixture as Fixture>::OFFERS) {
                    let fixture = match Need::$need {
                        Need::Stops | Need::Quorum => <$fixture as Fixture>::alone(),
                        _ => <$fixture as Fixture>::start(),
                    };
                    $crate::contract::$theme::$case(&fixture).await;
                }
            })*
        }
    };
}

/// The same cases as a table.
macro_rules! table {
    ($($theme:ident { $($case:ident: $need:ident,)* })*) => {
        const CASES: &[(&str, &str, Need)] =
            &[$($((stringify!($theme), stringify!($case), Need::$need),)*)*];
    };
}

cases! { table! {} }

macro_rules! backends {
    ($($name:ident: $fixture:ty,)*) => {
        $(mod $name {
            cases! { tests! { $fixture; } }
        })*
        const BACKENDS: &[(&str, &[Need])] =
            &[$((stringify!($name), <$fixture as Fixture>::OFFERS),)*];
    };
}

backends! {
    redis: crate::redis::Server,
    sentinel: crate::sentinel::Shared,
    cluster: crate::redis_cluster::Shared,
    sqlite: crate::sqlite::File,
    quorum: crate::quorum::Three,
}

#[test]
fn which_case_runs_on_which_backend() {
    let names = BACKENDS.iter().map(|(name, _)| format!("{name:>9}")).collect::<String>();
    println!("{:76}{names}", "case");
    for (theme, case, need) in CASES {
        let runs = BACKENDS.iter().map(|(_, offers)| match need.met_by(offers) {
            true => "runs",
            false if *need == Need::Timers => "as redis",
            false => "-",
        });
        let row = runs.map(|runs| format!("{runs:>9}")).collect::<String>();
        println!("{:76}{row}", format!("{theme}::{case}"));
    }
    println!("-: it has nothing of the kind; as redis: timers, whatever the store");
    assert!(CASES.iter().filter(|(_, _, need)| *need == Need::Nothing).count() > 40);
}
