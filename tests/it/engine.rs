//! The engine over both pairs: from a submission to a result, and everything that can come between.

mod callbacks;
mod chaos;
mod children;
mod dispatches;
mod limits;
mod queues;
mod reports;
mod rescue;
mod runs;
mod schedule_changes;
pub mod schedules;
mod shutdown;
mod stops;
mod task_events;
mod upkeep;

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
        callbacks {
            every_end_sends_one_signed_callback,
            a_receiver_that_cannot_now_gets_it_once_more_after_the_delay,
        }
        chaos {
            nothing_is_lost_and_nothing_ends_twice_whatever_happens,
        }
        children {
            a_task_submits_others_once_however_many_attempts_do_so,
            a_retry_by_hand_finds_the_children_of_its_chain_and_retries_what_failed,
            a_retry_by_hand_leaves_a_child_alone_that_was_revoked_or_may_have_arrived,
            a_child_that_is_refused_says_why_and_the_others_are_taken,
            a_call_runs_through_the_engine_and_its_secrets_are_not_shown,
            the_end_of_a_child_is_waited_for,
        }
        dispatches {
            lost_dispatches_are_sent_again_after_a_grace_time,
            a_lost_backlog_is_dispatched_in_one_sweep_and_only_once_however_long_it_waits,
            what_was_fetched_and_not_started_is_dispatched_again,
            entries_that_stand_a_little_out_of_order_hide_nothing_and_look_like_no_loss,
            tasks_run_while_the_broker_delivers_and_takes_no_dispatches,
            a_slow_broker_gets_every_dispatch_once,
            a_pool_is_stalled_when_due_tasks_do_not_arrive_twice_in_a_row,
            submissions_are_taken_and_run_while_the_broker_is_away,
            the_breaker_opens_after_three_failures_and_closes_when_the_broker_is_back,
            due_sweeps_that_work_at_once_dispatch_each_task_once,
            a_dispatch_that_is_sent_twice_starts_one_attempt,
            a_start_that_fails_spends_nothing_and_the_task_runs_later,
            a_start_whose_answer_was_lost_is_released_and_runs,
            a_settlement_whose_answer_was_lost_is_not_run_twice,
            a_store_that_is_away_when_an_attempt_ends_gets_its_end_later,
            nothing_starts_while_ends_cannot_be_written,
            a_worker_that_publishes_nothing_itself_finds_out_that_the_broker_is_full,
        }
        limits {
            the_hard_limit_ends_a_deaf_task_for_good_and_its_worker_lives_on,
            the_soft_limit_asks_and_the_task_is_tried_again,
            the_sweep_ends_what_runs_past_its_limit_and_nobody_ended,
            a_rate_limit_holds_over_all_workers_and_holds_up_nobody_else,
        }
        task_events {
            a_wait_returns_with_the_end_and_looks_twice,
            a_wait_that_is_over_returns_the_present_state,
            a_wait_sees_an_end_whose_signal_was_lost,
            a_watcher_hears_every_state_and_the_progress_in_order,
            a_waiting_task_says_what_it_waits_for,
        }
        queues {
            a_paused_queue_runs_nothing_until_it_is_resumed,
            a_delivery_in_flight_when_its_queue_is_paused_is_postponed,
            a_purge_ends_what_waits_and_leaves_what_runs,
            no_more_tasks_of_a_queue_run_at_once_than_its_limits_allow,
            a_limit_that_is_lifted_lets_the_others_run_at_once,
            the_urgent_go_first_and_one_in_ten_is_of_a_lower_band,
            a_pool_that_serves_one_queue_leaves_the_others_to_others,
            where_there_are_too_many_queues_those_that_exist_go_on,
            a_drained_worker_finishes_what_runs_and_fetches_nothing_more,
        }
        reports {
            a_report_is_mailed_and_its_link_opens_the_page,
        }
        rescue {
            the_tasks_of_a_killed_worker_run_again_after_its_lease,
            who_was_blind_for_a_while_does_not_rescue,
            what_a_dead_worker_had_fetched_and_not_started_is_given_to_others,
            a_live_worker_never_loses_a_task_for_being_slow,
            a_process_that_has_the_store_to_itself_rescues_at_once,
            a_frozen_worker_that_thaws_cannot_settle_what_another_has_done,
            the_third_crash_is_a_failure,
            progress_forgives_the_crashes_before_it,
            a_task_that_has_seen_two_workers_die_runs_alone,
            suspects_run_one_after_the_other,
            a_suspect_that_finds_no_solitude_is_postponed_and_keeps_nobody,
            tasks_that_are_to_run_alone_do_not_wait_for_each_other_for_ever,
            what_runs_is_stopped_before_the_lease_ends,
            an_attempt_that_the_store_gave_away_is_stopped,
            a_newer_attempt_on_the_same_worker_ends_the_older_one,
            what_the_store_says_we_run_and_we_do_not_is_released,
        }
        runs {
            a_submitted_task_is_run_and_its_result_is_seen,
            a_task_waits_for_its_time,
            a_failed_attempt_is_retried_after_its_delay_until_none_is_left,
            every_attempt_is_listed_with_its_end_and_its_error,
            a_retry_waits_as_long_as_the_other_side_asked_for,
            what_no_retry_can_mend_fails_at_once,
            a_panic_ends_its_attempt_and_not_the_pool,
            what_this_version_cannot_run_is_released_and_costs_nothing,
            what_nobody_can_run_fails_in_the_end,
            an_expired_task_is_not_started,
            equal_submissions_with_one_key_make_one_task,
        }
        schedule_changes {
            an_edit_keeps_what_is_due_unless_it_changes_the_times_which_is_recorded,
            a_queued_firing_is_missed_when_its_schedule_is_changed_disabled_or_not_declared_any_more,
            a_schedule_is_run_and_changed_by_many_at_once,
            schedules_that_cannot_fire_starve_no_other,
            a_name_that_breaks_a_path_or_cannot_be_seen_is_refused,
            a_schedule_that_an_admin_renamed_still_belongs_to_its_pack,
            the_reason_of_a_disabled_schedule_stays_until_it_is_enabled,
            an_arg_that_is_shown_as_hidden_keeps_its_value,
        }
        schedules {
            each_nominal_time_makes_one_task_and_a_change_makes_none,
            five_schedulers_with_skewed_clocks_fire_each_nominal_time_once,
            what_was_missed_follows_the_policy,
            a_firing_while_the_task_before_it_runs_is_skipped_or_queued,
            a_firing_that_can_make_no_task_says_why_and_holds_nothing_up,
            maintenance_stops_all_firing_and_all_fetching,
            declared_schedules_follow_their_pack_and_keep_an_admins_changes,
            a_schedule_that_cannot_work_is_refused_field_by_field,
        }
        shutdown {
            what_runs_may_finish_within_the_grace_time,
            what_does_not_finish_stops_is_released_and_runs_elsewhere,
            a_deaf_task_is_ended_by_force_released_and_runs_elsewhere,
            a_start_that_is_under_way_is_waited_for,
            a_pool_that_is_ending_fetches_nothing_more,
        }
        stops {
            a_waiting_task_is_revoked_at_once_and_its_dispatch_starts_nothing,
            a_task_that_waits_for_its_retry_is_revoked_at_once,
            a_running_task_stops_at_its_next_checkpoint,
            a_deaf_task_is_stopped_at_once_with_terminate_and_its_worker_lives_on,
            no_retry_follows_a_revoke_but_a_success_that_came_first_stays,
            a_revoke_whose_signal_was_lost_is_found_by_the_next_heartbeat,
            a_revoke_survives_the_death_of_everybody_who_knew_of_it,
            revokes_that_race_with_the_ends_leave_one_end_each,
            a_retry_by_hand_is_a_new_task_made_once_of_one_that_ended_badly,
            a_changed_task_moves_and_its_old_dispatch_starts_nothing,
        }
        upkeep {
            a_health_check_tells_of_each_thing_with_its_latency,
            a_health_check_succeeds_and_says_what_is_not_well,
            what_ended_is_counted_by_kind,
            results_are_pruned_by_age,
            expired_and_forgotten_files_are_removed_and_those_of_running_tasks_stay,
            what_cannot_be_removed_keeps_none_of_the_others,
            exports_on_no_list_go_when_they_would_have_expired,
            an_attempt_that_was_overtaken_keeps_no_file,
        }
    }
}
