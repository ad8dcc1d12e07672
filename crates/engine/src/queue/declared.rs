//! Schedules that packs declare: what is new is made, what a pack changed is taken over, and what an admin changed stays.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Queue;
use super::schedules::{CHANGED, DISABLED, check_name, plan_ahead, replan};
use crate::domain::{Declaration, DeclaredSchedule, ScheduleRow, StoredSchedule};
use crate::store::encrypted::unreadable_args;
use crate::store::{ScheduleFilter, ScheduleKey, ScheduleWrite, StoreError, StoreResult};

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
    /// Not made, because a schedule of a user or of another pack has the name, or because the name is not allowed.
    pub conflicts: Vec<String>,
    /// Left as they are, because what is stored of them cannot be read here: it is encrypted with another key, or a newer version wrote it.
    pub unreadable: Vec<String>,
}

impl Queue {
    /// Brings the schedules of one pack in line with what it declares. Doing it twice changes nothing; it never fires by itself.
    ///
    /// A schedule is found by the name under which it was declared, whatever it is called now. A field that an admin changed keeps the admin's value;
    /// the other fields follow the pack.
    pub async fn sync_schedules(&self, pack: &str, declared: &[DeclaredSchedule]) -> StoreResult<SyncReport> {
        let mut report = SyncReport::default();
        for one in declared {
            self.sync_one(pack, one, &mut report).await?;
        }
        let is_declared = |name: &str| declared.iter().any(|one| one.name == name);
        let mut after = None;
        loop {
            let filter = ScheduleFilter { pack: Some(pack.to_owned()), after, ..ScheduleFilter::default() };
            let page = self.store.schedules(&filter, PAGE).await?;
            after = page.last().map(|last| name_of(last).to_owned());
            for schedule in &page {
                let (enabled, name, declared_name) = match schedule {
                    Ok(row) => (row.enabled, &row.name, &row.declared_name),
                    Err(row) => (row.enabled, &row.name, &row.declared_name),
                };
                let is_gone = enabled && !is_declared(declared_name.as_ref().unwrap_or(name));
                if is_gone && self.disable_undeclared(schedule).await? {
                    report.disabled.push(name.clone());
                }
            }
            if page.len() < PAGE as usize {
                return Ok(report);
            }
        }
    }

    /// Disables a schedule that its pack does not declare any more. One that cannot be read is disabled by its id.
    async fn disable_undeclared(&self, schedule: &StoredSchedule) -> StoreResult<bool> {
        let now = self.clock.now();
        let row = match schedule {
            Ok(row) if unreadable_args(row).is_none() => row,
            Ok(row) => return self.store.disable_schedule(row.id, UNDECLARED, now).await,
            Err(row) => return self.store.disable_schedule(row.id, UNDECLARED, now).await,
        };
        let disabled_reason = Some(UNDECLARED.to_owned());
        let mut gone = ScheduleRow { enabled: false, disabled_reason, updated_at: now, ..row.clone() };
        let firings = replan(row, &mut gone, now, DISABLED).map_err(|error| StoreError::Refused(error.to_string()))?;
        Ok(self.store.write_schedule(&gone, row.version, &firings).await? == ScheduleWrite::Done)
    }

    async fn sync_one(&self, pack: &str, one: &DeclaredSchedule, report: &mut SyncReport) -> StoreResult<()> {
        let now = self.clock.now();
        let declaration = serde_json::to_string(&one.declaration)
            .map_err(|error| StoreError::Refused(format!("the declaration of the schedule {:?}: {error}", one.name)))?;
        let Some(found) = self.find_declared(pack, &one.name).await? else {
            let list = if let Err(detail) = check_name(&one.name) {
                tracing::warn!(pack, schedule = one.name, detail, "a declared schedule is not made: its name is not allowed");
                &mut report.conflicts
            } else if self.store.create_schedule(&new_row(pack, one, declaration, now)).await? {
                &mut report.added
            } else {
                &mut report.unchanged
            };
            list.push(one.name.clone());
            return Ok(());
        };
        let list = match found {
            Ok(row) if row.pack.as_deref() != Some(pack) || row.declared_name.as_ref().is_some_and(|name| *name != one.name) => {
                &mut report.conflicts
            }
            Ok(row) if unreadable_args(&row).is_some() => &mut report.unreadable,
            Ok(row) => self.follow_pack(row, one, declaration, report).await?,
            Err(row) if row.pack.as_deref() != Some(pack) => &mut report.conflicts,
            Err(_) => &mut report.unreadable,
        };
        list.push(one.name.clone());
        Ok(())
    }

