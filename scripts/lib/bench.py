"""The measurements of scripts/bench that need more than a load generator. Standard library only.

    start-up BINARY SETTING=value…         seconds from the start of the process to the first answer, with the migrations done
    latency URL RATE SECONDS               from a submission to its start, its end and its visible result
    round-trip URL RATE SECONDS            from a request to its answer, for the floor of what latency measures
    drain URL COUNT DATABASE               fills a paused queue, resumes it, and reads how fast it emptied
    pause URL                              pauses the queue
    fill URL COUNT                         submits that many no-op tasks
    drained URL COUNT DATABASE             waits until nothing waits or runs, and reads how fast the last COUNT tasks ended
    sqlite-floor FILE                      rows a second that SQLite takes, 100 in a durable commit
    median JSON…                           of each figure
    table RESULTS FOLDER                   prints the table, writes the JSON

Each prints one JSON object. The token is in BENCH_TOKEN.
"""

import http.client
import json
import os
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import urlsplit

BATCH = 1000
LONGEST_DRAIN_SECONDS = 60
NO_OP = {"kind": "system.echo", "args": {"hello": "world", "number": 42}}


class Api:
    """One kept connection to the server."""

    def __init__(self, url):
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.headers = {"Authorization": "Bearer " + os.environ["BENCH_TOKEN"], "Content-Type": "application/json"}

    def call(self, method, path, body=None):
        text = None if body is None else json.dumps(body)
        self.connection.request(method, "/api/v1" + path, body=text, headers=self.headers)
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            sys.exit(f"{method} {path}: {answer.status} {content.decode(errors='replace')}")
        return json.loads(content) if content else None


