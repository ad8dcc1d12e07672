//! The nouns and rules of the engine: pure, no I/O, no clock of its own.

mod callback;
mod file;
mod ids;
mod outcome;
mod page;
mod principal;
mod problem;
mod rate;
pub mod raw_object;
mod retry;
mod routing;
mod schedule;
mod state;
mod task;
mod worker;

pub use callback::{CALLBACK_KIND, CALLBACK_QUEUE, callback_task};
pub use file::{FilePath, FilePathError};
pub use ids::{Attempt, KindName, NameError, QueueName, ScheduleId, TaskId, Version, WorkerId};
pub use outcome::{ErrorReport, Outcome, TaskFailure};
pub use page::{Cursor, Page, PageRequest, TaskFilter};
pub use principal::{Principal, Scope, ScopeSet};
pub use problem::{FieldError, parser_words};
pub use rate::RateLimit;
pub use retry::{Backoff, RetryPolicy};
pub use routing::Routing;
pub use schedule::{
    Declaration, DeclaredSchedule, FiringOutcome, FiringRow, FiringTrigger, Maintenance, ScheduleRow, ScheduleSpec,
    StoredSchedule, UnreadableSchedule,
};
pub use state::{EndStatus, Next, RunFacts, TaskStatus, after, after_crash};
pub use task::{
    Dispatch, EndReason, NewTask, Origin, Priority, PriorityBand, Progress, StartedTask, TaskRef, TaskRow, WaitingFor,
    WaitingReason,
};
pub use worker::{WorkerHealth, WorkerInfo, WorkerRow};