    /// The schedule that a pack declared under a name, or else the one that has the name now.
    async fn find_declared(&self, pack: &str, name: &str) -> StoreResult<Option<StoredSchedule>> {
        let key = ScheduleKey::Declared { pack: pack.to_owned(), name: name.to_owned() };
        match self.store.find_schedule(&key).await? {
            Some(found) => Ok(Some(found)),
            None => self.store.find_schedule(&ScheduleKey::Name(name.to_owned())).await,
        }
    }

    /// Writes what the pack declares anew into a schedule: the list of the report that it belongs to.
    async fn follow_pack<'r>(
        &self,
        row: ScheduleRow,
        one: &DeclaredSchedule,
        declaration: String,
        report: &'r mut SyncReport,
    ) -> StoreResult<&'r mut Vec<String>> {
        let now = self.clock.now();
        let returns = !row.enabled && row.disabled_reason.as_deref() == Some(UNDECLARED);
        if row.declared.as_deref() == Some(declaration.as_str()) && row.declared_name.is_some() && !returns {
            return Ok(&mut report.unchanged);
        }
        let Some(merged) = merged(&row, &one.declaration) else { return Ok(&mut report.unreadable) };
        let enabled = if returns { one.declaration.enabled } else { merged.enabled };
        let mut changed = ScheduleRow {
            declared_name: Some(one.name.clone()),
            spec: merged.spec,
            args: merged.args,
            enabled,
            disabled_reason: row.disabled_reason.clone().filter(|_| !enabled && !returns),
            declared: Some(declaration),
            updated_at: now,
            ..row.clone()
        };
        let mut firings = Vec::new();
        if !changed.spec.has_times_of(&row.spec) || changed.enabled != row.enabled {
            match replan(&row, &mut changed, now, CHANGED) {
                Ok(missed) => firings = missed,
                Err(error) => {
                    tracing::warn!(schedule = row.name, %error, "a declared schedule cannot be planned; it is left as it is");
                    return Ok(&mut report.unchanged);
                }
            }
        }
        // Who changed it meanwhile is an admin, or another process that synchronizes; the next synchronization sees the result.
        Ok(match self.store.write_schedule(&changed, row.version, &firings).await? {
            ScheduleWrite::Done => &mut report.changed,
            ScheduleWrite::NameTaken | ScheduleWrite::Stale => &mut report.unchanged,
        })
    }
}

fn name_of(schedule: &StoredSchedule) -> &str {
    match schedule {
        Ok(row) => &row.name,
        Err(row) => &row.name,
    }
}

fn new_row(pack: &str, one: &DeclaredSchedule, declared: String, now: Timestamp) -> ScheduleRow {
    let Declaration { spec, args, enabled } = one.declaration.clone();
    let mut row = ScheduleRow {
        pack: Some(pack.to_owned()),
        declared_name: Some(one.name.clone()),
        declared: Some(declared),
        ..ScheduleRow::new(one.name.clone(), spec, args, enabled, PACK_PRINCIPAL.into(), now)
    };
    if let Err(error) = plan_ahead(&mut row, now) {
        tracing::warn!(schedule = row.name, %error, "a declared schedule cannot be planned; it does not fire");
        (row.enabled, row.disabled_reason) = (false, Some(error.to_string()));
    } else if row.enabled && row.next_nominal.is_none() {
        (row.enabled, row.disabled_reason) = (false, Some("no firing is ahead".into()));
    }
    row
}

/// What a schedule becomes: field by field, the pack's new value where the present one is the old declaration's, else the present one. `None` where
/// the old declaration cannot be read: what the admin changed is then not known, and nothing is overwritten.
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
