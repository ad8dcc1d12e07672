//! What a user sends: a schedule, a part of one, a timing.

use std::fmt;

use jiff::Timestamp;
use legwork_engine::domain::{FieldError, KindName, Priority, QueueName, ScheduleRow, ScheduleSpec};
use legwork_engine::queue::schedules::{ScheduleDraft, field_error};
use legwork_schedule::{
    DEFAULT_CATCH_UP, DstGap, DstOverlap, IntervalUnit, MissedMode, OverlapPolicy, Timing, TimingDefaults, TimingSpec, Zone,
    parse_time,
};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::members::Members;

use crate::config::parse_duration;

/// The fields that say when a schedule fires, and how its times are meant.
pub(super) const TIMING_FIELDS: [&str; 7] = ["crontab", "interval", "clocked", "solar", "timezone", "dst_gap", "dst_overlap"];
/// The fields of which exactly one says when.
const TIMINGS: [&str; 4] = ["crontab", "interval", "clocked", "solar"];
/// The longest description, in characters.
const LONGEST_DESCRIPTION: usize = 2_000;

/// When a schedule fires: exactly one of `crontab`, `interval`, `clocked` and `solar`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct TimingBody {
    /// Five crontab fields (minute, hour, day of month, month, day of week), or `@daily` and its like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "0 9 * * mon")]
    pub(super) crontab: Option<String>,
    /// A period such as `5m`, `12h` or `1d`, or an object with `every`, `unit` and `from`. It is counted from `from`, by default from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) interval: Option<IntervalBody>,
    /// One instant: RFC 3339, or a local time of the zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) clocked: Option<String>,
    /// An event of the sun at a place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) solar: Option<SolarBody>,
    /// An IANA zone, as in `Europe/London`. Default: `TIMEZONE` of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Africa/Accra")]
    pub(super) timezone: Option<String>,
    /// Local times that the clocks jump over: `shift_forward` (default) or `skip`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "shift_forward", pattern = "^(shift_forward|skip)$")]
    pub(super) dst_gap: Option<DstGap>,
    /// Local times that occur twice: `first` (default), `second` or `both`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "first", pattern = "^(first|second|both)$")]
    pub(super) dst_overlap: Option<DstOverlap>,
}

/// A period.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub(in crate::http) enum IntervalBody {
    /// A duration, as in `5m`.
    Text(String),
    /// A number of units from an instant.
    Parts {
        /// How many units lie between two firings.
        every: i64,
        /// `seconds`, `minutes`, `hours`, `days` or `weeks`. Days and weeks follow the calendar of the zone.
        #[schema(value_type = String, example = "minutes", pattern = "^(seconds|minutes|hours|days|weeks)$")]
        unit: IntervalUnit,
        /// The first firing. Default: now.
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<String>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IntervalParts {
    every: i64,
    unit: IntervalUnit,
    #[serde(default)]
    from: Option<String>,
}

/// By hand, so that an error names the field of the object that is wrong.
impl<'de> Deserialize<'de> for IntervalBody {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct FormVisitor;

        impl<'de> Visitor<'de> for FormVisitor {
            type Value = IntervalBody;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a period such as \"5m\", or an object with every, unit and from")
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(IntervalBody::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let IntervalParts { every, unit, from } = IntervalParts::deserialize(MapAccessDeserializer::new(map))?;
                Ok(IntervalBody::Parts { every, unit, from })
            }
        }

        input.deserialize_any(FormVisitor)
    }
}

/// An event of the sun at a place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct SolarBody {
    /// `dawn`, `sunrise`, `noon`, `sunset`, `dusk`, or one of their nautical and astronomical variants.
    #[schema(example = "sunset")]
    event: String,
    /// Degrees north.
    #[schema(minimum = -90, maximum = 90, example = 5.6037)]
    latitude: f64,
    /// Degrees east.
    #[schema(minimum = -180, maximum = 180, example = -0.187)]
    longitude: f64,
}

