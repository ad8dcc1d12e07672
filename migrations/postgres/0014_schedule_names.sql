-- A pack finds its schedule again by the name that it declares, whatever an admin calls it; a manual firing says who asked for it.
ALTER TABLE schedules ADD COLUMN declared_name text;

UPDATE schedules SET declared_name = name WHERE pack IS NOT NULL;

CREATE UNIQUE INDEX schedules_declared ON schedules (pack, declared_name);

ALTER TABLE schedule_firings ADD COLUMN run_by text;

-- Builds before this one left firings queued when their schedule was disabled, changed or not declared any more.
UPDATE schedule_firings SET outcome = 'missed', reason = 'The schedule was disabled or changed before this firing was made.'
WHERE outcome = 'queued'
    AND NOT EXISTS (SELECT 1 FROM schedules WHERE schedules.id = schedule_firings.schedule AND schedules.queued_nominal = schedule_firings.nominal);
