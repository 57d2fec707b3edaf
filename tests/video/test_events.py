"""What becomes an event, when, and what does not and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from tiny_video import plate_at

from alpr.plates.records import PlateReading
from alpr.video.events import Event, Watcher, WatchSettings
from alpr.video.frames import Frame
from alpr.video.plate_lists import PlateList
from alpr.video.zones import Zone

FPS = 10.0
EMPTY = np.zeros((480, 1000, 3), np.uint8)


def run(watcher: Watcher, frames: Sequence[Sequence[PlateReading]]) -> list[Event]:
    events = []
    for number, plates in enumerate(frames):
        events += watcher.feed(Frame(number, number / FPS, EMPTY), plates)
    return events + watcher.end()


def car(text: str, frames: int = 8, **more: float) -> list[list[PlateReading]]:
    return [[plate_at(text, 300 + 20 * i, **more)] for i in range(frames)]  # type: ignore[arg-type]


GAP: list[list[PlateReading]] = [[]] * 20


def test_one_event_per_vehicle_when_its_track_ends() -> None:
    watcher = Watcher("gate")
    early = [watcher.feed(Frame(i, i / FPS, EMPTY), plates) for i, plates in enumerate(car("AB12"))]
    assert not any(early)
    (event,) = watcher.end()
    record = event.to_record()
    expected = {"event": "gate-1", "source": "gate", "track": 1, "text": "AB12", "frames": 8, "agreed": 8}
    assert expected.items() <= record.items()
    assert (record["first_s"], record["last_s"], record["dwell_s"], record["direction"]) == (0.0, 0.7, 0.7, "right")
    assert np.allclose(record["corners"], event.corners, atol=0.006) and record["alternatives"][0]["text"] == "AB12"


def test_a_text_that_comes_again_soon_is_the_same_event() -> None:
    frames = [*car("AB12"), *GAP, *car("AB12"), *GAP]
    watcher = Watcher("gate")
    assert [event.text for event in run(watcher, frames)] == ["AB12"] and watcher.counts["merged"] == 1
    assert len(run(Watcher("gate", WatchSettings(quiet_s=1.0)), frames)) == 2


def test_an_early_event_is_corrected_under_its_name() -> None:
    texts = [("AB17", 6.0)] * 6 + [("AB12", 9.0)] * 30
    frames = [*([plate_at(text, 100 + 20 * i, sharp=sharp)] for i, (text, sharp) in enumerate(texts)), *GAP]
    events = run(Watcher("gate", WatchSettings(after_s=0.3, min_score=0.2)), frames)
    assert {event.event for event in events} == {"gate-1"}
    assert [event.revision for event in events] == list(range(len(events))) and len(events) >= 3
    assert (events[0].text, events[0].final, events[-1].text, events[-1].final) == ("AB17", False, "AB12", True)


@pytest.mark.parametrize(
    ("settings", "plates", "reason"),
    [
        (WatchSettings(min_width_px=100), car("AB12", width=60), "too small"),
        (WatchSettings(min_score=0.9), car("AB12", sharp=3.0), "below threshold"),
        (WatchSettings(min_frames=3), car("AB12", 2), "below threshold"),
        (WatchSettings(zones=(Zone.parse("z=0,0 50,0 50,50"),)), car("AB12"), "outside the zones"),
        (WatchSettings(zones=(Zone.parse("other/z=0,0 50,0 50,50"),)), car("AB12"), None),
    ],
)
def test_what_is_no_event_is_counted_and_explained(
    settings: WatchSettings, plates: list[list[PlateReading]], reason: str | None
) -> None:
    watcher = Watcher("gate", settings)
    events = run(watcher, [*plates, *GAP])
    assert len(events) == (reason is None)
    if reason is not None:
        assert watcher.counts[reason] == 1 and reason in watcher.why[0] and f"1 {reason}" in watcher.summary()
        unread = Watcher("gate", WatchSettings(**{**vars(settings), "unread": True}))
        (event,) = run(unread, [*plates, *GAP])
        assert (event.state, event.reason) == ("unreadable", reason)


def test_plates_are_read_inside_a_zone_alone() -> None:
    watcher = Watcher("gate", WatchSettings(zones=(Zone.parse("door=330,0 400,0 400,400 330,400"),)))
    (event,) = run(watcher, car("AB12"))
    assert (event.frames, event.seen, event.zones) == (4, 8, ("door",))
    assert watcher.counts["plates outside the zones"] == 4


def test_a_zone_is_told_from_other_words() -> None:
    for text in ("door", "door=1,2 3,4", "door=1,2 3 4,5", "=1,2 3,4 5,6"):
        with pytest.raises(ValueError, match="expected NAME="):
            Zone.parse(text)


def test_an_unchanged_picture_says_nothing_new() -> None:
    watcher = Watcher("gate")
    for number in range(10):
        watcher.feed(Frame(number, number / FPS, EMPTY), [plate_at("AB12", 300)], again=number > 2)
    (event,) = watcher.end()
    assert (event.frames, event.seen) == (3, 10)


def test_a_camera_s_events_have_names_of_their_day() -> None:
    (event,) = run(Watcher("gate", began=1_700_000_000.0), car("AB12"))
    assert event.event == "gate-20231114T221320-1" and event.started == "2023-11-14T22:13:20.000+00:00"


def test_lists_with_distance_and_expiry(tmp_path: Path) -> None:
    path = tmp_path / "plates.csv"
    path.write_text("text,list,distance,until,note\nab-12,allow,,,The boss\nKL98,block,1,,\nXY55,allow,,2020-01-31,\n")
    plates = PlateList([path])
    today = date(2026, 11, 28)
    found = plates.find("AB12", today)
    assert found is not None and (found.list, found.note) == ("allow", "The boss")
    near = plates.find("KL96", today)
    assert near is not None and near.list == "block"
    assert plates.find("XY55", today) is None and plates.find("XY55", date(2020, 1, 31)) is not None
    assert plates.find("AB13", today) is None and plates.find("", today) is None
    path.write_text("text\nCD34\n")
    plates.refresh()
    assert plates.find("CD34") is not None and plates.find("AB12") is None
    (event,) = run(Watcher("gate", lists=plates), car("CD34"))
    assert {"listed": True, "list": {"text": "CD34", "list": "listed", "note": ""}}.items() <= event.to_record().items()


@pytest.mark.parametrize(
    ("text", "told"),
    [("plate\nAB\n", "expected text"), ("text,distance\nAB,x\n", "line 2"), ("text,until\nAB,soon\n", "day")],
)
def test_a_wrong_list_gets_one_sentence(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "plates.csv").write_text(text)
    with pytest.raises(ValueError, match=told):
        PlateList([tmp_path / "plates.csv"])
