"""A synthetic data set in CCPD's naming and folders: blue plates in ccpd_base, green ones in ccpd_green.

A scene depends on the seed and its number alone, so any number of processes writes the same bytes and an interrupted
run goes on where it stopped. The list of what is written lies beside the images, one line per scene in order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from alpr.data.ccpd import CcpdLabel, encode_name
from alpr.data.origins import write_origin
from alpr.data.processes import run_in_processes
from alpr.files import LIST_BYTES, read_regular, write_atomically
from alpr.images.prepare import rectify
from alpr.plates.country import CountryPack
from alpr.plates.geometry import corner_box, signed_area
from alpr.plates.layout import Layout
from alpr.plates.records import FloatArray, ImageArray, Plate
from alpr.synthetic.ingredients import drawn
from alpr.synthetic.renderer import PlateRenderer
from alpr.synthetic.scenes import SceneRenderer

SPLITS = ("train", "val", "test")
JOURNAL = "synthetic_ccpd.jsonl"
_BLUE_LENGTH, _GREEN_LENGTH = 7, 8
_TEXTS_SEED, _SCENES_SEED = 1, 2


@dataclass(frozen=True)
class SyntheticPlan:
    """What is to be made.

    Attributes:
        scenes: how many scenes; a larger number continues a smaller one.
        green_share: how many of the plates are green, 0..1.
        val_share, test_share: how many scenes go to val and test; the rest is train.
        quality: of the JPEG files.
    """

    scenes: int = 1000
    seed: int = 0
    green_share: float = 0.4
    val_share: float = 0.1
    test_share: float = 0.1
    quality: int = 90

    def __post_init__(self) -> None:
        if self.scenes < 1:
            raise ValueError(f"{self.scenes} scenes cannot be made; expected at least 1.")
        if self.seed < 0:
            raise ValueError(f"The seed is {self.seed}; expected 0 or more.")
        shares = (self.green_share, self.val_share, self.test_share, self.val_share + self.test_share)
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError(
                f"The shares are green {self.green_share}, val {self.val_share}, test {self.test_share}; expected "
                f"0 to 1 each, val and test together at most 1."
            )
        if not 1 <= self.quality <= 100:
            raise ValueError(f"The JPEG quality is {self.quality}; expected 1 to 100.")


class SceneJob(NamedTuple):
    """One scene to make: its number, where it belongs and what its plate says."""

    number: int
    split: str
    text: str
    layout: str  # by name


class Written(NamedTuple):
    """A scene that was written: its number and its path relative to the data set."""

    number: int
    path: str


@dataclass(frozen=True)
class SyntheticReport:
    """How many scenes were written now, and how many were there before."""

    written: int
    kept: int
    images: dict[str, int]  # per folder


def plan_jobs(plan: SyntheticPlan, pack: CountryPack) -> list[SceneJob]:
    """Every scene's split, layout and text. No text occurs twice, so none occurs in two splits.

    Raises:
        ValueError: a pack without the layouts that CCPD has, or with too few texts for so many scenes.
    """
    rng = np.random.default_rng([plan.seed, _TEXTS_SEED])
    kinds = [_only(pack, name, length) for name, length in (("blue", _BLUE_LENGTH), ("green", _GREEN_LENGTH))]
    jobs: list[SceneJob] = []
    seen: set[str] = set()
    for index in range(plan.scenes):
        # Multiples of irrational numbers fill 0..1 evenly, so that small sets have all shares too.
        green = (index + 0.5) * 0.6180339887498949 % 1 < plan.green_share
        place = (index + 0.5) * 0.7548776662466927 % 1
        split = "val" if place < plan.val_share else "test" if place < plan.val_share + plan.test_share else "train"
        for _ in range(1000):
            text, layout = kinds[green].draw_text(rng)
            if text not in seen:
                break
        else:
            raise ValueError(f"The layouts of {pack.name} have too few texts for {plan.scenes} scenes.")
        seen.add(text)
        jobs.append(SceneJob(index, split, text, layout.name))
    return jobs


def _only(pack: CountryPack, name: str, length: int) -> PlateRenderer:
    layouts = tuple(layout for layout in pack.layouts if layout.name.startswith(name) and layout.slots == length)
    if not layouts:
        raise ValueError(f"The pack {pack.name} has no layout whose name begins with {name!r} and has {length} places.")
    return PlateRenderer(replace(pack, layouts=layouts))


def synthesize(output: Path, plan: SyntheticPlan, pack: CountryPack, *, workers: int = 2) -> SyntheticReport:
    """Makes the data set in a folder, or what is missing of it.

    Raises:
        ValueError: a folder that holds a set made with other settings, or a plan that cannot be met.
        OSError: a file that cannot be written; what was written stays.
        RuntimeError: a worker process that died.
    """
    jobs = plan_jobs(plan, pack)
    for folder in ("ccpd_base", *(f"ccpd_green/{split}" for split in SPLITS)):
        (output / folder).mkdir(parents=True, exist_ok=True)
    journal = output / JOURNAL
    paths = dict(_read_journal(journal, plan, pack, output))
    todo = [job for job in jobs if job.number not in paths]
    with journal.open("a", encoding="utf-8") as file:
        if journal.stat().st_size == 0:
            file.write(json.dumps(_settings(plan, pack)) + "\n")
        function = partial(_make, pack=pack, output=output, seed=plan.seed, quality=plan.quality)
        for written in run_in_processes(function, todo, workers=workers, label="scenes", unit="scenes", chunk=4):
            file.write(json.dumps(written) + "\n")
            file.flush()
            paths[written.number] = written.path
    # In order, whatever was made before or after an interruption: the same settings give the same bytes.
    for folder in ("ccpd_base", "ccpd_green"):  # where `alpr data ccpd` puts the tables
        write_origin(output / folder, drawn(pack, "alpr synth ccpd"))
    lines = [json.dumps(_settings(plan, pack)), *(json.dumps([i, paths[i]]) for i in sorted(paths))]
    write_atomically(journal, ["\n".join((*lines, "")).encode()])
    _write_lists(output, jobs, paths)
    folders = [str(Path(path).parent) for path in paths.values()]
    return SyntheticReport(len(todo), len(jobs) - len(todo), {f: folders.count(f) for f in sorted(set(folders))})


def _settings(plan: SyntheticPlan, pack: CountryPack) -> dict[str, object]:
    return {**{k: v for k, v in asdict(plan).items() if k != "scenes"}, "pack": pack.to_dict()}


def _read_journal(journal: Path, plan: SyntheticPlan, pack: CountryPack, output: Path) -> Iterator[Written]:
    """The scenes that an earlier run wrote and that are still there."""
    if not journal.is_file() or journal.stat().st_size == 0:
        return
    header, *lines = read_regular(journal, LIST_BYTES).decode().splitlines()
    wanted = _settings(plan, pack)
    if header != json.dumps(wanted):
        raise ValueError(f"{output} holds scenes made with other settings: {_difference(header, wanted)}.")
    for line in lines:
        try:
            index, path = json.loads(line)
        except ValueError:  # the last line of a run that was killed
            continue
        if (output / path).is_file():
            yield Written(index, path)


def _difference(header: str, wanted: dict[str, object]) -> str:
    try:
        found = json.loads(header)
    except ValueError:
        return f"the first line of {JOURNAL} is damaged; expected an empty folder"
    keys = [key for key in wanted if json.dumps(found.get(key)) != json.dumps(wanted[key])]
    parts = (key if key == "pack" else f"{key} {found.get(key)}, now {wanted[key]}" for key in keys)
    return f"{'; '.join(parts)}; expected the same ones, or an empty folder"


def _write_lists(output: Path, jobs: list[SceneJob], paths: dict[int, str]) -> None:
    """Base has no folders for its splits; its official lists name them."""
    (output / "split").mkdir(exist_ok=True)
    for split in SPLITS:
        mine = [paths[job.number] for job in jobs if job.split == split and paths[job.number].startswith("ccpd_base/")]
        if mine:
            write_atomically(output / "split" / f"{split}.txt", ["".join(f"{path}\n" for path in mine).encode()])


@lru_cache(maxsize=1)
def _renderer(pack_json: str) -> SceneRenderer:
    return SceneRenderer(PlateRenderer(CountryPack.from_dict(json.loads(pack_json))))


def _make(job: SceneJob, *, pack: CountryPack, output: Path, seed: int, quality: int) -> Written:
    """Draws and writes one scene; runs in worker processes."""
    image, plate = draw(job, pack, seed)
    split = "ccpd_base" if len(job.text) == _BLUE_LENGTH else f"ccpd_green/{job.split}"
    path = f"{split}/{ccpd_name(image, plate)}"
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    write_atomically(output / path, [data.tobytes()], sync=False)
    return Written(job.number, path)


def draw(job: SceneJob, pack: CountryPack, seed: int) -> tuple[ImageArray, Plate]:
    """The scene of a job, (1160, 720, 3) uint8 BGR, and its plate; the same in every process and order."""
    layout: Layout = next(layout for layout in pack.layouts if layout.name == job.layout)
    rng = np.random.default_rng([seed, _SCENES_SEED, job.number])
    image, plates = _renderer(json.dumps(pack.to_dict())).scene(rng, (job.text, layout))
    return image, plates[0]


def ccpd_name(image: ImageArray, plate: Plate) -> str:
    """The CCPD file name of a scene with one plate, in the style of the base subset and CCPD2020.

    Brightness is the plate's mean grey level; blurriness, low where blurry, grows with the variance of its Laplacian.

    Raises:
        ValueError: a plate without text or corners, or one that a CCPD name cannot hold.
    """
    if plate.text is None or plate.corners is None:
        raise ValueError(f"A CCPD name holds text and corners; the plate has {plate.text!r} and {plate.corners}.")
    corners = np.rint(plate.corners).astype(int)
    box = corner_box(corners).tolist()
    share = signed_area(corners) / (image.shape[0] * image.shape[1])
    gray = cv2.cvtColor(rectify(image, plate.corners, (48, 160)), cv2.COLOR_BGR2GRAY)
    sharpness = float(cv2.Laplacian(gray, cv2.CV_32F).var()) / 10
    horizontal, vertical = _tilts(corners)
    points = [(int(x), int(y)) for x, y in corners]
    return encode_name(
        CcpdLabel(
            text=plate.text,
            box=(int(box[0]), int(box[1]), int(box[2]), int(box[3])),
            corners=(points[0], points[1], points[2], points[3]),
            area=f"{share:.13f}"[2:],
            tilt_h=str(horizontal),
            tilt_v=str(vertical),
            brightness=str(round(float(gray.mean()))),
            blurriness=str(min(round(sharpness), 999)),
        )
    )


def _tilts(corners: FloatArray) -> tuple[int, int]:
    """Degrees near 90: the direction of the text and of the plate's sides; 90 is level, and upright."""
    along = corners[1] - corners[0] + corners[2] - corners[3]
    down = corners[3] - corners[0] + corners[2] - corners[1]
    horizontal = 90 + np.degrees(np.arctan2(along[1], along[0]))
    vertical = np.degrees(np.arctan2(down[1], down[0]))
    return round(float(horizontal)), round(float(vertical))
