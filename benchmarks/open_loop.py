"""An open-loop load generator: requests leave at the times of a Poisson process, whatever the server does.

Latency counts from the time at which a request was due, not from when it was sent: a server that stalls is charged for
all requests that it held up (no coordinated omission; Tene 2013). One process, one thread, raw HTTP over kept
connections, so that it takes little of the cores that the server is measured on.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence
from typing import Any

MOST_CONNECTIONS = 256
GIVE_UP_S = 5.0
SPIN_S = 0.0005


def plan_arrivals(rate_per_s: float, seconds: float, seed: int) -> list[float]:
    """Times in seconds from the start, of a Poisson process.

    Example:
        >>> times = plan_arrivals(100, 10, seed=0)
        >>> 850 < len(times) < 1150, times == sorted(times)
        (True, True)
    """
    rng, now, found = random.Random(seed), 0.0, []
    while (now := now + rng.expovariate(rate_per_s)) < seconds:
        found.append(now)
    return found


def make_request(path: str, body: dict[str, Any]) -> bytes:
    """One POST as bytes."""
    text = json.dumps(body, ensure_ascii=False).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    return "\r\n".join([*lines, f"Content-Length: {len(text)}", "", ""]).encode() + text


class Client(asyncio.Protocol):
    """A kept connection, with one request at a time.

    Args:
        idle: connections that wait for work; this one goes there when it is answered.
    """

    def __init__(self, idle: list[Client]) -> None:
        self.idle = idle
        self.transport: Any = None
        self.due_s: float | None = None
        self.results: list[tuple[float, int]] = []
        self.buffer = b""

    def connection_made(self, transport: Any) -> None:
        """The connection stands."""
        self.transport = transport

    def ask(self, request: bytes, due_s: float, results: list[tuple[float, int]]) -> None:
        """Send a request that was due at a time; its latency and status go into `results`."""
        self.due_s, self.results, self.buffer = due_s, results, b""
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Collect the answer."""
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found or self.due_s is None:
            return
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        if len(body) >= length:
            self.results.append((time.perf_counter() - self.due_s, int(head[9:12])))
            self.due_s = None
            self.idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """What was under way has failed."""
        if self.due_s is not None:
            self.results.append((float("inf"), 0))
            self.due_s = None
        if self in self.idle:
            self.idle.remove(self)


async def run_load(
    port: int, requests: Sequence[bytes], rate_per_s: float, seconds: float, seed: int
) -> dict[str, Any]:
    """Send requests at a rate and say how long they took.

    Args:
        port: of the server on this machine.
        requests: drawn from at random.
        rate_per_s: mean arrivals.
        seconds: how long.
        seed: of times and choices.

    Returns:
        Percentiles of latency in milliseconds, counts, and how late the generator itself was.
    """
    loop = asyncio.get_running_loop()
    idle: list[Client] = []
    everyone: list[Client] = []
    results: list[tuple[float, int]] = []
    lags: list[float] = []
    rng = random.Random(seed + 1)
    arrivals = plan_arrivals(rate_per_s, seconds, seed)
    for _ in range(16):
        everyone.append((await loop.create_connection(lambda: Client(idle), "127.0.0.1", port))[1])
    idle.extend(everyone)
    start = time.perf_counter() + 0.05
    waiting: set[asyncio.Task[None]] = set()

    async def send_anew(request: bytes, due: float) -> None:
        try:
            client = (await loop.create_connection(lambda: Client(idle), "127.0.0.1", port))[1]
        except OSError:
            results.append((float("inf"), 0))
            return
        everyone.append(client)
        client.ask(request, due, results)

    for offset in arrivals:
        due = start + offset
        while (left := due - time.perf_counter()) > SPIN_S:
            await asyncio.sleep(left)
        lags.append(max(0.0, time.perf_counter() - due))
        request = rng.choice(requests)
        if idle:
            idle.pop().ask(request, due, results)
        elif len(everyone) < MOST_CONNECTIONS:
            task = loop.create_task(send_anew(request, due))
            waiting.add(task)
            task.add_done_callback(waiting.discard)
        else:
            results.append((float("inf"), 0))
    until = time.perf_counter() + GIVE_UP_S
    while len(results) < len(arrivals) and time.perf_counter() < until:
        await asyncio.sleep(0.01)
    results += [(float("inf"), 0)] * (len(arrivals) - len(results))
    for client in everyone:
        client.transport.abort()
    return summarize(rate_per_s, seconds, results, lags)


def summarize(
    rate_per_s: float, seconds: float, results: Sequence[tuple[float, int]], lags: Sequence[float]
) -> dict[str, Any]:
    """Percentiles over all that was due; what failed or never came counts as endless."""
    latencies = sorted(latency if status == 200 else float("inf") for latency, status in results)
    points = {f"p{share * 100:g}_ms": _at(latencies, share) for share in (0.5, 0.95, 0.99)}
    failed = sum(status != 200 for _, status in results)
    return {
        "rate_per_s": rate_per_s,
        "seconds": seconds,
        "requests": len(latencies),
        "failed": failed,
        **points,
        "generator_late_p99_ms": _at(sorted(lags), 0.99),
    }


def _at(ordered: Sequence[float], share: float) -> float | None:
    value = ordered[min(len(ordered) - 1, int(share * len(ordered)))]
    return None if value == float("inf") else round(1000 * value, 2)


def main() -> None:
    """Read a job as JSON from standard input, write what was found to standard output."""
    job = json.load(sys.stdin)
    requests = [make_request(job["path"], body) for body in job["bodies"]]
    found = asyncio.run(run_load(job["port"], requests, job["rate_per_s"], job["seconds"], job["seed"]))
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
