//! The engine over both pairs: from a submission to a result, and everything that can come between.

mod limits;
mod rescue;
mod runs;
mod shutdown;
mod stops;

use crate::support::engine::PATIENCE;

/// `pair` is the name of a function in `support::engine` that runs a case on an engine of its own.
macro_rules! engine {
    (pairs: $($pair:ident),+; cases: $cases:tt) => {
        $(engine!(@on $pair $cases);)+
    };
    (@on $pair:ident { $($module:ident { $($case:ident,)+ })+ }) => {
        mod $pair {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    crate::support::engine::$pair(crate::engine::$module::$case).await;
                })+
            })+
        }
    };
}

engine! {
    pairs: embedded, production;
    cases: {
        limits {
            the_hard_limit_ends_a_deaf_task_for_good_and_its_worker_lives_on,
            the_soft_limit_asks_and_the_task_is_tried_again,
            the_sweep_ends_what_runs_past_its_limit_and_nobody_ended,
        }
        rescue {
            the_tasks_of_a_killed_worker_run_again_after_its_lease,
            who_was_blind_for_a_while_does_not_judge,
            a_live_worker_never_loses_a_task_for_being_slow,
            a_process_that_has_the_store_to_itself_rescues_at_once,
            a_frozen_worker_that_thaws_cannot_settle_what_another_has_done,
            the_third_crash_is_a_failure,
            progress_forgives_the_crashes_before_it,
            a_task_that_has_seen_two_workers_die_runs_alone,
            tasks_that_are_to_run_alone_do_not_wait_for_each_other_for_ever,
            what_runs_is_stopped_before_the_lease_ends,
            an_attempt_that_the_store_gave_away_is_stopped,
            a_newer_attempt_on_the_same_worker_ends_the_older_one,
            what_the_store_says_we_run_and_we_do_not_is_handed_back,
        }
        runs {
            a_submitted_task_is_run_and_its_result_is_seen,
            a_task_waits_for_its_time,
            a_failed_attempt_is_retried_after_its_delay_until_none_is_left,
            every_attempt_is_listed_with_its_end_and_its_error,
            a_retry_waits_as_long_as_the_other_side_asked_for,
            what_no_retry_can_mend_fails_at_once,
            a_panic_ends_its_attempt_and_not_the_pool,
            what_this_version_cannot_run_is_handed_back_and_costs_nothing,
            what_nobody_can_run_fails_in_the_end,
            an_expired_task_is_not_begun,
            equal_submissions_with_one_key_make_one_task,
        }
        shutdown {
            what_runs_may_finish_within_the_grace_time,
            what_does_not_finish_stops_is_handed_back_and_runs_elsewhere,
            a_deaf_task_is_ended_by_force_handed_back_and_runs_elsewhere,
            a_begin_that_is_under_way_is_waited_for,
            a_pool_that_is_ending_fetches_nothing_more,
        }
        stops {
            a_waiting_task_is_revoked_at_once_and_its_doorbell_starts_nothing,
            a_task_that_waits_for_its_retry_is_revoked_at_once,
            a_running_task_stops_at_its_next_checkpoint,
            a_deaf_task_is_stopped_at_once_with_terminate_and_its_worker_lives_on,
            no_retry_follows_a_revoke_but_a_success_that_came_first_stays,
            a_revoke_whose_signal_was_lost_is_found_by_the_next_heartbeat,
            a_revoke_survives_the_death_of_everybody_who_knew_of_it,
            revokes_that_race_with_the_ends_leave_one_end_each,
            a_retry_by_hand_is_a_new_task_made_once_of_one_that_ended_badly,
            a_changed_task_moves_and_its_old_doorbell_starts_nothing,
        }
    }
}
