"""The comparing part of scripts/check-schedules.

Each difference must belong to a class that a rule below detects and that docs/schedules-semantics.md explains; anything else fails.
"""

import argparse
import collections
import datetime as dt
import json
import os
import pathlib
import random
import subprocess
import sys
import zoneinfo

import tzdata

ZONES_FOLDER = os.path.join(os.path.dirname(tzdata.__file__), "zoneinfo")
zoneinfo.reset_tzpath([ZONES_FOLDER])

import astral  # noqa: E402  (after the zones are set)
import astral.sun  # noqa: E402
from celery import Celery  # noqa: E402
from celery.schedules import crontab  # noqa: E402
from croniter import croniter  # noqa: E402

UTC = dt.timezone.utc
FIRST_YEAR, LAST_YEAR = 2026, 2035
DAY = 86_400
EXPRESSIONS_A_CHANGE = 4
SPARSE_EXPRESSIONS = 3_500
SUN_QUESTIONS = 4_000
SUN_TOLERANCE = 120
LIMITS = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)]
WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
MONTHS = ["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
CELERY = Celery("check")


# Zones and their changes


def changes_of(zone):
    """Every change of the offset in ten years: (instant, offset before, offset after), in seconds."""

    def offset(second):
        return int(dt.datetime.fromtimestamp(second, zone).utcoffset().total_seconds())

    found = []
    start, end = (int(dt.datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (FIRST_YEAR, LAST_YEAR + 1))
    for day in range(start, end, DAY):
        low, high = day, day + DAY
        if offset(low) == offset(high):
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == offset(low) else (low, middle)
        found.append((high, offset(low), offset(high)))
    return tuple(found)


def all_zones():
    names = zoneinfo.available_timezones() - {"localtime", "Factory"}
    return {name: zoneinfo.ZoneInfo(name) for name in sorted(names) if not name.startswith(("posix/", "right/"))}


# Expressions


class Expression:
    def __init__(self, text):
        self.text = text
        self.fields = text.split()
        self.values = [expand(field, index) for index, field in enumerate(self.fields)]
        _, _, day, _, weekday = self.fields
        self.restricts_both_days = day[0] != "*" and weekday[0] != "*"
        self.every_hour = len(self.values[1]) == 24

    def explicit(self):
        """The same expression with all values written out, except in the fields that begin with *."""
        return " ".join(
            field if field[0] == "*" else ",".join(map(str, sorted(values))) for field, values in zip(self.fields, self.values)
        )

    def matches_time(self, local):
        return local.minute in self.values[0] and local.hour in self.values[1]

    def matches(self, local, both_days=None):
        """Whether a local time matches; `both_days` makes the two day fields an intersection."""
        _, _, days, months, weekdays = self.values
        by_day, by_weekday = local.day in days, local.isoweekday() % 7 in weekdays
        either = self.restricts_both_days and not both_days
        return self.matches_time(local) and local.month in months and ((by_day or by_weekday) if either else (by_day and by_weekday))


def number(text, index):
    text = text.lower()
    if index == 3 and text in MONTHS:
        return MONTHS.index(text)
    if index == 4 and text in WEEKDAYS:
        return WEEKDAYS.index(text)
    return int(text)


def expand(field, index):
    low, high = LIMITS[index]
    values = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        if span == "*":
            part_values = list(range(low, high + 1))
        elif "-" in span:
            first, last = (number(end, index) for end in span.split("-"))
            if first <= last:
                part_values = list(range(first, last + 1))
            else:
                # A Sunday that is written as 7 lies beyond the end of its field, so a range from it is one from 0.
                part_values = [*range(first, high + 1), *range(low, last + 1)]
        else:
            part_values = [number(span, index)]
        values |= {value % 7 if index == 4 else value for value in part_values[:: int(step or 1)]}
    return values


def random_value(rnd, index, preferred=None):
    low, high = LIMITS[index]
    value = rnd.choice(preferred) if preferred and rnd.random() < 0.7 else rnd.randint(low, high)
    if index == 3 and rnd.random() < 0.3:
        return rnd.choice([MONTHS[value], MONTHS[value].title()])
    if index == 4 and rnd.random() < 0.3:
        return rnd.choice([WEEKDAYS[value], WEEKDAYS[value].upper()])
    if index == 4 and value == 0 and rnd.random() < 0.3:
        return "7"
    return str(value)


def random_field(rnd, index, preferred=None):
    low, high = LIMITS[index]
    kind = rnd.random()
    if kind < 0.3:
        return "*"
    if kind < 0.45:
        return f"*/{rnd.randint(1, min(12, high - low))}"
    if kind < 0.8:
        values = [random_value(rnd, index, preferred) for _ in range(rnd.randint(1, 4))]
        return ",".join(dict.fromkeys(values))
    span = f"{random_value(rnd, index)}-{random_value(rnd, index)}"
    return f"{span}/{rnd.randint(1, 5)}" if rnd.random() < 0.4 else span


def dense_expression(rnd, hours):
    day = random_field(rnd, 2) if rnd.random() < 0.2 else "*"
    weekday = random_field(rnd, 4) if rnd.random() < 0.2 else "*"
    return " ".join([random_field(rnd, 0), random_field(rnd, 1, hours), day, "*", weekday])


def sparse_expression(rnd):
    return " ".join(random_field(rnd, index) for index in range(5))


# The other implementations: each gives the first firing after an instant


def celery_next(text, zone, after):
    local = dt.datetime.fromtimestamp(after, zone)
    minute, hour, day, month, weekday = text.split()
    schedule = crontab(minute, hour, weekday, day, month, nowfun=lambda: local, app=CELERY)
    schedule.tz = zone
    return int((local.astimezone(UTC) + schedule.remaining_estimate(local)).timestamp())


def croniter_next(text, zone, after):
    # As in Vixie cron: a field that begins with * is not restricted.
    schedule = croniter(text, dt.datetime.fromtimestamp(after, zone), implement_cron_bug=True)
    return int(schedule.get_next(dt.datetime).timestamp())


def refuses(function, text):
    try:
        function(text, UTC_ZONE, int(dt.datetime(2026, 1, 1, tzinfo=UTC).timestamp()))
    except (ValueError, KeyError, TypeError):
        return True
    return False


UTC_ZONE = zoneinfo.ZoneInfo("UTC")


# Rules for differences


def second_pass(instant, zone):
    return dt.datetime.fromtimestamp(instant, zone).fold == 1


def clock_face_next(expression, zone, after):
    """The next match as Celery finds it: by the face of the clock, both day fields required, and always read as the first pass."""
    local = dt.datetime.fromtimestamp(after, zone).replace(tzinfo=None, fold=0, second=0) + dt.timedelta(minutes=1)
    times = sorted((hour, minute) for hour in expression.values[1] for minute in expression.values[0])
    for days in range(41 * 366):
        day = local.date() + dt.timedelta(days=days)
        hour, minute = times[0]
        if not expression.matches(dt.datetime(day.year, day.month, day.day, hour, minute), both_days=True):
            continue
        for hour, minute in times:
            found = dt.datetime(day.year, day.month, day.day, hour, minute)
            if found >= local:
                return int(found.replace(tzinfo=zone).timestamp()), found
    return None, None


def celery_class(expression, zone, after, ours, theirs):
    expected, face = clock_face_next(expression, zone, after)
    if theirs != expected:
        return None
    if expression.restricts_both_days:
        return "celery-both-days"
    exists = dt.datetime.fromtimestamp(expected, zone).replace(tzinfo=None, fold=0) == face
    if not exists:
        return "celery-gap"
    if second_pass(after, zone) and theirs <= after:
        return "celery-second-pass-past"
    if second_pass(ours, zone) and ours < theirs:
        return "celery-second-pass-skipped"
    return None


def croniter_class(expression, zone, after, ours, theirs):
    local = dt.datetime.fromtimestamp(theirs, zone)
    if after < theirs < ours and local.fold == 1 and not expression.every_hour and expression.matches(local):
        return "croniter-both-passes"
    if not second_pass(ours, zone) or theirs <= ours:
        return None
    start = next(minute for minute in range(ours, ours - DAY, -60) if not second_pass(minute - 60, zone))
    end = next(minute for minute in range(ours, ours + DAY, 60) if not second_pass(minute, zone))
    missed = any(expression.matches(dt.datetime.fromtimestamp(minute, zone)) for minute in range(end, theirs, 60))
    within_an_hour = dt.datetime.fromtimestamp(start, zone).minute != 0
    return "croniter-second-pass-skipped" if within_an_hour and not missed else None


def has_equal_range(expression):
    spans = [(part.split("/")[0].split("-"), index) for index, field in enumerate(expression.fields) for part in field.split(",")]
    # 7 and 0 are both Sunday, and no other field has values that are equal modulo 84.
    return any(len(span) == 2 and (number(span[0], i) - number(span[1], i)) % (7 if i == 4 else 84) == 0 for span, i in spans)


def has_wrapped_step(expression):
    for index, field in enumerate(expression.fields):
        for part in field.split(","):
            span, _, step = part.partition("/")
            first, _, last = span.partition("-")
            if step and last and number(first, index) > number(last, index):
                return True
    return False


def names_sunday_seven(expression):
    return any("7" in part.split("/")[0].split("-") for part in expression.fields[4].split(","))


def ask_celery(expression, zone, after, ours):
    """The class of the difference, "same", or None for one that no rule explains."""
    text = expression.text
    spelling = None
    if names_sunday_seven(expression):
        if not refuses(celery_next, text):
            return None, "accepted 7"
        spelling, text = "celery-sunday-seven", expression.explicit()
    try:
        theirs = celery_next(text, zone, after)
    except ValueError as error:
        no_day = expression.restricts_both_days and clock_face_next(expression, zone, after)[0] is None
        return ("celery-both-days" if no_day else None), repr(error)
    if theirs == ours:
        return spelling or "same", theirs
    return celery_class(expression, zone, after, ours, theirs), theirs


def ask_croniter(expression, zone, after, ours):
    theirs = croniter_next(expression.text, zone, after)
    if theirs == ours:
        return "same", theirs
    found = croniter_class(expression, zone, after, ours, theirs)
    if found:
        return found, theirs
    spelling = "croniter-equal-range" if has_equal_range(expression) else "croniter-wrapped-step" if has_wrapped_step(expression) else None
    if spelling is None:
        return None, theirs
    theirs = croniter_next(expression.explicit(), zone, after)
    return (spelling if theirs == ours else croniter_class(expression, zone, after, ours, theirs)), theirs


# Ours


def ask_oracle(oracle, questions):
    lines = "".join(json.dumps(question) + "\n" for question in questions)
    run = subprocess.run([oracle], input=lines, capture_output=True, text=True, env={"TZDIR": ZONES_FOLDER}, check=False)
    if run.returncode != 0:
        sys.exit(f"error: the oracle failed: {run.stderr}")
    return [json.loads(line) for line in run.stdout.splitlines()]


def question(timing, after, until, count):
    after, until = (dt.datetime.fromtimestamp(second, UTC).isoformat() for second in (after, until))
    return {"timing": timing, "after": after, "until": until, "count": count}


class Report:
    def __init__(self):
        self.classes = collections.Counter()
        self.examples = {}
        self.failures = []

    def add(self, name, example, kind):
        if name is None:
            self.failures.append(f"{kind}: {example}")
            return
        self.classes[name] += 1
        self.examples.setdefault(name, example)


# What is compared


def crontab_questions(rnd, zones):
    """Expressions around each change of the clocks in ten years, and sparse ones anywhere."""
    groups = collections.defaultdict(list)
    for name, zone in zones.items():
        for change in changes_of(zone):
            groups[change].append(name)
    asked = []
    for (instant, before, _), names in sorted(groups.items()):
        hour = dt.datetime.fromtimestamp(instant + before, UTC).hour
        hours = [(hour + shift) % 24 for shift in (-2, -1, 0, 1)]
        for index in range(EXPRESSIONS_A_CHANGE):
            after = instant - rnd.choice([1_200, 7_200, 93_600]) - rnd.randint(0, 1_800)
            # `both` is croniter's own way with repeated hours.
            overlap = "both" if index % 2 else "first"
            asked.append((Expression(dense_expression(rnd, hours)), rnd.choice(names), after, instant + 2 * DAY, 16, overlap))
    for index in range(SPARSE_EXPRESSIONS):
        name = list(zones)[index % len(zones)]
        after = rnd.randint(*(int(dt.datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (FIRST_YEAR, LAST_YEAR + 1)))
        asked.append((Expression(sparse_expression(rnd)), name, after, after + 41 * 366 * DAY, 4, "first"))
    return asked, len(groups)


def compare_crontabs(oracle, rnd, report):
    zones = all_zones()
    asked, changes = crontab_questions(rnd, zones)
    timings = [
        {"type": "crontab", "expression": expression.text, "timezone": name, "dst_overlap": overlap}
        for expression, name, _, _, _, overlap in asked
    ]
    questions = [question(timing, *ask[2:5]) for timing, ask in zip(timings, asked)]
    compared = refused = 0
    for (expression, name, after, _, _, overlap), answer in zip(asked, ask_oracle(oracle, questions)):
        if "error" in answer:
            # No day of any year: both others must find none either.
            refused += 1
            found = clock_face_next(expression, zones[name], after)[0]
            report.add("same" if found is None and not expression.restricts_both_days else None, f"{expression.text}: {answer}", "refused")
            continue
        for ours in answer["times"]:
            for kind, ask in (("celery", ask_celery), ("croniter", ask_croniter)):
                # Celery never fires twice, so it has no second firing to compare.
                if kind == "celery" and overlap == "both" and not expression.every_hour and second_pass(ours, zones[name]):
                    continue
                found, theirs = ask(expression, zones[name], after, ours)
                if kind == "croniter" and overlap == "both" and found == "croniter-both-passes":
                    found = None
                report.add(found, describe(expression, zones[name], name, after, ours, theirs, overlap), kind)
                compared += 1
            after = ours
    print(f"{len(asked)} expressions ({refused} refused) in {len(zones)} zones around {changes} changes of the clocks: {compared} times compared")
    if len(asked) < 5_000:
        report.failures.append("fewer than 5,000 expressions")


def describe(expression, zone, name, after, ours, theirs, overlap):
    times = [
        dt.datetime.fromtimestamp(time, zone).isoformat() if isinstance(time, int) else str(time) for time in (after, ours, theirs)
    ]
    return f"`{expression.text}` in {name} (overlap {overlap}) after {times[0]}: ours {times[1]}, theirs {times[2]}"


# Whether an expression is accepted: by Legwork, by Celery, by croniter. The document repeats this table.
ACCEPTED = {
    "5/15 * * * *": (False, False, True),
    "*/90 * * * *": (False, True, True),
    "*/60 * * * *": (True, True, True),
    "0 0 * * 7": (True, False, True),
    "0 0 * * monday": (True, True, False),
    "0 22-2 * * *": (True, True, True),
    "0 0 * * fri-mon": (True, True, True),
    "@daily": (True, False, True),
    "0 0 30 2 *": (False, False, False),
    "0 0 31 2 mon": (True, False, True),
    "0 0 ? * 1": (False, False, True),
    "0 0 L * *": (False, False, True),
    "0 0 * * 1#2": (False, False, True),
    "0 0 15W * *": (False, False, True),
    "0 0 9 * * 1": (False, False, True),
    "60 * * * *": (False, False, False),
    "*/0 * * * *": (False, False, False),
}


def compare_acceptance(oracle, report, document):
    answers = ask_oracle(oracle, [question({"type": "crontab", "expression": text}, 0, 1, 1) for text in ACCEPTED])
    for (text, expected), answer in zip(ACCEPTED.items(), answers):
        found = ("error" not in answer, not refuses(celery_next, text), not refuses(croniter_next, text))
        row = f"| `{text}` | " + " | ".join("yes" if accepted else "no" for accepted in expected) + " |"
        report.add("same" if found == expected else None, f"`{text}` accepted by (Legwork, Celery, croniter): {found}", "acceptance")
        if row not in document:
            report.failures.append(f"the document lacks the row {row}")


SUN_EVENTS = {
    "dawn": lambda place, date: astral.sun.dawn(place, date, 6),
    "dawn_nautical": lambda place, date: astral.sun.dawn(place, date, 12),
    "dawn_astronomical": lambda place, date: astral.sun.dawn(place, date, 18),
    "sunrise": astral.sun.sunrise,
    "noon": astral.sun.noon,
    "sunset": astral.sun.sunset,
    "dusk": lambda place, date: astral.sun.dusk(place, date, 6),
    "dusk_nautical": lambda place, date: astral.sun.dusk(place, date, 12),
    "dusk_astronomical": lambda place, date: astral.sun.dusk(place, date, 18),
}
SUN_DEGREES = {"dawn": 6, "dawn_nautical": 12, "dawn_astronomical": 18, "dusk": 6, "dusk_nautical": 12, "dusk_astronomical": 18}


# Where the sun rises or sinks this slowly, in degrees an hour, a hundredth of a degree is a matter of many seconds.
SLOW_SUN = 3.0
# How near to the height of an event the sun's highest or lowest point of a day must be, in degrees, so that it may or may not get there. From one
# night to the next it moves by up to 0.4 degrees.
NEAR_TURNING_POINT = 1.0


def grazes(event, place, middle, happens):
    """Whether the sun only just reaches, or only just misses, the height of an event."""

    def height(minutes):
        return astral.sun.elevation(place, middle + dt.timedelta(minutes=minutes), with_refraction=False)

    if happens:
        return abs(height(10) - height(-10)) * 3 < SLOW_SUN
    wanted = -SUN_DEGREES.get(event, 0.833)
    heights = [height(10 * step) for step in range(-75, 76)]
    return min(abs(max(heights) - wanted), abs(min(heights) - wanted)) < NEAR_TURNING_POINT


def astral_events(event, place, date):
    """What astral finds for a date of UTC, and for the dates beside it.

    An event near midnight UTC may be missing on its date, or be computed with the sun of the day before or after.
    """
    found = []
    for days in (0, -1, 1):
        try:
            found.append(SUN_EVENTS[event](place, date + dt.timedelta(days=days)))
        except ValueError as error:
            found.append(None)
            if days == 0 and "on the date specified" not in str(error):
                return []
    return [time for time in found if time is not None]


def compare_sun(oracle, rnd, report):
    asked = []
    for index in range(SUN_QUESTIONS):
        latitude = rnd.uniform(-65, 65) if index % 4 else rnd.uniform(-89, 89)
        place = astral.Observer(round(latitude, 4), round(rnd.uniform(-180, 180), 4))
        date = dt.date(FIRST_YEAR, 1, 1) + dt.timedelta(days=rnd.randrange(3_652))
        event = rnd.choice(list(SUN_EVENTS))
        times = astral_events(event, place, date)
        theirs = times[0] if times else None
        # Where there is none: the solar day of that date, which is what astral looked at.
        middle = theirs or dt.datetime.combine(date, dt.time(12), UTC) - dt.timedelta(minutes=4 * place.longitude)
        asked.append((event, place, middle, times))
    timings = [
        {"type": "solar", "event": event, "latitude": place.latitude, "longitude": place.longitude} for event, place, _, _ in asked
    ]
    around = [int(middle.timestamp()) for _, _, middle, _ in asked]
    answers = ask_oracle(oracle, [question(timing, second - DAY // 2, second + DAY // 2, 3) for timing, second in zip(timings, around)])
    worst = 0
    for (event, place, middle, times), answer in zip(asked, answers):
        off = min((abs(ours - theirs.timestamp()) for ours in answer["times"] for theirs in times), default=None)
        same = off <= SUN_TOLERANCE if off is not None else not times and not answer["times"]
        name = "same" if same else "astral-grazing" if grazes(event, place, middle, bool(times)) else None
        if same and off is not None:
            worst = max(worst, off)
        example = f"{event} at {place.latitude}, {place.longitude}: ours {answer['times']}, theirs {[str(time) for time in times]}, {off} s apart"
        report.add(name, example, "sun")
    print(f"{len(asked)} events of the sun compared; the largest difference of those that agree is {worst:.0f} s")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--oracle", required=True)
    parser.add_argument("--semantics", required=True, type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args()
    rnd = random.Random(options.seed)
    report = Report()
    document = options.semantics.read_text()
    compare_crontabs(options.oracle, rnd, report)
    compare_acceptance(options.oracle, report, document)
    compare_sun(options.oracle, rnd, report)
    for name, count in sorted(report.classes.items()):
        print(f"{count:8} {name}" + ("" if name == "same" else f", such as {report.examples[name]}"))
        if name != "same" and f"`{name}`" not in document:
            report.failures.append(f"{options.semantics} does not explain `{name}`")
    for failure in report.failures[:50]:
        print(f"error: {failure}", file=sys.stderr)
    if report.failures:
        sys.exit(f"error: {len(report.failures)} differences that no rule explains")
    print("every difference is explained")


if __name__ == "__main__":
    main()