impl TimingBody {
    /// Checks that one timing is given, and resolves it.
    pub(super) fn timing(&self, zone: &Zone, now: Timestamp) -> Result<Timing, Vec<FieldError>> {
        let given = [self.crontab.is_some(), self.interval.is_some(), self.clocked.is_some(), self.solar.is_some()];
        let given: Vec<&str> = TIMINGS.into_iter().zip(given).filter(|(_, given)| *given).map(|(name, _)| name).collect();
        let [field] = given.as_slice() else {
            let pointer = format!("/{}", given.get(1).unwrap_or(&"crontab"));
            let detail = match given.as_slice() {
                [] => "exactly one of crontab, interval, clocked and solar must be given; got none".to_owned(),
                several => {
                    format!("exactly one of crontab, interval, clocked and solar must be given; got {}", several.join(" and "))
                }
            };
            return Err(vec![FieldError::new(pointer, detail)]);
        };
        let spec = self.spec().map_err(|detail| vec![FieldError::new("/interval", detail)])?;
        let defaults = TimingDefaults { timezone: zone.clone(), from: Some(now) };
        spec.resolve(&defaults).map_err(|error| {
            // The fields of the crate are members of ours, or lie within them.
            let pointer = match error.field() {
                "timezone" => "/timezone".to_owned(),
                "event" | "latitude" | "longitude" => format!("/solar/{}", error.field()),
                "every" | "unit" | "from" if matches!(self.interval, Some(IntervalBody::Parts { .. })) => {
                    format!("/interval/{}", error.field())
                }
                _ => format!("/{field}"),
            };
            vec![FieldError::new(pointer, error.to_string())]
        })
    }

    fn spec(&self) -> Result<TimingSpec, String> {
        let timezone = self.timezone.clone();
        let (dst_gap, dst_overlap) = (self.dst_gap.unwrap_or_default(), self.dst_overlap.unwrap_or_default());
        if let Some(expression) = &self.crontab {
            return Ok(TimingSpec::Crontab { expression: expression.trim().to_owned(), timezone, dst_gap, dst_overlap });
        }
        if let Some(at) = &self.clocked {
            return Ok(TimingSpec::Clocked { at: at.trim().to_owned(), timezone });
        }
        if let Some(SolarBody { event, latitude, longitude }) = &self.solar {
            return Ok(TimingSpec::Solar { event: event.clone(), latitude: *latitude, longitude: *longitude, timezone });
        }
        let (every, unit, from) = match &self.interval {
            Some(IntervalBody::Parts { every, unit, from }) => (*every, *unit, from.clone()),
            Some(IntervalBody::Text(text)) => {
                let (every, unit) = period(text)?;
                (every, unit, None)
            }
            None => return Err("is missing".into()),
        };
        Ok(TimingSpec::Interval { every, unit, from, timezone, dst_gap, dst_overlap })
    }
}

/// A duration in the smallest unit that it is written in: days and weeks go by the calendar, hours do not.
fn period(text: &str) -> Result<(i64, IntervalUnit), String> {
    let text = text.trim();
    let wrong = || format!("{text:?} is not a period; write it like 30s, 5m, 12h, 1d or 2w");
    let (unit, seconds) = match text.chars().next_back() {
        Some('w') => (IntervalUnit::Weeks, 604_800),
        Some('d') => (IntervalUnit::Days, 86_400),
        Some('h') => (IntervalUnit::Hours, 3_600),
        Some('m') => (IntervalUnit::Minutes, 60),
        _ => (IntervalUnit::Seconds, 1),
    };
    let total = match text.strip_suffix('w').map(str::parse::<u64>) {
        Some(Ok(weeks)) => weeks.checked_mul(604_800).ok_or_else(wrong)?,
        _ => whole_seconds(parse_duration(text).map_err(|_| wrong())?).map_err(|detail| format!("{text:?} {detail}"))?,
    };
    if total % seconds != 0 {
        // Half a day is no day of the calendar: such a period is elapsed time.
        return i64::try_from(total).map(|total| (total, IntervalUnit::Seconds)).map_err(|_| wrong());
    }
    Ok((i64::try_from(total / seconds).map_err(|_| wrong())?, unit))
}

/// A duration in seconds; parts of a second are refused.
pub(in crate::http) fn whole_seconds(duration: std::time::Duration) -> Result<u64, String> {
    if duration.subsec_nanos() == 0 { Ok(duration.as_secs()) } else { Err("has parts of a second; give whole seconds".into()) }
}

fn no_args() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// JSON text as it is, or an empty object for what is none.
fn raw_args(text: &str) -> Box<RawValue> {
    serde_json::from_str(text).unwrap_or_else(|_| no_args())
}

fn default_enabled() -> bool {
    true
}

