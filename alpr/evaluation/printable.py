"""Labels that a reader cannot print: they are listed and not scored, for no reading could be right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from alpr.data.scenes import LazyScenes
from alpr.plates.records import Plate, Scene
from alpr.reader.parts import PlateRecogniser


class Unprintable(NamedTuple):
    """A label that is not scored, and why."""

    scene: Scene
    reason: str


class Printable(LazyScenes):
    """Scenes with the texts that a reader can print; a plate of another text keeps its place, a crop of one is dropped.

    Args:
        recogniser: what reads; one that does not say its `symbols` may print anything.
        replaced: characters that count as others, in labels and readings alike.

    Attributes:
        unprintable: the labels that are not scored.
    """

    def __init__(
        self, scenes: Sequence[Scene], recogniser: PlateRecogniser | None, replaced: Mapping[str, str] | None = None
    ) -> None:
        symbols = getattr(recogniser, "symbols", None)
        self._scenes, self._replaced = scenes, dict(replaced or {})
        self._symbols = None if symbols is None else {self._as_compared(c) for c in symbols}
        self._kept: Sequence[int] = range(len(scenes))
        self.unprintable: list[Unprintable] = []
        if self._symbols is not None:
            self._kept = [i for i, scene in enumerate(scenes) if self._look_at(scene)]

    def __len__(self) -> int:
        return len(self._kept)

    def scene(self, index: int) -> Scene:
        scene = self._scenes[self._kept[index]]
        if not any(map(self._strange, scene.plates)):
            return scene
        plates = (replace(plate, text=None) if self._strange(plate) else plate for plate in scene.plates)
        return replace(scene, plates=tuple(plates))

    def _look_at(self, scene: Scene) -> bool:
        """Lists a scene's labels that cannot be printed; whether anything of it is left to be scored."""
        for plate in scene.plates:
            if strange := self._strange(plate):
                named = ", ".join(map(repr, strange))
                reason = f"{scene.image}: the label {plate.text!r} holds {named}, which the reader cannot print; "
                self.unprintable.append(Unprintable(scene, f"{reason}it is not scored."))
        return len(scene.plates) != 1 or not self._strange(scene.plates[0]) or _placed(scene.plates[0])

    def _strange(self, plate: Plate) -> list[str]:
        """The characters of a plate's label that the reader does not have."""
        if self._symbols is None or not plate.text or plate.ignored:
            return []
        return sorted({c for c in plate.text if self._as_compared(c) not in self._symbols})

    def _as_compared(self, character: str) -> str:
        return self._replaced.get(character, character)


def _placed(plate: Plate) -> bool:
    return plate.corners is not None or plate.box is not None
