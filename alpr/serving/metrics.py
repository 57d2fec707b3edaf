"""The counts of a server as Prometheus reads them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from alpr.serving.queue import FrameQueue
from alpr.serving.tally import BOUNDS, Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics(queue: FrameQueue) -> str:
    """All counts in the text format 0.0.4."""
    tally = queue.tally
    ended = [
        ({"client": client, "outcome": outcome}, count)
        for client, counts in tally.by_client().items()
        for outcome, count in counts.items()
    ]
    times = os.times()
    lines = [
        *_family("alpr_frames_offered_total", "counter", "Frames handed to the queue.", [({}, tally.offered)]),
        *_family("alpr_frames_total", "counter", "Frames by client and by how they ended.", ended),
        *_family("alpr_plates_total", "counter", "Plates read.", [({}, tally.plates)]),
        *_family(
            "alpr_events_total",
            "counter",
            "What else happened.",
            [({"what": what}, count) for what, count in sorted(tally.notes.items())],
        ),
        *_family("alpr_queue_frames", "gauge", "Frames that wait.", [({}, len(queue))]),
        *_family("alpr_reading_threads", "gauge", "Threads with a batch in hand.", [({}, queue.reading)]),
        *_family("alpr_held_bytes", "gauge", "Bytes of files received, waiting or read.", [({}, queue.memory.held)]),
        *_histogram("alpr_wait_seconds", "From a frame's arrival until it was taken.", tally.waited),
        *_histogram("alpr_read_seconds", "A frame's share of the time of its batch.", tally.took),
        *_family("process_cpu_seconds_total", "counter", "Seconds of a core.", [({}, times.user + times.system)]),
        *_family("process_resident_memory_bytes", "gauge", "Memory in use.", [({}, resident_bytes())]),
    ]
    return "\n".join(lines) + "\n"


def resident_bytes() -> int:
    """The memory of this process that is in use; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _family(name: str, kind: str, about: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> Iterable[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        yield f"{name}{_labels(labels)} {value}"


def _histogram(name: str, about: str, found: Histogram) -> Iterable[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} histogram"
    total = 0
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), found.counts, strict=True):
        total += count
        yield f'{name}_bucket{{le="{bound}"}} {total}'
    yield f"{name}_sum {found.sum}"
    yield f"{name}_count {total}"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    escaped = {k: v.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for k, v in labels.items()}
    return "{" + ",".join(f'{key}="{value}"' for key, value in escaped.items()) + "}"
