"""Adds many schedules that are due in the same minute: bench_schedules.py URL TOKEN COUNT"""

import http.client
import json
import sys
import threading
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit

CONNECTIONS = 8


def add(address, token, due, numbers):
    connection = http.client.HTTPConnection(address, timeout=30)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    for number in numbers:
        body = {
            "name": f"bench {number}",
            "kind": "system.echo",
            "crontab": f"{due.minute} {due.hour} {due.day} {due.month} *",
            "timezone": "UTC",
            "queue": "parked",
        }
        connection.request("POST", "/api/v1/schedules", json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 201:
            sys.exit(f"{answer.status}: {text.decode()}")


def main():
    url, token, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    # Time enough to add them all.
    due = (datetime.now(timezone.utc) + timedelta(seconds=60 + count / 150)).replace(second=0) + timedelta(minutes=1)
    threads = [
        threading.Thread(target=add, args=(urlsplit(url).netloc, token, due, range(first, count, CONNECTIONS)))
        for first in range(CONNECTIONS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if datetime.now(timezone.utc) > due:
        sys.exit("adding the schedules took too long: they were due before")


main()
