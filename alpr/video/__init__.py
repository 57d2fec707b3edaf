"""From frames to one event per car: `for event in alpr.video.watch("gate.mp4", alpr.Reader())`. Needs no torch."""

from alpr.video.events import Event, Watcher
from alpr.video.frames import Frame
from alpr.video.fusion import fuse
from alpr.video.tracks import Track, Tracker
from alpr.video.watch import watch

__all__ = ["Event", "Frame", "Track", "Tracker", "Watcher", "fuse", "watch"]
