//! The store's contract: what every side of the port keeps, whichever database is behind it.
//!
//! A case is `async fn a_sentence(store: Arc<dyn Store>)` on a fresh, migrated store. The list below stamps each case for each side.

mod accounts;
mod callbacks;
mod control;
mod effects;
mod files;
mod insert;
mod keys;
mod ledger;
mod rate;
mod reads;
mod recipients;
mod retention;
mod settle;
mod start;
mod sweeps;
mod task_stats;
mod whole;
mod workers;

/// `side` is the name of a function in `support::stores` that runs a case on a store of its own.
macro_rules! conformance {
    (sides: $($side:ident),+; cases: $cases:tt) => {
        $(conformance!(@on $side $cases);)+
    };
    (@on $side:ident { $($module:ident { $($case:ident,)+ })+ }) => {
        mod $side {
            $(mod $module {
                $(#[tokio::test]
                async fn $case() {
                    crate::support::stores::$side(crate::conformance::store::$module::$case).await;
                })+
            })+
        }
    };
}

conformance! {
    sides: sqlite, postgres, encrypted_sqlite, encrypted_postgres;
    cases: {
        insert {
            an_inserted_task_is_read_back_as_it_was_submitted,
            a_task_that_its_submitter_dispatches_is_not_dispatched_by_the_due_sweep,
            a_task_that_nobody_dispatches_is_dispatched_by_the_due_sweep_at_its_time,
            a_batch_is_answered_in_the_order_it_was_given_in,
            one_bad_row_does_not_fail_its_batch,
            an_empty_batch_is_answered_with_nothing,
            a_caller_that_hangs_up_leaves_all_of_its_batch_or_nothing,
        }
        keys {
            a_key_is_replayed_with_the_same_body_and_refused_with_another,
            equal_keys_in_one_batch_make_one_task,
            a_key_belongs_to_its_principal_and_its_scope,
            two_submissions_at_once_with_one_key_make_one_task,
            a_row_that_is_refused_does_not_take_its_key,
            a_key_outlives_its_task_and_is_forgotten_at_its_age,
            the_key_of_an_effect_is_kept_while_its_task_lives_or_may_be_retried,
            what_a_task_did_outside_is_kept_for_as_long_as_its_result,
            the_key_of_an_effect_is_kept_for_the_retries_of_its_task,
        }
        start {
            a_started_attempt_carries_all_that_it_needs,
            a_batch_starts_in_the_order_of_its_references,
            only_one_of_two_workers_starts_an_attempt,
            a_reference_given_twice_starts_once,
            a_stale_reference_starts_nothing,
            the_attempt_number_rises_with_every_start,
            an_expired_task_is_ended_instead_of_started,
            a_task_that_expires_later_starts,
            a_task_of_a_paused_queue_waits_and_is_dispatched_again,
            a_task_that_is_not_due_waits_for_its_time,
            a_task_that_was_dispatched_at_its_time_starts_by_a_clock_that_lags,
            a_task_that_has_seen_two_workers_die_starts_alone,
            a_started_task_is_not_dispatched,
        }
        rate {
            of_a_limited_kind_as_many_start_as_its_limit_allows,
            a_task_that_waits_for_its_limit_is_dispatched_at_its_slot,
            a_start_is_forgotten_after_the_span_of_the_limit,
            kinds_without_a_limit_start_beside_a_limited_one,
            workers_that_start_at_once_share_one_limit,
            what_cannot_start_anyway_uses_nothing_up,
            a_long_backlog_is_spread_over_time,
            a_line_that_was_revoked_holds_up_nobody,
            a_line_moves_up_where_starts_have_become_free,
            a_task_that_is_moved_to_another_time_leaves_the_line,
        }
        settle {
            a_success_is_kept_with_its_result,
            a_failure_is_kept_with_its_error,
            a_retry_waits_for_its_time_and_spends_one,
            a_crash_is_counted_and_spends_no_retry,
            a_release_spends_nothing_and_restores_what_was,
            a_worker_that_was_given_up_can_no_longer_write,
            a_settlement_whose_answer_was_lost_is_known_again,
            a_wait_whose_answer_was_lost_is_known_again,
            a_settlement_given_twice_applies_once,
            a_task_that_does_not_exist_is_superseded,
            no_retry_follows_a_requested_revoke,
            a_success_after_a_requested_revoke_is_a_success,
            a_mixed_batch_is_settled_in_its_order,
            one_bad_settlement_does_not_fail_its_batch,
            a_first_attempt_that_succeeds_leaves_no_attempt_row,
            every_other_attempt_is_written_down_with_its_end,
            a_release_leaves_no_attempt_row,
            the_rescue_settles_in_the_name_of_the_dead,
        }
        callbacks {
            a_callback_tells_how_the_task_ended,
            a_callback_is_a_task_like_any_other,
            every_sort_of_end_makes_its_callback,
            a_task_without_a_callback_url_makes_none,
        }
        control {
            a_waiting_task_is_revoked_at_once,
            a_task_that_waits_for_its_retry_is_revoked_at_once,
            the_revoke_of_a_running_task_is_written_down,
            a_revoke_of_what_has_ended_or_never_was_says_so,
            a_retry_by_hand_is_a_new_task_and_both_know_of_each_other,
            a_retry_of_a_retry_knows_where_the_chain_started,
            two_retries_by_hand_at_once_make_one_task,
            only_what_failed_or_was_revoked_is_retried_by_hand,
            a_change_moves_a_waiting_task_and_makes_old_references_stale,
            a_change_of_one_thing_leaves_the_others,
            only_a_waiting_task_is_changed,
            a_purge_ends_what_waits_in_the_queue_oldest_first_up_to_its_limit,
            a_purge_takes_what_waits_for_its_time_too,
            queues_become_known_once,
            a_queue_is_paused_limited_and_resumed,
            progress_is_written_by_the_present_attempt_only,
            what_another_attempt_had_done_before_is_no_progress,
            what_an_attempt_told_last_comes_with_its_end,
        }
        reads {
            an_unknown_id_is_nothing,
            a_task_is_found_while_it_ends,
            a_list_is_newest_first_live_and_ended_merged,
            pages_follow_each_other_without_a_gap_or_an_overlap,
            a_page_that_holds_the_rest_is_the_last,
            each_filter_chooses,
            queues_are_counted_by_what_their_tasks_wait_for,
            a_list_is_the_same_whatever_the_batches_were,
        }
        sweeps {
            due_rows_are_taken_once_by_their_time_up_to_the_limit,
            two_due_sweeps_at_once_dispatch_each_row_once,
            a_dispatch_names_the_lane_and_the_attempt,
            a_lost_dispatch_is_sent_again_in_its_lane_only,
            lost_dispatches_are_taken_up_to_the_limit_oldest_dispatch_first,
            what_the_due_sweep_has_yet_to_dispatch_is_not_lost,
            a_dispatch_that_failed_is_handed_to_the_due_sweep,
            a_poll_finds_what_is_due_most_urgent_first_and_changes_nothing,
            a_poll_finds_what_the_due_sweep_has_yet_to_dispatch,
            a_poll_leaves_paused_queues_alone,
            an_attempt_past_its_hard_limit_and_grace_is_found,
            what_has_expired_is_ended_up_to_the_limit,
            a_retry_dispatches_at_its_time_and_starts_with_the_new_number,
            sweeps_of_an_empty_store_find_nothing,
            a_backlog_is_dispatched_in_the_order_it_is_due,
        }
        retention {
            results_and_attempts_are_forgotten_after_their_time,
            dead_workers_are_forgotten_and_live_ones_are_not,
            revoked_tokens_that_have_expired_are_forgotten,
            pruning_an_empty_store_leaves_nothing_to_do,
        }
        workers {
            a_heartbeat_is_read_back_as_it_was_told,
            a_heartbeat_is_answered_with_a_time_that_goes_on,
            a_worker_that_left_is_gone,
            a_command_reaches_the_live_worker_of_the_name_with_every_heartbeat,
            a_command_to_nobody_or_to_the_dead_says_so,
            the_attempts_of_a_worker_are_told_with_what_they_are_judged_by,
            the_attempts_of_the_dead_are_found_up_to_the_limit,
            a_dead_worker_that_heartbeats_again_lives,
            the_attempts_of_a_worker_that_nobody_knows_are_lost,
        }
        accounts {
            an_account_is_found_by_its_name,
            a_name_that_is_taken_changes_nothing,
            a_password_is_replaced_for_an_account_that_exists,
            a_revoked_token_stays_revoked_until_it_would_have_expired,
        }
        ledger {
            entries_are_read_by_part,
            a_later_entry_replaces_an_earlier_one_of_its_part,
            of_two_entries_of_one_part_in_one_write_the_last_stays,
            a_mail_is_claimed_by_the_present_attempt_only,
            a_mail_is_claimed_only_while_it_is_to_be_sent,
        }
        effects {
            an_effect_is_found_by_its_task_and_its_part,
            the_first_record_of_an_effect_stays,
            an_effect_is_forgotten_after_the_result_of_its_task,
            an_effect_is_kept_for_the_retries_of_its_task,
        }
        task_stats {
            what_ended_is_grouped_by_kind_state_and_time,
            only_what_ended_within_the_time_counts,
        }
        files {
            a_file_is_found_by_its_path,
            a_file_that_is_written_anew_replaces_what_was_known,
            a_file_of_an_attempt_is_written_only_while_its_task_is_in_it,
            a_forgotten_file_is_gone,
            expired_files_are_found_up_to_the_limit_earliest_first,
            only_what_has_expired_is_forgotten_as_expired,
        }
        recipients {
            a_list_is_added_once_and_then_encrypted,
            a_recipient_is_claimed_once_and_recorded,
            only_the_present_attempt_claims,
            what_a_dead_attempt_left_sending_is_unknown,
            what_is_unknown_is_sent_again_where_that_is_asked_for,
            a_deferred_one_comes_again_at_its_time,
            a_suppressed_address_is_never_claimed,
            a_retry_by_hand_takes_the_list_over,
            a_retry_by_hand_goes_on_with_the_last_list_of_its_chain,
            an_attempt_that_was_overtaken_makes_no_list,
            a_list_is_kept_for_the_retry_that_goes_on_with_it,
            recipients_come_in_pages_and_by_state,
            an_attempt_is_told_whether_it_may_go_on,
            a_list_is_forgotten_with_its_result,
            a_suppression_is_kept_once_listed_and_lifted,
        }
        whole {
            migrating_twice_changes_nothing,
            a_closed_store_says_that_it_is_not_available,
            an_ended_task_never_changes,
        }
    }
}

/// What holds in clear only.
mod in_clear {
    conformance! {
        sides: sqlite, postgres;
        cases: {
            reads {
                a_text_is_searched_as_it_is_written_in_any_case,
            }
        }
    }
}