def start_up(binary, *settings):
    env = {"PATH": os.environ["PATH"]} | dict(setting.split("=", 1) for setting in settings)
    Path(env["DATA_DIR"]).mkdir(parents=True, exist_ok=True)
    host, port = env["LISTEN"].rsplit(":", 1)
    started = time.perf_counter()
    process = subprocess.Popen([binary, "serve"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        healthy = wait_for_answer(host, port, "/healthz", started, process)
        ready = wait_for_answer(host, port, "/readyz", started, process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
    return {"first_answer_ms": healthy * 1000, "ready_ms": ready * 1000}


def wait_for_answer(host, port, path, started, process):
    while time.perf_counter() - started < 30 and process.poll() is None:
        try:
            connection = http.client.HTTPConnection(host, int(port), timeout=5)
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return time.perf_counter() - started
        except OSError:
            pass
        time.sleep(0.001)
    sys.exit(f"no 200 from {path}; the process ended with {process.poll()}")


def latency(url, rate, seconds):
    submit, watch = Api(url), Api(url)
    watch.call("GET", "/queues")
    started, ended, visible, accepted = [], [], [], []
    started = time.monotonic()
    for number in range(int(rate) * int(seconds)):
        time.sleep(max(0.0, started + number / int(rate) - time.monotonic()))
        sent, sent_wall = time.perf_counter(), time.time()
        task = submit.call("POST", "/tasks", NO_OP)
        accepted.append(time.perf_counter() - sent)
        answer = watch.call("GET", f"/tasks/status/{task['task_id']}?wait=10")
        visible.append(time.perf_counter() - sent)
        if answer["status"] != "SUCCESS":
            sys.exit(f"a no-op task ended as {answer}")
        started.append(seconds_of(answer["started_at"]) - sent_wall)
        ended.append(seconds_of(answer["ended_at"]) - sent_wall)
    named = {"accepted": accepted, "start": started, "end": ended, "result": visible}
    return {f"{name}_{at}_ms": value for name, values in named.items() for at, value in p50_p99(values)}


def round_trip(url, rate, seconds):
    api = Api(url)
    answered, started = [], time.monotonic()
    for number in range(int(rate) * int(seconds)):
        time.sleep(max(0.0, started + number / int(rate) - time.monotonic()))
        sent = time.perf_counter()
        api.call("POST", "/tasks", NO_OP)
        answered.append(time.perf_counter() - sent)
    return {f"{at}_ms": value for at, value in p50_p99(answered)}


def p50_p99(values):
    ordered = sorted(values)
    return [("p50", statistics.median(ordered) * 1000), ("p99", ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] * 1000)]


def seconds_of(text):
    """RFC 3339 to seconds; fromisoformat takes at most six digits and, before 3.11, no Z."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(whole + "+00:00").timestamp() + float("0." + (fraction or "0"))


def fill(url, count):
    api = Api(url)
    for first in range(0, int(count), BATCH):
        size = min(BATCH, int(count) - first)
        answer = api.call("POST", "/tasks/batch", {"tasks": [NO_OP] * size})
        refused = [task for task in answer["tasks"] if "error" in task]
        if refused:
            sys.exit(f"a no-op task was refused: {refused[0]}")
    return {"filled": int(count)}


def pause(url):
    Api(url).call("POST", "/queues/default/pause")


def drain(url, count, database):
    api = Api(url)
    pause(url)
    fill(url, count)
    time.sleep(1)
    started = time.time()
    api.call("POST", "/queues/default/resume")
    return drained(url, count, database, started)


def drained(url, count, database, started=None):
    api = Api(url)
    deadline = time.monotonic() + LONGEST_DRAIN_SECONDS
    while any(queue["depth"] + queue["running"] + queue["scheduled"] for queue in api.call("GET", "/queues")["items"]):
        if time.monotonic() > deadline:
            sys.exit(f"not drained after {LONGEST_DRAIN_SECONDS} s: {api.call('GET', '/queues')}")
        time.sleep(0.1)
    first, last, rows = ended_span(database, int(count))
    if rows != int(count):
        sys.exit(f"{rows} tasks have ended of {count}")
    seconds = last - (started or first)
    return {"per_second": int(count) / seconds, "seconds": seconds}


def ended_span(database, count):
    """When the first of the latest `count` tasks started and the last ended, and how many there are; read from the rows."""
    if database.startswith("postgres"):
        sql = (
            "select extract(epoch from min(started_at)), extract(epoch from max(ended_at)), count(*) from "
            f"(select started_at, ended_at from legwork.task_results where status = 'SUCCESS' order by ended_at desc limit {count}) latest"
        )
        done = subprocess.run(["psql", "-X", "-A", "-t", "-F", ",", "-d", database, "-c", sql], capture_output=True, text=True, check=True)
        first, last, rows = done.stdout.strip().split(",")
        return float(first), float(last), int(rows)
    with sqlite3.connect(f"file:{database}/legwork.db?mode=ro", uri=True) as connection:
        latest = f"select started_at, ended_at from task_results where status = 'SUCCESS' order by ended_at desc limit {count}"
        first, last, rows = connection.execute(f"select min(started_at), max(ended_at), count(*) from ({latest})").fetchone()
    return first / 1e6, last / 1e6, rows


def sqlite_floor(file):
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    connection.execute("create table floor (id blob primary key, made integer, state text, kind text, args text)")
    rows, started = 0, time.perf_counter()
    while time.perf_counter() - started < 4:
        batch = [(os.urandom(16), rows, "PENDING", "system.echo", '{"hello":"world","number":42}') for _ in range(100)]
        connection.execute("begin immediate")
        connection.executemany("insert into floor values (?, ?, ?, ?, ?)", batch)
        connection.execute("commit")
        rows += len(batch)
    return {"per_second": rows / (time.perf_counter() - started)}


def median(*objects):
    parsed = [json.loads(text) for text in objects]
    return {key: statistics.median(each[key] for each in parsed) for key in parsed[0]}


def table(results, folder):
    rows = [json.loads(line) for line in Path(results).read_text().splitlines()]
    width = max(len(row["measure"]) for row in rows)
    for pair in dict.fromkeys(row["pair"] for row in rows):
        print(f"\n{pair}")
        for row in rows:
            if row["pair"] == pair:
                print(f"  {row['measure']:<{width}}  {shown(row['value'])}")
    print()
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H-%M-%SZ")
    report = {"at": now, "cores": os.cpu_count(), "kernel": os.uname().release, "commit": commit(), "results": rows}
    text = json.dumps(report, indent=2) + "\n"
    for name in ("latest", now):
        Path(folder, name + ".json").write_text(text)
    print(f"written to {Path(folder, 'latest.json')}")


def shown(value):
    def number(key, figure):
        if key in ("per_second", "requests", "refused", "lost"):
            return f"{figure:,.0f}"
        return f"{figure:.2f}"

    names = {"per_second": "a second"}
    return ", ".join(f"{names.get(key, key)} {number(key, figure)}" for key, figure in value.items())


def commit():
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


COMMANDS = {
    "start-up": start_up,
    "latency": latency,
    "round-trip": round_trip,
    "drain": drain,
    "fill": fill,
    "pause": pause,
    "drained": drained,
    "sqlite-floor": sqlite_floor,
    "median": median,
    "table": table,
}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    outcome = COMMANDS[sys.argv[1]](*sys.argv[2:])
    if outcome is not None:
        print(json.dumps({key: round(value, 3) for key, value in outcome.items()}))
