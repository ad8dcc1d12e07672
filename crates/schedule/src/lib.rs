//! When schedules fire: the time arithmetic of Legwork's scheduler.
//!
//! This crate is pure. It reads no clock, stores nothing and waits for nothing; the current time is always an argument. The scheduler, the API, the
//! command line and the dashboard all ask it the same questions:
//!
//! * **When?** [`Timing`] is one of four kinds: a [`Crontab`] expression in a [`Zone`], an [`Interval`] from a fixed start, one instant, or an event of
//!   the sun ([`Solar`]). [`FiringPlan`] adds start, end, one-off and jitter, and answers [`FiringPlan::next_after`], [`FiringPlan::upcoming`] and
//!   [`FiringPlan::between`].
//! * **What becomes of it?** [`decide`] takes the last nominal time that was considered, the current time and the policies, and says which nominal times
//!   fire and which are recorded as missed, with the reason.
//! * **Is it right?** [`TimingSpec`] is the form in which users write a timing. [`TimingSpec::resolve`] checks it; a [`ScheduleError`] says what is wrong
//!   with the value, what is allowed and what to do, and names the field.
//!
//! ```
//! use legwork_schedule::{FiringPlan, TimingDefaults, TimingSpec, Zone};
//!
//! let spec = TimingSpec::Crontab {
//!     expression: "0 9 * * mon".into(),
//!     timezone: Some("Europe/London".into()),
//!     dst_gap: Default::default(),
//!     dst_overlap: Default::default(),
//! };
//! let timing = spec.resolve(&TimingDefaults { timezone: Zone::UTC, from: None })?;
//! assert_eq!(timing.describe(), "At 09:00 on Monday (Europe/London)");
//!
//! let plan = FiringPlan::new(timing);
//! let now = "2026-03-26T00:00:00Z".parse().unwrap();
//! let next: Vec<String> = plan.upcoming(now, 2).iter().map(|next| next.nominal.to_string()).collect();
//! assert_eq!(next, ["2026-03-30T08:00:00Z", "2026-04-06T08:00:00Z"]);
//! # Ok::<(), legwork_schedule::ScheduleError>(())
//! ```
//!
//! # Where the clocks change
//!
//! A local time that is skipped (a gap) or repeated (an overlap) follows two declared policies:
//!
//! * [`DstGap`]: `shift_forward` (default) fires at the first instant after the gap; `skip` does not fire. Several times in one gap make one firing.
//! * [`DstOverlap`]: `first` (default), `second` or `both`.
//!
//! They concern crontab expressions that name hours, and intervals of days and weeks. An expression that allows **every hour** (`*/5 * * * *`,
//! `0 * * * *`) follows the elapsed time: it fires in both passes of a repeated hour and moves nothing out of a gap, so it neither pauses for an hour nor
//! fires twice at one instant. Vixie cron treats such expressions in the same way.
//!
//! # Guarantees
//!
//! * Nominal times are whole seconds, strictly increasing, and depend on the timing only. Jitter changes the due time and never the nominal time.
//! * The next time is found field by field: 29 February costs as much as the next minute.
//! * [`decide`] looks at a bounded number of nominal times, however long the scheduler was away.

mod crontab;
mod error;
mod instant;
mod interval;
mod plan;
mod policy;
mod solar;
mod timing;
mod zone;

pub use crontab::{CronField, Crontab};
pub use error::ScheduleError;
pub use instant::parse_time;
pub use interval::{Interval, IntervalUnit};
pub use plan::{FiringPlan, MAX_JITTER_SECONDS, Occurrence, jitter_seed};
pub use policy::{
    DEFAULT_CATCH_UP, Decision, Firing, MAX_CATCH_UP, MAX_MISSED_LISTED, Missed, MissedMode, MissedPolicy, MissedReason,
    MissedSpan, ON_TIME_SECONDS, OverlapDecision, OverlapPolicy, Situation, decide, passed_over,
};
pub use solar::{Solar, SolarEvent};
pub use timing::{Timing, TimingDefaults, TimingSpec};
pub use zone::{DstGap, DstOverlap, DstPolicy, Zone};
