"""Asks an endpoint again and again until its input ends; then tells how many answers there were from which node.

`python asking.py URL CA_FILE`, with the token in LEPTON_TOKEN.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import threading
import time
from collections import Counter

import httpx

PAUSE_SECONDS = 0.01


def await_end(over: threading.Event) -> None:
    """Wait until the input ends."""
    sys.stdin.read()
    over.set()


def main() -> None:
    """Ask one request after the other."""
    url, authority = sys.argv[1:]
    over = threading.Event()
    threading.Thread(target=await_end, args=(over,), daemon=True).start()
    answers: Counter[str] = Counter()
    slowest = 0.0
    headers = {"Authorization": f"Bearer {os.environ['LEPTON_TOKEN']}"}
    with httpx.Client(headers=headers, verify=ssl.create_default_context(cafile=authority), timeout=30) as client:
        while not over.is_set():
            began = time.monotonic()
            try:
                answer = client.get(url)
                answers[answer.text if answer.status_code == 200 else f"HTTP {answer.status_code}"] += 1
            except httpx.HTTPError as error:
                answers[type(error).__name__] += 1
            slowest = max(slowest, time.monotonic() - began)
            over.wait(PAUSE_SECONDS)
    print(json.dumps({"answers": answers, "slowest_seconds": round(slowest, 2)}))


if __name__ == "__main__":
    main()
