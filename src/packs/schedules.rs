//! The schedules that packs declare, as the engine keeps them.

use legwork_engine::domain::{Declaration, DeclaredSchedule, KindName, Priority, QueueName, ScheduleSpec};
use legwork_engine::queue::Queue;
use legwork_engine::queue::declared::SyncReport;
use legwork_engine::store::StoreResult;
use legwork_pack::{Pack, Schedule};
use serde_json::Value;

use super::LoadedPacks;

impl LoadedPacks {
    /// Brings the schedules of all packs in line with what they declare: for each pack, what was done. It never fires by itself.
    pub async fn sync_schedules(&self, queue: &Queue) -> StoreResult<Vec<(String, SyncReport)>> {
        let mut reports = Vec::new();
        for pack in self.set().packs() {
            let report = queue.sync_schedules(&pack.name, &declared(pack)).await?;
            for name in &report.conflicts {
                tracing::warn!(
                    pack = pack.name,
                    schedule = name,
                    "a declared schedule is not made: its name is taken or not allowed"
                );
            }
            for name in &report.unreadable {
                tracing::warn!(
                    pack = pack.name,
                    schedule = name,
                    "what is stored of a declared schedule cannot be read; it is left as it is"
                );
            }
            reports.push((pack.name.clone(), report));
        }
        Ok(reports)
    }
}

fn declared(pack: &Pack) -> Vec<DeclaredSchedule> {
    pack.schedules
        .iter()
        .map(|schedule| DeclaredSchedule { name: schedule.name.clone(), declaration: declaration(schedule) })
        .collect()
}

fn declaration(schedule: &Schedule) -> Declaration {
    let seconds = |duration: std::time::Duration| u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
    let spec = ScheduleSpec {
        kind: KindName::from_store(&schedule.kind),
        description: schedule.description.clone().unwrap_or_default(),
        timing: schedule.timing.clone(),
        start: schedule.start,
        end: schedule.end,
        one_off: schedule.one_off,
        expires_seconds: schedule.expires.map(seconds),
        queue: schedule.queue.as_deref().map(QueueName::from_store),
        priority: schedule.priority.and_then(|number| Priority::new(number).ok()),
        missed: schedule.missed.mode(),
        missed_limit: schedule.missed.limit(),
        max_lateness_seconds: schedule.missed.max_lateness(),
        overlap: schedule.overlap,
        jitter_seconds: seconds(schedule.jitter),
    };
    Declaration { spec, args: Value::Object(schedule.args.clone()).to_string(), enabled: schedule.enabled }
}
