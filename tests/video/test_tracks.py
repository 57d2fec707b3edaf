"""Plates of successive frames to vehicles."""

from __future__ import annotations

from collections.abc import Sequence

from tiny_video import plate_at

from alpr.plates.records import PlateReading
from alpr.video.tracks import Track, Tracker

FPS = 10.0


def run(tracker: Tracker, frames: Sequence[Sequence[PlateReading]]) -> list[Track]:
    """The tracks that a tracker gives for frames of plates, in the order in which they end."""
    ended = []
    for number, plates in enumerate(frames):
        ended += tracker.ended(number / FPS)
        tracker.feed(plates, number, number / FPS, None, None, (480, 1000))
    return ended + tracker.end()


def texts(tracks: Sequence[Track]) -> list[tuple[str, int]]:
    return sorted((track.result().text, track.seen) for track in tracks)


def test_cars_that_cross_keep_their_tracks() -> None:
    frames = [[plate_at("AB12", 100 + 60 * i, 200), plate_at("KL98", 900 - 60 * i, 215)] for i in range(14)]
    assert texts(run(Tracker(), frames)) == [("AB12", 14), ("KL98", 14)]


def test_fast_cars_that_cannot_be_read_are_told_apart_by_speed() -> None:
    frames = [
        [plate_at("AB12", 100 + 50 * i, 200, sharp=0.5), plate_at("KL98", 900 - 50 * i, 260, sharp=0.5)]
        for i in range(15)
    ]
    tracks = run(Tracker(), frames)
    assert [track.seen for track in tracks] == [15, 15]
    assert sorted(track.direction or "" for track in tracks) == ["left", "right"]


def test_a_car_behind_a_post_is_the_same() -> None:
    frames = [[] if 5 <= i < 11 else [plate_at("AB12", 100 + 40 * i)] for i in range(18)]
    assert texts(run(Tracker(), frames)) == [("AB12", 12)]


def test_a_car_gone_for_long_is_another_track() -> None:
    frames = [[plate_at("AB12", 300)] if i < 5 or i > 30 else [] for i in range(36)]
    assert texts(run(Tracker(), frames)) == [("AB12", 5), ("AB12", 5)]


def test_the_next_car_in_the_same_place_is_another() -> None:
    frames = [[plate_at("AB12" if i < 8 else "KL98", 300)] for i in range(16)]
    assert texts(run(Tracker(), frames)) == [("AB12", 8), ("KL98", 8)]


def test_the_next_car_seen_once_is_another() -> None:
    frames = [*([[plate_at("AB12", 300)]] * 6), [plate_at("KL98", 300)], *([[]] * 20)]
    assert texts(run(Tracker(), frames)) == [("AB12", 6), ("KL98", 1)]


def test_one_misread_frame_is_no_car() -> None:
    frames = [[plate_at("KL98" if i == 4 else "AB12", 300 + 10 * i)] for i in range(10)]
    assert texts(run(Tracker(), frames)) == [("AB12", 9)]


def test_a_covered_part_is_no_other_car() -> None:
    frames = [[plate_at("AB1" if i in (4, 5) else "AB1234", 300 + 10 * i)] for i in range(10)]
    assert texts(run(Tracker(), frames)) == [("AB1234", 10)]


def test_a_plate_that_left_the_picture_does_not_come_back_by_its_place() -> None:
    going = [[plate_at("AB12", 800 + 60 * i, sharp=0.5)] for i in range(4)]
    coming = [[plate_at("KL98", 990 - 40 * i, sharp=0.5)] for i in range(6)]
    assert [track.seen for track in run(Tracker(), [*going, [], [], *coming])] == [4, 6]


def test_directions() -> None:
    def direction(plates: Sequence[PlateReading]) -> str | None:
        (track,) = run(Tracker(), [[plate] for plate in plates])
        return track.direction

    assert direction([plate_at("AB12", 300, 200 + 5 * i, 60 + 5 * i) for i in range(12)]) == "towards"
    assert direction([plate_at("AB12", 300, 200 + 5 * i, 120 - 5 * i) for i in range(12)]) == "away"
    assert direction([plate_at("AB12", 300 + 20 * i) for i in range(12)]) == "right"
    assert direction([plate_at("AB12", 300) for _ in range(12)]) is None


def test_the_best_frame_of_the_fused_text_is_kept() -> None:
    tracker = Tracker(keep_frames=True)
    for number, (text, sharp) in enumerate((("AB12", 5), ("AB17", 9), ("AB12", 7), ("AB12", 6))):
        tracker.feed([plate_at(text, 300, sharp=sharp)], number, number / FPS)
    (track,) = tracker.end()
    best = track.sighting("AB12")
    assert best is not None and best.frame == 2
