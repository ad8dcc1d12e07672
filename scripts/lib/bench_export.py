"""The measuring part of scripts/bench-export: exports by the server and by psql, turn by turn."""

import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request

URL = os.environ["LEGWORK_URL"]
PID = os.environ["LEGWORK_PID"]
ROWS = int(os.environ["ROWS"])
WANTED = ROWS * 7 // 10
COLUMNS = "id, email, first_name, last_name, phone, status, score, created_at"
MORE_MEMORY_MB = 32


def call(method, path, body=None):
    data = json.dumps(body).encode() if body is not None else None
    headers = {"authorization": "Bearer " + os.environ["BENCH_TOKEN"], "content-type": "application/json"}
    request = urllib.request.Request(URL + "/api/v1" + path, data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def by_legwork(**options):
    """Rows a second, from the submission to the end that is seen; the size of the file."""
    started = time.monotonic()
    body = {"model_name": "people", "filters": {"status": 1}, **options}
    task = call("POST", "/tasks/export", body)["task_id"]
    while True:
        status = call("GET", f"/tasks/status/{task}?wait=30")
        if status["ready"]:
            break
    took = time.monotonic() - started
    if not status["successful"] or status["result"]["rows"] != WANTED:
        sys.exit(f"the export went wrong: {status}")
    return WANTED / took, status["result"]["bytes"]


def by_psql():
    started = time.monotonic()
    target = os.path.join(os.environ["WORKDIR"], "psql.csv")
    command = f"\\copy (select {COLUMNS} from people where status = 1) to '{target}' with (format csv, header)"
    subprocess.run(["psql", "-X", "-q", "-d", os.environ["POSTGRES_URL"], "-c", command], check=True)
    took = time.monotonic() - started
    size = os.path.getsize(target)
    os.remove(target)
    return WANTED / took, size


def memory(field):
    with open(f"/proc/{PID}/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def main(out):
    call("GET", "/tasks/kinds")
    idle = memory("VmRSS")
    ways = {
        "psql \\copy": by_psql,
        "guard off": lambda: by_legwork(formula_guard=False),
        "guard on": lambda: by_legwork(),
        "ndjson": lambda: by_legwork(format="ndjson"),
        "guard on, gzip": lambda: by_legwork(gzip=True),
    }
    turns = {name: [] for name in ways}
    peaks = {}
    for turn in range(int(os.environ["TURNS"]) + 1):
        for name, way in ways.items():
            rate, size = way()
            # The first turn warms the caches.
            if turn > 0:
                turns[name].append(rate)
            # The mark only rises, so each way's first turn counts.
            if name != "psql \\copy":
                peaks.setdefault(name, memory("VmHWM") - idle)
            print(f"{name}: {rate:,.0f} rows/s, {size:,} bytes", file=sys.stderr)
    rates = {name: statistics.median(rates) for name, rates in turns.items()}
    base = rates["psql \\copy"]
    ratios = {name: round(rate / base, 2) for name, rate in rates.items()}
    result = {
        "rows": WANTED,
        "rows_per_second": {name: round(rate) for name, rate in rates.items()},
        "to_psql": ratios,
        "idle_mb": round(idle, 1),
        "peak_mb_above_idle": {name: round(peak, 1) for name, peak in peaks.items()},
    }
    for name in ways:
        peak = f", peak so far {peaks[name]:.1f} MB above idle" if name in peaks else ""
        print(f"{name:16} {rates[name]:>12,.0f} rows/s  {ratios[name]:.2f} of psql{peak}")
    goals = [("guard off", 0.8), ("guard on", 0.6)]
    for name, goal in goals:
        print(f"{'reached' if ratios[name] >= goal else 'MISSED'}: {name} {ratios[name]:.2f} of psql, to reach {goal}")
    most = max(peaks["guard off"], peaks["guard on"])
    print(f"{'reached' if most <= MORE_MEMORY_MB else 'MISSED'}: {most:.1f} MB above idle, {MORE_MEMORY_MB} allowed")
    with open(out, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=2)


main(sys.argv[1])
