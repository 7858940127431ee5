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

pub(crate) mod cancelling;
mod cast;
pub(crate) mod catching_up;
pub(crate) mod claiming;
pub(crate) mod controlling;
pub(crate) mod cursors;
pub(crate) mod ending;
pub(crate) mod handing_over;
pub(crate) mod lapsing;
pub(crate) mod meeting;
pub(crate) mod overlapping;
pub(crate) mod pausing;
pub(crate) mod remembering;
pub(crate) mod renewing;
pub(crate) mod replacing;
pub(crate) mod retrying;
pub(crate) mod taking_over;
pub(crate) mod triggering;
pub(crate) mod watching;

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
                of_several_jobs_and_instants_in_a_batch_each_claim_goes_by_its_own_terms
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
                a_slot_that_was_handed_to_nobody_is_abandoned
                a_slot_that_was_handed_over_after_all_is_not_abandoned_as_lost
                a_forfeited_claim_is_missed_and_never_runs
                only_what_runs_under_its_token_is_forfeited
                the_next_that_may_lapse_is_told
            }
            handing_over {
                the_next_claim_wins_at_once_whatever_its_window
                of_many_claims_one_takes_it
                it_stands_among_the_lapsed_until_it_is_taken
                the_token_that_handed_over_never_wins_again
                a_copy_of_it_is_ours_and_writes_nothing_whatever_has_become_of_the_slot
                its_old_lease_is_not_renewed
                another_end_after_it_writes_nothing
                the_cursor_does_not_bind_it
            }
            taking_over {
                a_lapsed_lease_is_taken_over_with_a_larger_fence_and_its_run_is_told
                of_many_that_take_over_one_wins_and_the_lost_run_is_told_once
                the_same_takeover_again_is_won_with_the_same_fence
                only_the_token_that_lost_its_lease_is_taken_over
                a_takeover_is_bound_by_no_window_and_no_cursor
                a_slot_is_taken_over_no_more_often_than_its_job_allows
                a_slot_that_must_not_run_again_is_abandoned_with_the_reason
                a_holder_that_comes_back_after_a_takeover_learns_it
                a_holder_that_comes_back_before_it_keeps_its_slot
                a_slot_that_was_taken_over_is_handed_over_and_ends_as_any_other
            }
            overlapping {
                where_it_is_allowed_slots_of_one_job_run_at_once
                a_slot_that_is_due_while_another_runs_is_missed
                what_is_not_due_yet_is_early_while_another_has_the_turn_and_won_when_it_is_free
                slots_missed_one_after_another_are_one_entry
                of_many_slots_claimed_at_once_one_runs
                slots_of_one_batch_meet_in_its_order
                a_slot_that_waits_is_woken_when_the_one_before_is_settled
                the_newest_that_waits_replaces_the_one_before_which_is_missed
                an_older_slot_does_not_take_the_place_of_a_newer_that_waits
                one_that_is_due_when_the_turn_is_free_replaces_the_one_that_waited
                a_slot_that_is_handed_over_keeps_its_turn
                a_dead_node_s_turn_goes_to_the_next_where_its_slot_may_not_run_again
                who_settles_a_dead_node_s_slot_does_not_go_before_those_that_wait
                a_slot_that_a_claim_settles_is_kept_as_that_says
                a_dead_node_s_turn_stays_with_its_slot_where_that_may_run_again
                whoever_settles_a_lost_slot_wakes_the_one_that_waits
                what_waits_and_is_abandoned_leaves_its_place_to_the_next
            }
            replacing {
                one_that_replaces_has_the_run_in_progress_cancelled_and_waits
                one_that_replaces_takes_the_turn_of_a_slot_that_nobody_runs
                what_waits_does_not_have_a_run_cancelled_that_went_before_it
            }
            retrying {
                a_slot_that_is_tried_again_stays_with_its_holder
                a_copy_of_it_is_ours_and_writes_nothing_whatever_came_after
                what_failed_is_counted_through_hand_over_and_takeover
                a_lapsed_lease_that_nobody_settled_is_still_tried_again
                a_lost_holder_cannot_have_it_tried_again
                a_slot_that_is_handed_over_for_later_is_left_alone_until_then
            }
            catching_up {
                slots_that_are_caught_up_are_ready_for_whoever_claims_them
                in_turn_they_run_oldest_first_and_one_after_another
                they_wait_for_a_slot_that_runs
                a_slot_that_is_due_does_not_go_before_them
                one_that_has_a_record_is_left_as_it_is
                a_report_that_moves_no_cursor_makes_nothing_ready
            }
            triggering {
                a_triggered_slot_is_ready_at_once_for_whoever_claims_it
                the_same_wish_again_is_the_same_slot
                many_that_send_the_same_wish_make_one_slot
                only_a_triggered_slot_is_triggered
                wishes_of_one_second_and_the_scheduled_slot_are_slots_of_their_own
                a_triggered_run_is_no_record_of_the_schedule_s_slot
                wishes_wait_for_their_turn_in_order_and_none_is_dropped
                a_slot_that_is_due_does_not_go_before_a_wish_that_waits
                a_wish_replaces_the_run_in_progress_where_the_job_says_so
            }
            pausing {
                slots_of_a_paused_job_are_missed
                a_slot_that_is_not_due_yet_is_not_missed_for_a_pause_that_may_end
                a_pause_begins_once_and_ends_once
                a_pause_stops_nothing_that_runs_or_was_asked_for
                what_was_due_in_a_pause_stays_missed_after_it
                slots_missed_in_one_pause_are_one_entry
                everybody_learns_which_jobs_are_and_were_paused
            }
            cancelling {
                a_run_that_is_not_in_progress_is_not_cancelled
                a_run_in_progress_is_marked_and_its_node_told
                a_later_attempt_is_cancelled_by_its_own_id
                a_marked_run_may_end_as_it_will
                a_marked_run_that_is_handed_over_is_cancelled
                a_marked_run_that_is_lost_is_cancelled_by_who_would_take_it_over
                a_marked_run_that_is_lost_is_cancelled_by_who_abandons_it
                a_marked_run_that_is_lost_is_cancelled_by_who_takes_its_turn
                what_was_asked_for_stays_so_when_a_newer_slot_replaces_it
                the_mark_stays_through_a_retry
            }
            controlling {
                a_reload_is_asked_of_all_or_of_one
                every_command_shows_in_the_sweep
                a_published_table_is_seen_by_all_in_order_of_name
                a_table_that_nobody_publishes_any_more_is_forgotten
                a_heartbeat_brings_back_who_goes_by_another_table
            }
            watching {
                output_is_shown_to_who_watches
                who_watches_no_more_is_forgotten_and_so_is_what_was_shown
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
                the_newest_entries_of_each_job_are_told_in_the_order_of_the_jobs
                every_slot_that_is_not_settled_is_listed_with_its_record
                the_output_of_each_run_is_found_by_its_id
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
                a_heartbeat_is_dated_by_the_store
                a_silent_node_is_gone_and_its_heartbeat_replaces_none
                a_node_that_leaves_takes_only_its_own_heartbeat
                time_goes_forward_and_is_the_same_for_all
                a_store_that_answers_is_up_and_inspected_and_a_closed_one_refuses
                a_store_closes_in_the_middle_of_calls
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
