"""The photographs of a table with their plates, each made when it is asked for, and where a plate was labelled."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

import numpy as np
import numpy.typing as npt

from alpr.plates.records import Scene

if TYPE_CHECKING:
    from alpr.data.manifest import Manifest

Indices = npt.NDArray[np.int64]


class LazyScenes(Sequence[Scene]):
    """A sequence that makes each of its scenes when it is asked for; a slice is a list of them."""

    @abstractmethod
    def scene(self, index: int) -> Scene:
        """The scene of a number, from 0 or from the end."""

    @overload
    def __getitem__(self, index: int) -> Scene: ...

    @overload
    def __getitem__(self, index: slice) -> list[Scene]: ...

    def __getitem__(self, index: int | slice) -> Scene | list[Scene]:
        if isinstance(index, slice):
            return [self.scene(i) for i in range(*index.indices(len(self)))]
        return self.scene(index)


class Scenes(LazyScenes):
    """A manifest's photographs; a sequence that makes each Scene when it is asked for."""

    def __init__(self, manifest: Manifest, complete: bool = True) -> None:
        self.manifest, self.complete = manifest, complete
        scene_of, self._starts = scene_numbers(manifest)
        self._order = np.argsort(scene_of, kind="stable")
        self._bounds = np.searchsorted(scene_of[self._order], np.arange(len(self._starts) + 1))

    def __len__(self) -> int:
        return len(self._starts)

    def scene(self, index: int) -> Scene:
        rows = self.rows(index)
        plates = [self.manifest.plate(row) for row in rows]
        return Scene(
            image=self.manifest.path(rows[0]),
            plates=tuple(plate for plate in plates if plate is not None),
            split=next((split for row in rows if (split := self.manifest.split[row])), None),
            complete=self.complete,
        )

    def rows(self, index: int) -> list[int]:
        """The manifest's rows that make a scene."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"Scene {index} of {len(self)} does not exist.")
        index %= len(self)
        rows: list[int] = self._order[self._bounds[index] : self._bounds[index + 1]].tolist()
        return rows


def where_from(scenes: Sequence[Scene], index: int, plate: int = 0) -> str:
    """Where a scene's plate was labelled, for a complaint: the table, the row and the image, as far as they are known.

    Args:
        plate: its number in the scene.
    """
    image = scenes[index].image
    if not isinstance(scenes, Scenes):
        return f"{image}, plate {plate + 1}"
    rows = scenes.rows(index)
    named = [row for row in rows if scenes.manifest.plate(row) is not None] or rows
    return f"{scenes.manifest.place(named[plate])} ({image.name})"


def scene_numbers(manifest: Manifest) -> tuple[Indices, list[int]]:
    """Each row's scene, and each scene's first row; scenes count in the order of first mention."""
    _, first, of = np.unique(manifest.photographs, return_index=True, return_inverse=True)
    order = np.argsort(first)
    number = np.empty(len(first), np.int64)
    number[order] = np.arange(len(first))
    starts: list[int] = first[order].tolist()
    return number[of.reshape(-1)], starts
