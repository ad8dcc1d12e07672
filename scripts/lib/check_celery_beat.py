"""Imports the periodic tasks of a real django-celery-beat, and compares the report and the coming firings with what Celery says of them.

Called by scripts/check-celery-beat.
"""

import argparse
import datetime as dt
import json
import subprocess
import sys
import urllib.parse
import zoneinfo

import django
from django.conf import settings

UTC = dt.timezone.utc
# Celery asks ephem for the sun, Legwork computes it by the equations of NOAA.
SUN_TOLERANCE = dt.timedelta(minutes=2)
HEALTH = "models_app.tasks.system_health_check"
MAPPED = "shop.tasks.mapped"


def connect(url):
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "sqlite":
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": parts.path}
    else:
        place = {"HOST": parts.hostname, "PORT": parts.port, "USER": parts.username, "NAME": parts.path[1:]}
        database = {"ENGINE": "django.db.backends.postgresql", **place}
    settings.configure(
        DATABASES={"default": database}, INSTALLED_APPS=["django_celery_beat"], USE_TZ=True, TIME_ZONE="UTC", CELERY_TIMEZONE="UTC"
    )
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def make_rows(now):
    """Periodic tasks of every sort: their rows, and what the import is to report of each."""
    from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule

    expected = {}

    def add(name, outcome, task="system.echo", **fields):
        expected[name] = (PeriodicTask.objects.create(name=name, task=task, **fields), outcome)

    def crontab(minute="0", hour="9", day="*", month="*", weekday="*", zone="UTC"):
        return CrontabSchedule.objects.create(
            minute=minute, hour=hour, day_of_month=day, month_of_year=month, day_of_week=weekday, timezone=zoneinfo.ZoneInfo(zone)
        )

    # Hours in which no clocks change: docs/schedules-semantics.md tells what differs there.
    for fields in [
        {},
        {"zone": "Africa/Accra", "weekday": "mon"},
        {"zone": "Europe/London", "minute": "30", "hour": "6-18/4", "weekday": "mon-fri"},
        {"zone": "America/New_York", "minute": "0,45", "hour": "22-23"},
        {"minute": "*/5", "hour": "*"},
        {"minute": "*/90", "hour": "*"},
        {"day": "1", "month": "jan,apr,jul,oct"},
        {"day": "1-7", "weekday": "mon"},
        {"day": "2-8", "weekday": "sun,wed"},
        {"day": "1-31", "weekday": "fri"},
        {"day": "*/2", "weekday": "2"},
    ]:
        add(f"crontab {fields}", "added", crontab=crontab(**fields))
    add("crontab of both days", "not imported", crontab=crontab(day="13", weekday="fri"))

    units = [("days", 1), ("hours", 7), ("minutes", 11), ("seconds", 13), ("microseconds", 5_000_000)]
    for period, every in units:
        interval = IntervalSchedule.objects.create(every=every, period=period)
        add(f"every {every} {period}", "added", interval=interval, last_run_at=now - dt.timedelta(days=3, seconds=17))
    half = IntervalSchedule.objects.create(every=500_000, period="microseconds")
    add("every half second", "not imported", interval=half)
    later = IntervalSchedule.objects.create(every=1, period="hours")
    add("every hour from tomorrow", "added", interval=later, start_time=(now + dt.timedelta(days=1)).replace(microsecond=0))

    for event, _ in SolarSchedule._meta.get_field("event").choices:
        solar = SolarSchedule.objects.create(event=event, latitude="5.6037", longitude="-0.187")
        add(f"sun {event}", "added", solar=solar)

    future = ClockedSchedule.objects.create(clocked_time=(now + dt.timedelta(days=30)).replace(microsecond=0))
    past = ClockedSchedule.objects.create(clocked_time=now - dt.timedelta(days=30))
    add("clocked", "added", clocked=future, one_off=True)
    add("clocked in the past", "not imported", clocked=past, one_off=True)
    add("clocked in the past, disabled", "added", clocked=past, one_off=True, enabled=False)

    nine = crontab()
    add("by the pack", "added", task=HEALTH, crontab=nine)
    add("by --map", "added", task=MAPPED, crontab=nine)
    add("unknown", "not imported", task="shop.tasks.unknown", crontab=nine)
    add("positional", "not imported", crontab=nine, args="[1]")
    add("refused", "not imported", task="system.sleep", crontab=nine)
    add("expired", "not imported", crontab=nine, expires=now - dt.timedelta(days=1))
    everything = {"queue": "heavy", "priority": 200, "expire_seconds": 600, "exchange": "x", "routing_key": "y", "headers": '{"a": 1}'}
    add("everything", "added", crontab=nine, kwargs='{"a": [1, "b"]}', enabled=False, description="Why", **everything)
    add("until next year", "added", crontab=nine, expires=now + dt.timedelta(days=365), one_off=True)
    add("celery.backend_cleanup", "not needed", task="celery.backend_cleanup", crontab=nine)
    return expected