/// A schedule as a user sends it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = NewSchedule, example = json!({
    "name": "Health check", "kind": "system.health_check", "crontab": "*/30 * * * *", "timezone": "Europe/London", "overlap": "skip"
}))]
pub(in crate::http) struct ScheduleBody {
    /// The name, unique among all schedules: 1 to 200 characters in one line.
    #[schema(min_length = 1, max_length = 200, example = "Health check")]
    name: String,
    /// The kind of the tasks.
    #[schema(example = "system.health_check")]
    kind: String,
    /// The args of the tasks.
    #[serde(skip_deserializing, default = "no_args")]
    #[schema(value_type = Option<Object>)]
    args: Box<RawValue>,
    /// The purpose, for people; at most 2,000 characters.
    #[serde(default)]
    #[schema(max_length = 2000)]
    description: String,
    /// When it fires.
    #[serde(flatten)]
    pub(super) timing: TimingBody,
    /// Whether it fires. Default: true.
    #[serde(default = "default_enabled")]
    #[schema(default = true)]
    enabled: bool,
    /// No firing before this: RFC 3339, or a local time of the zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<String>,
    /// No firing at or after this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<String>,
    /// Whether it is disabled by its first firing.
    #[serde(default)]
    one_off: bool,
    /// A task that has not started so many seconds after its nominal time is REVOKED, reason `expired`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 315_360_000, example = 3600)]
    expires: Option<u32>,
    /// The queue of the tasks. Default: that of the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "default", pattern = "^[a-z0-9][a-z0-9_.-]{0,99}$")]
    queue: Option<String>,
    /// The priority of the tasks, 0 to 9. Default: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 9)]
    priority: Option<u8>,
    /// Which firings are made up for that no scheduler was there to make: `skip`, `last` (default) or `all`.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "last", pattern = "^(skip|last|all)$")]
    missed: MissedMode,
    /// How many firings `all` makes up for at once, 1 to 1,000. Default: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    missed_limit: Option<u32>,
    /// A firing that is found more than so many seconds late is not made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 315_360_000)]
    max_lateness: Option<u32>,
    /// What happens while the task of an earlier firing has not ended: `allow` (default), `skip` or `queue_one`.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "skip", pattern = "^(allow|skip|queue_one)$")]
    overlap: OverlapPolicy,
    /// Tasks are made up to so many seconds after their nominal time, 0 to 86,400. Default: 0.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 86_400)]
    jitter: u32,
}

/// A part of a schedule; null takes a field away.
#[derive(Debug, ToSchema)]
#[schema(example = json!({ "crontab": "0 6 * * *", "enabled": true }))]
#[expect(dead_code, reason = "a part is merged into the present schedule as JSON; the struct describes it")]
pub(in crate::http) struct SchedulePatch {
    /// Any field of a schedule, as in `POST /schedules`.
    #[schema(value_type = Option<Object>)]
    #[serde(flatten)]
    fields: Map<String, Value>,
}

/// The members of a schedule without those of its timing: [`serde`] cannot refuse unknown ones beside a flattened struct.
const FIELDS: [&str; 16] = [
    "name",
    "kind",
    "args",
    "description",
    "enabled",
    "start",
    "end",
    "one_off",
    "expires",
    "queue",
    "priority",
    "missed",
    "missed_limit",
    "max_lateness",
    "overlap",
    "jitter",
];

/// Ten years.
const LONGEST_SECONDS: i64 = 315_360_000;

/// The numbers of a schedule, with what they may be.
const NUMBERS: [(&str, i64, i64); 5] = [
    ("expires", 1, LONGEST_SECONDS),
    ("priority", 0, 9),
    ("missed_limit", 1, legwork_schedule::MAX_CATCH_UP),
    ("max_lateness", 1, LONGEST_SECONDS),
    ("jitter", 0, legwork_schedule::MAX_JITTER_SECONDS),
];

impl TimingBody {
    /// Takes the members of a timing; wrong ones are named.
    pub(super) fn take(members: &mut Members) -> Result<Self, Vec<FieldError>> {
        members.take(&TIMING_FIELDS)
    }
}

impl ScheduleBody {
    /// Parses a whole schedule; unknown members, wrong types and numbers out of range are named.
    pub(super) fn parse(mut members: Members) -> Result<Self, Vec<FieldError>> {
        let mut errors = members.unknown(&[&FIELDS[..], &TIMING_FIELDS[..]].concat());
        let timing = TimingBody::take(&mut members).map_err(|wrong| errors.extend(wrong)).ok();
        for (name, least, most) in NUMBERS {
            errors.extend(members.take_bad_number(name, least, most));
        }
        let args = members.args.take();
        match members.take::<Self>(&FIELDS) {
            Ok(body) if errors.is_empty() => {
                let args = args.unwrap_or_else(no_args);
                return Ok(Self { timing: timing.unwrap_or_default(), args, ..body });
            }
            Ok(_) => {}
            Err(wrong) => errors.extend(wrong),
        }
        Err(errors)
    }

