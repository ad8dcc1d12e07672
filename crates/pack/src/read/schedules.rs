//! Reads schedules. When they fire, and what may be asked of that, is up to `legwork-schedule`.

use jiff::Timestamp;
use legwork_schedule::{
    DstGap, DstOverlap, FiringPlan, IntervalUnit, MissedMode, MissedPolicy, OverlapPolicy, ScheduleError, SolarEvent, Timing,
    TimingDefaults, TimingSpec, Zone, parse_time,
};
use serde_json::{Map, Value as Json};

use super::{Reader, text_of};
use crate::pack::Schedule;
use crate::shape::duration_of;
use crate::tree::{Entry, Node, Path, Toml};

const TIMINGS: [&str; 4] = ["crontab", "interval", "clocked", "solar"];
/// A Monday, at midnight in the zone of the schedule: intervals are counted from it, so that they do not depend on when a pack was loaded.
const ANCHOR: &str = "1970-01-05T00:00:00";

impl Reader<'_> {
    pub(super) fn schedules(&mut self, node: Option<&Node>, path: &Path, timezone: &str) -> Vec<Schedule> {
        let entries = node.map(Node::entries).unwrap_or_default();
        entries.iter().filter_map(|entry| self.schedule(entry, &path.at(&entry.key), timezone)).collect()
    }

    fn schedule(&mut self, entry: &Entry, path: &Path, of_pack: &str) -> Option<Schedule> {
        let node = &entry.node;
        self.schedule_name(entry, path);
        if let Some((at, queue)) = node.get("queue").and_then(|queue| Some((queue.at, queue.text()?))) {
            self.queue_name(at, &path.at("queue"), queue);
        }
        let zone = match node.get("timezone").and_then(|zone| Some((zone.at, zone.text()?))) {
            Some((at, name)) => self.zone(at, &path.at("timezone"), name),
            // The pack's own was told where it stands.
            None => Zone::named(of_pack).ok(),
        };
        let zone = zone.unwrap_or(Zone::UTC);
        let timing = self.timing(entry, path, &zone);
        let start = self.time(node, "start", path, &zone);
        let end = self.time(node, "end", path, &zone);
        let missed = self.missed(entry, path);
        let args = match node.get("args").map(Node::json) {
            Some(Json::Object(args)) => args,
            _ => Map::new(),
        };
        let is_set = |name: &str| node.get(name).and_then(Node::boolean);
        let schedule = Schedule {
            name: entry.key.clone(),
            kind: text_of(node, "kind")?,
            description: text_of(node, "description"),
            timing: timing?,
            args,
            queue: text_of(node, "queue"),
            priority: node.get("priority").and_then(Node::integer).and_then(|number| u8::try_from(number).ok()),
            enabled: is_set("enabled").unwrap_or(true),
            start,
            end,
            one_off: is_set("one_off").unwrap_or(false),
            expires: node.get("expires").and_then(duration_of),
            missed: missed.unwrap_or_default(),
            overlap: overlap(node),
            jitter: node.get("jitter").and_then(duration_of).unwrap_or_default(),
            place: self.text.place(entry.key_at),
        };
        self.window(entry, path, &schedule);
        Some(schedule)
    }

    fn schedule_name(&mut self, entry: &Entry, path: &Path) {
        let length = entry.key.chars().count();
        if entry.key.trim() != entry.key || length == 0 || length > 200 || entry.key.chars().any(char::is_control) {
            let message = "the name of a schedule has 1 to 200 characters, no control characters, and no blanks around it.";
            self.fault(entry.key_at, path, message);
        }
    }

    /// Exactly one of the four.
    fn timing(&mut self, entry: &Entry, path: &Path, zone: &Zone) -> Option<Timing> {
        let node = &entry.node;
        let given: Vec<&Entry> = TIMINGS.iter().filter_map(|name| node.entry(name)).collect();
        let one = match given.as_slice() {
            [] => {
                self.fault(entry.key_at, path, format!("does not say when it fires. Give one of {}.", TIMINGS.join(", ")));
                return None;
            }
            [one] => one,
            [_, second, ..] => {
                let message = format!("is not allowed together with another timing. Give exactly one of {}.", TIMINGS.join(", "));
                self.fault(second.key_at, &path.at(&second.key), message);
                return None;
            }
        };
        let spec = spec_of(node, one)?;
        match spec.resolve(&TimingDefaults { timezone: zone.clone(), from: None }) {
            Ok(timing) => Some(timing),
            Err(error) => {
                self.schedule_fault(one.node.at, &path.at(&one.key), &error);
                None
            }
        }
    }

    fn time(&mut self, node: &Node, name: &'static str, path: &Path, zone: &Zone) -> Option<Timestamp> {
        let field = node.get(name)?;
        let (Toml::Text(text) | Toml::Datetime(text)) = &field.value else { return None };
        let time = parse_time(name, text, zone);
        time.map_err(|error| self.schedule_fault(field.at, &path.at(name), &error)).ok()
    }

    fn missed(&mut self, entry: &Entry, path: &Path) -> Option<MissedPolicy> {
        let node = &entry.node;
        let mode = match node.get("missed").and_then(Node::text) {
            Some("skip") => MissedMode::Skip,
            Some("all") => MissedMode::All,
            _ => MissedMode::Last,
        };
        if let Some(entry) = node.entry("missed_limit").filter(|_| mode != MissedMode::All) {
            self.fault(entry.key_at, &path.at("missed_limit"), "belongs to missed = \"all\". Remove it.");
        }
        let lateness = node.get("max_lateness").and_then(duration_of).and_then(|late| i64::try_from(late.as_secs()).ok());
        let policy = MissedPolicy::new(mode, node.get("missed_limit").and_then(Node::integer), lateness);
        policy.map_err(|error| self.schedule_fault(entry.key_at, path, &error)).ok()
    }

    /// Start and end, and whether it will fire at all.
    fn window(&mut self, entry: &Entry, path: &Path, schedule: &Schedule) {
        let node = &entry.node;
        let at = |name: &str| node.entry(name).map_or(entry.key_at, |entry| entry.node.at);
        let plan = match FiringPlan::new(schedule.timing.clone()).with_window(schedule.start, schedule.end) {
            Ok(plan) => plan,
            Err(error) => return self.schedule_fault(at("end"), &path.at("end"), &error),
        };
        let Some(now) = self.host.now.filter(|_| schedule.enabled) else { return };
        if let Err(error) = plan.require_future(now) {
            let name = if error.field() == "end" { "end" } else { schedule.timing.kind() };
            let advice = "A schedule that has done its work ships with enabled = false.";
            self.fault(at(name), &path.at(name), format!("{} {advice}", sentence(&error.to_string())));
        }
    }

    fn schedule_fault(&mut self, at: usize, path: &Path, error: &ScheduleError) {
        self.fault(at, path, sentence(&error.to_string()));
    }
}

