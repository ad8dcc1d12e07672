//! Schedules that packs declare: what is new is made, what a pack changed is taken over, and what an admin changed stays.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Queue;
use super::schedules::plan_ahead;
use crate::domain::{Declaration, DeclaredSchedule, ScheduleId, ScheduleRow};
use crate::store::{ScheduleFilter, ScheduleKey, ScheduleWrite, StoreResult};

/// The owner of the tasks of declared schedules.
pub const PACK_PRINCIPAL: &str = "packs";
/// Why a schedule is disabled that its pack does not declare any more.
const UNDECLARED: &str = "its pack does not declare it any more";
/// So many schedules of a pack are read at once.
const PAGE: u32 = 500;

/// What a synchronization did, by the names of schedules.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct SyncReport {
    /// Made.
    pub added: Vec<String>,
    /// Changed, because the pack declares something else than before.
    pub changed: Vec<String>,
    /// Left as they are.
    pub unchanged: Vec<String>,
    /// Disabled, because the pack does not declare them any more.
    pub disabled: Vec<String>,
    /// Not made, because a schedule of a user or of another pack has the name.
    pub conflicts: Vec<String>,
}

impl Queue {
    /// Brings the schedules of one pack in line with what it declares. Doing it twice changes nothing; it never fires by itself.
    ///
    /// A field that an admin changed keeps the admin's value; the other fields follow the pack.
    pub async fn sync_schedules(&self, pack: &str, declared: &[DeclaredSchedule]) -> StoreResult<SyncReport> {
        let mut report = SyncReport::default();
        for one in declared {
            self.sync_one(pack, one, &mut report).await?;
        }
        let mut after = None;
        loop {
            let filter = ScheduleFilter { pack: Some(pack.to_owned()), after, ..ScheduleFilter::default() };
            let page = self.store.schedules(&filter, PAGE).await?;
            after = page.last().map(|row| row.name.clone());
            for row in page.iter().filter(|row| row.enabled && declared.iter().all(|one| one.name != row.name)) {
                let gone = ScheduleRow {
                    enabled: false,
                    disabled_reason: Some(UNDECLARED.to_owned()),
                    next_nominal: None,
                    next_due: None,
                    queued_nominal: None,
                    updated_at: self.clock.now(),
                    ..row.clone()
                };
                if self.store.write_schedule(&gone, row.version).await? == ScheduleWrite::Done {
                    report.disabled.push(row.name.clone());
                }
            }
            if page.len() < PAGE as usize {
                return Ok(report);
            }
        }
    }

    async fn sync_one(&self, pack: &str, one: &DeclaredSchedule, report: &mut SyncReport) -> StoreResult<()> {
        let now = self.clock.now();
        let declaration = serde_json::to_string(&one.declaration).unwrap_or_default();
        let Some(row) = self.store.find_schedule(&ScheduleKey::Name(one.name.clone())).await? else {
            let row = new_row(pack, one, declaration, now);
            let list = if self.store.create_schedule(&row).await? { &mut report.added } else { &mut report.unchanged };
            list.push(one.name.clone());
            return Ok(());
        };
        if row.pack.as_deref() != Some(pack) {
            report.conflicts.push(one.name.clone());
            return Ok(());
        }
        let returns = !row.enabled && row.disabled_reason.as_deref() == Some(UNDECLARED);
        if row.declared.as_deref() == Some(declaration.as_str()) && !returns {
            report.unchanged.push(one.name.clone());
            return Ok(());
        }
        let merged = merged(&row, &one.declaration).unwrap_or_else(|| one.declaration.clone());
        let enabled = if returns { one.declaration.enabled } else { merged.enabled };
        let disabled_reason = row.disabled_reason.clone().filter(|_| !enabled && !returns);
        let mut changed = ScheduleRow {
            spec: merged.spec,
            args: merged.args,
            enabled,
            disabled_reason,
            declared: Some(declaration),
            updated_at: now,
            ..row.clone()
        };
        if (&changed.spec, changed.enabled) != (&row.spec, row.enabled) {
            changed.considered_until = now;
            if let Err(error) = plan_ahead(&mut changed, now) {
                tracing::warn!(schedule = row.name, %error, "a declared schedule cannot be planned; it is left as it is");
                report.unchanged.push(one.name.clone());
                return Ok(());
            }
        }
        // Who changed it meanwhile is an admin, or another process that synchronizes; the next synchronization sees the result.
        let list = match self.store.write_schedule(&changed, row.version).await? {
            ScheduleWrite::Done => &mut report.changed,
            ScheduleWrite::NameTaken | ScheduleWrite::Stale => &mut report.unchanged,
        };
        list.push(one.name.clone());
        Ok(())
    }
}

fn new_row(pack: &str, one: &DeclaredSchedule, declared: String, now: Timestamp) -> ScheduleRow {
    let Declaration { spec, args, enabled } = one.declaration.clone();
    let mut row = ScheduleRow {
        id: ScheduleId::made(now),
        name: one.name.clone(),
        pack: Some(pack.to_owned()),
        spec,
        args,
        declared: Some(declared),
        enabled,
        disabled_reason: None,
        principal: PACK_PRINCIPAL.into(),
        version: 0,
        created_at: now,
        updated_at: now,
        considered_until: now,
        next_nominal: None,
        next_due: None,
        queued_nominal: None,
    };
    if let Err(error) = plan_ahead(&mut row, now) {
        tracing::warn!(schedule = row.name, %error, "a declared schedule cannot be planned; it does not fire");
        (row.enabled, row.disabled_reason) = (false, Some(error.to_string()));
    } else if row.enabled && row.next_nominal.is_none() {
        (row.enabled, row.disabled_reason) = (false, Some("no firing is ahead".into()));
    }
    row
}

/// What a schedule becomes: field by field, the pack's new value where the present one is the old declaration's, else the present one.
fn merged(row: &ScheduleRow, new: &Declaration) -> Option<Declaration> {
    let old: Declaration = serde_json::from_str(row.declared.as_deref()?).ok()?;
    let present = Declaration { spec: row.spec.clone(), args: row.args.clone(), enabled: row.enabled };
    let flat = |declaration: &Declaration| -> Option<Map<String, Value>> {
        let Value::Object(mut fields) = serde_json::to_value(declaration).ok()? else { return None };
        let Some(Value::Object(spec)) = fields.remove("spec") else { return None };
        fields.extend(spec.into_iter().map(|(name, value)| (format!("spec.{name}"), value)));
        Some(fields)
    };
    let (old, present, new) = (flat(&old)?, flat(&present)?, flat(new)?);
    let (mut spec, mut fields) = (Map::new(), Map::new());
    for (name, value) in new {
        let kept = present.get(&name).filter(|present| Some(*present) != old.get(&name)).cloned();
        let value = kept.unwrap_or(value);
        match name.strip_prefix("spec.") {
            Some(name) => spec.insert(name.to_owned(), value),
            None => fields.insert(name, value),
        };
    }
    fields.insert("spec".to_owned(), Value::Object(spec));
    serde_json::from_value(Value::Object(fields)).ok()
}