class Legwork:
    def __init__(self, options):
        self.options = options

    def run(self, *words):
        to = ["--url", self.options.server, "--token", self.options.token, "--format", "json"]
        return subprocess.run([self.options.legwork, *words, *to], capture_output=True, text=True, check=False)

    def imported(self, *words):
        done = self.run("import", "celery-beat", "--database", self.options.database, "--map", f"{MAPPED}=system.echo", *words)
        if done.returncode != 1:
            sys.exit(f"error: the exit code is {done.returncode}, not 1 as where some are not imported: {done.stdout}{done.stderr}")
        return {line["name"]: line for line in json.loads(done.stdout)["items"]}

    def schedules(self):
        return {schedule["name"]: schedule for schedule in json.loads(self.run("schedule", "list").stdout)["items"]}


def celery_next(schedule, after):
    """When Celery runs next after a run at an instant."""
    zone = getattr(schedule, "tz", UTC)
    local = after.astimezone(zone)
    schedule.nowfun = lambda: local
    return after + schedule.remaining_estimate(local)


def compare_times(row, runs, now):
    """What differs between the coming firings and Celery's."""
    if row.clocked:
        return [] if runs[:1] == [row.clocked.clocked_time] or not row.enabled else [f"{runs} is not {row.clocked.clocked_time}"]
    if row.interval:
        period = row.interval.schedule.run_every
        start = (row.last_run_at or row.start_time).replace(microsecond=0)
        late = [run for run in runs if (run - start) % period or run <= now - period]
        return [f"{run} is not a multiple of {period} after {start}" for run in late]
    tolerance = SUN_TOLERANCE if row.solar else dt.timedelta()
    steps = zip(runs, runs[1:])
    # From the middle of the night or day before, so that a difference of seconds leads to no other event.
    pause = dt.timedelta(hours=6) if row.solar else dt.timedelta()
    pairs = [(celery_next(row.schedule, last + pause), run) for last, run in steps]
    return [f"{run}, and Celery runs at {theirs}" for theirs, run in pairs if abs(run - theirs) > tolerance]


def check_everything(schedule):
    wanted = {
        "kind": "system.echo", "queue": "heavy", "priority": 9, "expires": 600, "args": {"a": [1, "b"]}, "enabled": False, "description": "Why",
    }
    return [f"everything: {field} is {schedule[field]}" for field, value in wanted.items() if schedule[field] != value]


def main():
    parser = argparse.ArgumentParser()
    for name in ["database", "legwork", "server", "token"]:
        parser.add_argument(f"--{name}", required=True)
    legwork = Legwork(parser.parse_args())
    connect(legwork.options.database)
    now = dt.datetime.now(UTC)
    expected = make_rows(now)
    failures = []
    for words, added in [(["--dry-run"], "would add"), ([], "added"), ([], "exists")]:
        report = legwork.imported(*words)
        for name, (_, outcome) in expected.items():
            wanted = added if outcome == "added" else outcome
            if report[name]["outcome"] != wanted:
                failures.append(f"{name}: the report says {report[name]}, not {wanted}")
            if wanted == "not imported" and not report[name]["reasons"]:
                failures.append(f"{name}: there is no reason")
    schedules = legwork.schedules()
    compared = 0
    for name, (made, outcome) in expected.items():
        if outcome != "added":
            continue
        # As beat reads it, with the types of the database.
        row = type(made).objects.get(pk=made.pk)
        schedule = schedules[name]
        runs = [dt.datetime.fromisoformat(run["nominal"]) for run in schedule["next_runs"]]
        if row.enabled and not runs:
            failures.append(f"{name}: no firing is ahead: {schedule}")
        failures += [f"{name}: {difference}" for difference in compare_times(row, runs, now)]
        compared += len(runs)
        if schedule["enabled"] != row.enabled or schedule["one_off"] != row.one_off:
            failures.append(f"{name}: {schedule}")
    failures += check_everything(schedules["everything"])
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    if failures:
        sys.exit(1)
    print(f"{len(expected)} periodic tasks as reported; {compared} coming firings as Celery's")


if __name__ == "__main__":
    main()