/// A message with a full stop.
fn sentence(text: &str) -> String {
    let text = text.trim_end_matches('.');
    if text.ends_with(['?', '!']) { text.to_owned() } else { format!("{text}.") }
}

/// The timing as `legwork-schedule` checks it. `None` where the shape is wrong, which was told.
fn spec_of(node: &Node, timing: &Entry) -> Option<TimingSpec> {
    let text = |name: &str| node.get(name).and_then(Node::text);
    let dst_gap = if text("dst_gap") == Some("skip") { DstGap::Skip } else { DstGap::ShiftForward };
    let dst_overlap = match text("dst_overlap") {
        Some("second") => DstOverlap::Second,
        Some("both") => DstOverlap::Both,
        _ => DstOverlap::First,
    };
    let of = &timing.node;
    Some(match timing.key.as_str() {
        "crontab" => TimingSpec::Crontab { expression: of.text()?.trim().to_owned(), timezone: None, dst_gap, dst_overlap },
        "interval" => {
            let is_table = matches!(of.value, Toml::Table(_));
            let (every, unit) = if is_table { (of.get("every")?.integer()?, unit_of(of)?) } else { period(of)? };
            let from = of.get("from").filter(|_| is_table).map(Node::json);
            let from = from.as_ref().and_then(Json::as_str).unwrap_or(ANCHOR).to_owned();
            TimingSpec::Interval { every, unit, from: Some(from), timezone: None, dst_gap, dst_overlap }
        }
        "clocked" => TimingSpec::Clocked { at: of.json().as_str()?.to_owned(), timezone: None },
        _ => {
            // What is out of its range was told by the shape.
            let degrees = |name: &str, most: f64| of.get(name)?.number().filter(|degrees| degrees.abs() <= most);
            let event = of.get("event")?.text().filter(|event| event.parse::<SolarEvent>().is_ok())?;
            TimingSpec::Solar {
                event: event.to_owned(),
                latitude: degrees("latitude", 90.0)?,
                longitude: degrees("longitude", 180.0)?,
                timezone: None,
            }
        }
    })
}

fn unit_of(node: &Node) -> Option<IntervalUnit> {
    Some(match node.get("unit")?.text()? {
        "weeks" => IntervalUnit::Weeks,
        "days" => IntervalUnit::Days,
        "hours" => IntervalUnit::Hours,
        "minutes" => IntervalUnit::Minutes,
        "seconds" => IntervalUnit::Seconds,
        _ => return None,
    })
}

/// A duration in the smallest unit that it is written in: days and weeks go by the calendar, hours do not.
fn period(node: &Node) -> Option<(i64, IntervalUnit)> {
    let duration = duration_of(node)?;
    let unit = match node.text().and_then(|text| text.trim().chars().next_back()) {
        Some('w') => IntervalUnit::Weeks,
        Some('d') => IntervalUnit::Days,
        Some('h') => IntervalUnit::Hours,
        Some('m') => IntervalUnit::Minutes,
        _ => IntervalUnit::Seconds,
    };
    let seconds = match unit {
        IntervalUnit::Weeks => 604_800,
        IntervalUnit::Days => 86_400,
        IntervalUnit::Hours => 3_600,
        IntervalUnit::Minutes => 60,
        IntervalUnit::Seconds => 1,
    };
    Some((i64::try_from(duration.as_secs()).ok()? / seconds, unit))
}

fn overlap(node: &Node) -> OverlapPolicy {
    match node.get("overlap").and_then(Node::text) {
        Some("skip") => OverlapPolicy::Skip,
        Some("queue_one") => OverlapPolicy::QueueOne,
        _ => OverlapPolicy::Allow,
    }
}
