//! The engine over both pairs: from a submission to a result, and everything that can come between.

mod runs;

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
        runs {
            a_submitted_task_is_run_and_its_result_is_seen,
            a_task_waits_for_its_time,
            a_failed_attempt_is_retried_after_its_delay_until_none_is_left,
        }
    }
}
