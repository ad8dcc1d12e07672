//! The API over both pairs: the real router, in process.

/// A snapshot that both pairs make: the answers are the same, byte for byte.
macro_rules! assert_snapshot {
    ($rendered:expr, $($snapshot:tt)*) => {{
        let rendered = $rendered.to_string();
        insta::allow_duplicates! { insta::assert_snapshot!(rendered, $($snapshot)*) }
    }};
}

mod auth;
mod bad_input;
mod dashboard;
mod document;
mod events;
mod files;
mod packs;
mod pages;
mod queues;
mod schedules;
mod submit;
mod tasks;

/// `pair` is the name of a function in `support::engine` that runs a case on an engine of its own.
macro_rules! api {
    (pairs: $($pair:ident),+; cases: $cases:tt) => {
        $(api!(@on $pair $cases);)+
    };
    (@on $pair:ident { $($module:ident { $($case:ident,)+ })+ }) => {
        mod $pair {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    crate::support::engine::$pair(crate::api::$module::$case).await;
                })+
            })+
        }
    };
}

api! {
    pairs: embedded, production;
    cases: {
        auth {
            a_login_gives_a_token_that_works,
            who_guesses_passwords_is_told_to_wait,
            a_token_that_is_missing_or_refused_is_401_and_says_why,
            a_token_without_the_scope_is_403_and_names_it,
            a_kind_may_ask_for_more_than_the_right_to_submit,
            a_revoked_token_is_refused_at_once,
            an_account_is_made_once_and_its_password_set_on_request,
            others_tasks_are_not_to_be_seen_or_touched,
        }
        packs {
            packs_are_listed_and_reloaded_as_a_whole,
        }
        bad_input {
            malformed_json_is_400,
            wrong_types_and_unknown_fields_are_named,
            a_bad_address_and_an_unknown_template_are_refused_at_submission,
            an_unknown_kind_is_422,
            every_bad_field_is_pointed_at,
            a_queue_too_many_is_refused_alone,
            an_array_is_no_object,
            a_body_or_args_too_large_are_413,
            a_body_that_is_not_json_is_415,
            a_bad_id_is_422_and_an_unknown_one_404,
            an_unknown_path_is_404_and_a_wrong_method_405,
            bad_query_parameters_are_all_named,
            a_store_that_is_away_is_503_and_a_broker_that_is_away_goes_unnoticed,
            too_many_submissions_are_429,
        }
        dashboard {
            a_stranger_is_sent_to_the_login_and_back_to_the_page,
            a_session_is_fresh_kept_from_scripts_and_ends_at_sign_out,
            a_new_password_and_a_lost_role_count_at_once,
            a_form_of_another_site_or_session_does_nothing,
            who_guesses_is_held_back_and_the_owner_is_not,
            every_page_is_shown_and_guarded,
            what_users_write_stays_text,
            a_viewer_sees_and_does_not_touch,
            a_task_is_submitted_from_a_form_that_names_wrong_fields,
            a_queue_is_paused_limited_and_purged_from_its_page,
            a_task_that_was_revoked_is_retried_with_other_args,
            the_first_link_makes_one_administrator,
            what_is_done_is_in_the_audit_log,
            accounts_are_made_changed_and_deleted_by_administrators,
            minutes_are_counted_once_and_folded,
        }
        events {
            the_stream_tells_the_present_state_and_ends_with_the_task,
            the_stream_ends_with_the_process,
        }
        files {
            an_image_is_stored_by_its_content_under_a_name_of_our_own,
            every_sort_of_image_is_told_by_its_first_bytes,
            what_is_no_image_is_refused_whatever_it_is_called,
            an_image_that_is_something_else_too_is_refused_and_leaves_nothing,
            a_file_too_large_is_413_and_leaves_nothing,
            a_form_that_is_broken_or_holds_something_else_is_refused_and_leaves_nothing,
            an_upload_takes_a_token_that_may_submit,
            a_storage_that_is_away_is_503,
            a_link_holds_for_its_path_and_its_time_only,
            a_path_that_leads_elsewhere_reaches_nothing,
            a_file_that_is_gone_or_has_expired_is_404,
            a_part_of_a_file_is_given_and_what_is_known_is_not_sent_again,
            an_image_of_another_is_as_good_as_missing,
            a_file_is_fetched_by_a_token_of_its_owner_or_of_an_admin,
            a_file_is_removed_by_its_owner_or_an_admin,
            an_upload_is_kept_as_long_as_the_setting_says,
        }
        queues {
            a_queue_is_paused_limited_resumed_and_looked_at,
            a_purge_ends_what_waits_and_takes_an_admin,
            what_a_worker_runs_is_counted_as_it_is_listed,
            workers_are_listed_and_told_to_drain,
        }
        schedules {
            a_schedule_is_made_shown_changed_run_and_deleted,
            args_of_a_kind_that_is_not_loaded_are_not_shown,
            a_schedule_with_mistakes_is_422_and_each_field_is_named,
            args_stay_as_they_were_written_and_no_member_is_given_twice,
            args_are_shown_to_the_owner_and_to_those_who_see_all,
            args_of_a_kind_that_is_not_known_are_not_shown,
            a_preview_shows_the_words_and_the_instants_with_their_offsets,
            who_may_read_may_not_change_schedules,
            schedules_of_packs_are_brought_in_line_on_request,
            maintenance_is_switched_and_seen,
        }
        submit {
            a_submission_answers_202_with_a_place_to_look,
            a_typed_route_takes_args_and_options_side_by_side,
            the_same_key_gives_the_first_answer_again,
            each_item_of_a_batch_answers_for_itself,
            a_batch_with_a_key_is_replayed_whole,
            a_batch_of_which_nothing_is_accepted_is_422,
        }
        tasks {
            the_status_of_a_task_from_submission_to_end,
            a_long_poll_answers_with_the_end,
            a_waiting_task_can_be_changed_and_revoked,
            a_running_task_is_revoked_in_time_and_an_ended_one_not,
            a_failed_task_is_retried_as_a_new_one,
            lists_come_in_pages_and_by_filter,
            a_list_leaves_results_to_the_task,
            kinds_are_listed_with_their_schemas,
        }
    }
}
