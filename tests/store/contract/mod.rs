//! The contract of a store, as cases that every backend passes.
//!
//! A backend joins with a [`Fixture`] and one line, `contract!(crate::redis::RedisFixture);`,
//! which makes one test of each case. A case is a sentence that holds, an
//! `async fn(&impl Fixture)` in the file of its theme, and is listed in the
//! macro below: a case left out there is dead code, which the lints refuse.
//!
//! Cases run in real time on a machine that may be busy: a lease that must live
//! is long, one that must lapse is short, and states are waited for.

use std::sync::Arc;

use solocron::store::Store;

mod cast;
pub(crate) mod claiming;
pub(crate) mod cursors;
pub(crate) mod ending;
pub(crate) mod handing_over;
pub(crate) mod lapsing;
pub(crate) mod meeting;
pub(crate) mod remembering;
pub(crate) mod renewing;

pub(crate) use cast::*;

/// A backend under test: data of its own, gone when it is dropped.
pub(crate) trait Fixture {
    /// An empty store.
    async fn start() -> Self;

    /// A new handle on the same data, with connections of its own, as another
    /// node or process would have.
    async fn store(&self) -> Arc<dyn Store>;
}

/// Makes one test of each case for the fixture named by its full path.
macro_rules! contract {
    ($fixture:ty) => {
        contract! { @ $fixture;
            claiming {
                the_first_claim_wins_and_the_second_learns_who_holds_it_and_for_how_long
                the_same_token_again_is_won_with_the_same_fence
                of_a_hundred_concurrent_claimants_one_wins
                verdicts_come_in_the_order_of_the_claims
                slots_of_one_job_and_jobs_of_one_instant_are_independent
                a_batch_of_five_thousand_is_won_held_renewed_and_completed
                one_slot_twice_in_a_batch_is_won_once
                fences_grow_over_slots_and_handles
                a_lapsed_slot_is_still_held_by_its_holder_with_nothing_remaining
                the_same_token_again_revives_a_lapsed_lease_that_nobody_settled
                a_first_claim_after_its_window_is_late
                the_window_binds_first_claims_only
                a_claim_may_be_early_by_the_tolerated_skew_and_no_more
                every_name_that_is_allowed_is_a_name_of_its_own
                empty_batches_have_empty_answers
            }
            ending {
                done_outlives_the_lock_and_names_who_ran_it_and_how_it_ended
                every_outcome_but_a_hand_over_settles_the_slot
                a_copy_of_a_completion_is_ours_and_writes_nothing
                a_second_completion_with_another_outcome_learns_the_first
                a_completion_with_a_foreign_token_learns_the_holder
                a_completion_of_what_was_never_claimed_is_forgotten
                a_lapsed_lease_that_nobody_settled_is_still_completed
                answers_come_in_the_order_of_the_completions
                ten_runs_in_a_row_of_one_job_each_have_their_slot
            }
            renewing {
                a_renewed_lease_outlives_several_times_its_length
                a_renewal_of_what_was_never_claimed_is_forgotten
                a_renewal_with_a_foreign_token_learns_the_holder_and_prolongs_nothing
                a_renewal_of_a_settled_slot_learns_how_it_was_settled
                a_lapsed_lease_that_nobody_settled_is_revived
                answers_come_in_the_order_of_the_renewals
            }
            lapsing {
                lapsed_slots_are_listed_longest_ago_first
                a_lapsed_slot_is_abandoned_by_one_of_many
                a_holder_that_comes_back_after_that_learns_it
                what_lives_is_settled_or_was_another_s_is_not_abandoned
                a_forfeited_claim_is_missed_and_never_runs
                only_what_runs_under_its_token_is_forfeited
            }
            handing_over {
                the_next_claim_wins_at_once_whatever_its_window
                of_many_claims_one_takes_it
                it_stands_among_the_lapsed_until_it_is_taken
                the_token_that_handed_over_never_wins_again
                a_copy_of_it_is_ours_until_another_has_taken_the_slot
                its_old_lease_is_not_renewed
                another_end_after_it_writes_nothing
                the_cursor_does_not_bind_it
            }
            cursors {
                a_cursor_is_created_once_and_then_stands
                of_many_that_create_a_cursor_all_see_the_same
                cursors_of_jobs_and_of_schedules_are_independent
                a_slot_at_or_before_the_cursor_is_past
                a_verdict_that_tells_of_a_record_moves_the_cursor_if_it_is_asked_to
                the_cursor_never_goes_back
                a_claim_creates_no_cursor
                a_cursor_that_nobody_opens_or_moves_expires
                a_cursor_that_moves_is_kept
                missed_slots_are_recorded_and_past
                missed_slots_are_recorded_by_one_of_many
                nothing_is_missed_from_where_the_cursor_does_not_stand
                nothing_is_missed_while_its_window_is_open
                each_range_is_one_entry
                without_ranges_only_the_cursor_moves
                answers_come_in_the_order_of_the_reports
                what_is_recorded_has_a_record_or_a_run_in_the_ledger
            }
            remembering {
                a_run_is_told_as_it_was
                history_is_newest_first_and_filtered
                of_each_job_the_newest_entries_stay
                what_is_too_old_is_pruned
                pruning_leaves_what_lives_alone
                output_is_kept_of_the_last_runs_of_either_kind
                output_of_any_kind_comes_back_as_it_was
                a_slot_s_story_is_told_in_every_state
                a_missed_slot_s_story_is_the_range_it_lies_in
                a_record_expires_and_its_slot_is_not_won_again
                a_record_lasts_as_long_as_its_lease_at_least
                an_open_slot_that_nobody_settles_expires_too
                a_renewal_keeps_the_record_as_long_as_it_says
            }
            meeting {
                a_heartbeat_is_seen_by_all_until_the_next_replaces_it
                a_second_start_under_one_name_is_noticed_by_both
                a_silent_node_is_gone_and_its_heartbeat_replaces_none
                a_node_that_leaves_takes_only_its_own_heartbeat
                time_goes_forward_and_is_the_same_for_all
                a_store_that_answers_is_up_and_inspected_and_a_closed_one_refuses
            }
        }
    };
    (@ $fixture:ty; $($theme:ident { $($case:ident)* })*) => {
        mod contract {
            $(mod $theme {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let fixture = <$fixture as $crate::contract::Fixture>::start().await;
                    $crate::contract::$theme::$case(&fixture).await;
                })*
            })*
        }
    };
}