    /// Checks what needs no engine. All wrong fields are named.
    pub(super) fn draft(self, zone: &Zone, now: Timestamp) -> Result<ScheduleDraft, Vec<FieldError>> {
        let mut errors = Vec::new();
        let timing = self.timing.timing(zone, now).map_err(|wrong| errors.extend(wrong)).ok();
        let kind = KindName::parse(&self.kind).map_err(|error| errors.push(FieldError::new("/kind", error.to_string()))).ok();
        let queue = self.queue.as_deref().and_then(|name| {
            QueueName::parse(name).map_err(|error| errors.push(FieldError::new("/queue", error.to_string()))).ok()
        });
        let priority = self
            .priority
            .and_then(|number| Priority::new(number).map_err(|detail| errors.push(FieldError::new("/priority", detail))).ok());
        let own_zone = timing.as_ref().map_or_else(|| zone.clone(), |timing| timing.timezone().clone());
        let mut time = |field: &'static str, text: &Option<String>| {
            let parsed = text.as_deref().map(|text| parse_time(field, text, &own_zone)).transpose();
            parsed.map_err(|error| errors.push(field_error(&error))).ok().flatten()
        };
        let (start, end) = (time("start", &self.start), time("end", &self.end));
        if self.description.chars().count() > LONGEST_DESCRIPTION || self.description.contains('\0') {
            let detail = format!("must be a text of at most {LONGEST_DESCRIPTION} characters, without NUL");
            errors.push(FieldError::new("/description", detail));
        }
        let (Some(timing), Some(kind), true) = (timing, kind, errors.is_empty()) else { return Err(errors) };
        let spec = ScheduleSpec {
            kind,
            description: self.description,
            timing,
            start,
            end,
            one_off: self.one_off,
            expires_seconds: self.expires,
            queue,
            priority,
            missed: self.missed,
            missed_limit: self.missed_limit.unwrap_or(DEFAULT_CATCH_UP),
            max_lateness_seconds: self.max_lateness,
            overlap: self.overlap,
            jitter_seconds: self.jitter,
        };
        Ok(ScheduleDraft { name: self.name, spec, args: self.args.get().to_owned(), enabled: self.enabled })
    }

    /// A stored schedule as a user would send it.
    pub(super) fn of(row: &ScheduleRow) -> Self {
        let spec = &row.spec;
        Self {
            name: row.name.clone(),
            kind: spec.kind.to_string(),
            args: raw_args(&row.args),
            description: spec.description.clone(),
            timing: timing_body(&spec.timing),
            enabled: row.enabled,
            start: spec.start.map(|at| at.to_string()),
            end: spec.end.map(|at| at.to_string()),
            one_off: spec.one_off,
            expires: spec.expires_seconds,
            queue: spec.queue.as_ref().map(ToString::to_string),
            priority: spec.priority.map(Priority::get),
            missed: spec.missed,
            missed_limit: Some(spec.missed_limit),
            max_lateness: spec.max_lateness_seconds,
            overlap: spec.overlap,
            jitter: spec.jitter_seconds,
        }
    }

    /// Hides args that may be secret; `null` hides all of them.
    pub(super) fn with_args(mut self, args: &str) -> Self {
        self.args = raw_args(args);
        self
    }
}

fn timing_body(timing: &Timing) -> TimingBody {
    let mut body = TimingBody { timezone: Some(timing.timezone().name().to_owned()), ..TimingBody::default() };
    match TimingSpec::from(timing.clone()) {
        TimingSpec::Crontab { expression, dst_gap, dst_overlap, .. } => {
            body.crontab = Some(expression);
            (body.dst_gap, body.dst_overlap) = (Some(dst_gap), Some(dst_overlap));
        }
        TimingSpec::Interval { every, unit, from, dst_gap, dst_overlap, .. } => {
            body.interval = Some(IntervalBody::Parts { every, unit, from });
            (body.dst_gap, body.dst_overlap) = (Some(dst_gap), Some(dst_overlap));
        }
        TimingSpec::Clocked { at, .. } => body.clocked = Some(at),
        TimingSpec::Solar { event, latitude, longitude, .. } => body.solar = Some(SolarBody { event, latitude, longitude }),
    }
    body
}

/// A stored schedule with the fields of a patch in place of its own.
pub(super) fn patched(row: &ScheduleRow, patch: &Members, zone: &Zone, now: Timestamp) -> Result<ScheduleDraft, Vec<FieldError>> {
    let Ok(Value::Object(mut fields)) = serde_json::to_value(ScheduleBody::of(row)) else {
        return Err(vec![FieldError::new("", "the stored schedule cannot be read")]);
    };
    fields.remove("args");
    if patch.values.iter().any(|(name, value)| TIMINGS.contains(&name.as_str()) && !value.is_null()) {
        for name in TIMINGS {
            fields.remove(name);
        }
    }
    fields.extend(patch.values.clone());
    let args = if patch.has_args { patch.args.clone() } else { Some(raw_args(&row.args)) };
    ScheduleBody::parse(Members { values: fields, args, has_args: true })?.draft(zone, now)
}
