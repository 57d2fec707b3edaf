"""The formats by name: how each is read, written and known, and what it can hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from alpr.data.columns import ManifestError
from alpr.data.importers import (
    brazilian,
    ccpd_names,
    coco,
    createml,
    cvat,
    fast_plate_ocr,
    gfickel,
    label_studio,
    labelme,
    oidv4,
    open_images,
    openalpr,
    own_table,
    paddle,
    roboflow_csv,
    via,
    via_csv,
    voc,
    wpod,
    yolo,
)
from alpr.data.importers.labels import Imported, Wanted
from alpr.data.importers.nearest import nearest
from alpr.data.importers.outgoing import ImageMode, Outgoing
from alpr.data.manifest import Manifest


class Format(NamedTuple):
    """A foreign format. `holds` names columns of the manifest, and of what else it can hold:

    both (a box beside corners), kind (regions to ignore), empty (images without a plate), extra (other columns).
    """

    title: str
    read: Callable[[Path, Wanted], Imported]
    write: Callable[[Outgoing], None] | None  # None where it can only be read
    looks_like: Callable[[Path], bool]  # whether its first files have the form; others may have it too
    holds: frozenset[str]


def _format(
    title: str,
    read: Callable[[Path, Wanted], Imported],
    write: Callable[[Outgoing], None] | None,
    looks_like: Callable[[Path], bool],
    holds: str,
) -> Format:
    return Format(title, read, write, looks_like, frozenset(holds.split()))


FORMATS = {
    "manifest": _format(
        "this project's table",
        own_table.read,
        own_table.write,
        own_table.looks_like,
        "text country split note box corners both kind empty extra",
    ),
    "ccpd": _format(
        "CCPD 2018, 2019, 2020 (names)",
        ccpd_names.read,
        ccpd_names.write,
        ccpd_names.looks_like,
        "text country split box corners both extra",
    ),
    "coco": _format(
        "COCO instances, key points, polygons",
        coco.read,
        coco.write,
        coco.looks_like,
        "text country split box corners both kind empty",
    ),
    "voc": _format("Pascal VOC", voc.read, voc.write, voc.looks_like, "split box kind empty"),
    "yolo": _format("YOLO boxes", yolo.read_boxes, yolo.write_boxes, yolo.looks_like_boxes, "split box empty"),
    "yolo-pose": _format(
        "YOLO-pose, four key points",
        yolo.read_pose,
        yolo.write_pose,
        yolo.looks_like_pose,
        "split box corners both empty",
    ),
    "yolo-obb": _format("YOLO-OBB", yolo.read_obb, yolo.write_obb, yolo.looks_like_obb, "split box corners empty"),
    "yolo-seg": _format("YOLO-seg, polygons", yolo.read_polygons, None, yolo.looks_like_polygons, "split box corners"),
    "labelme": _format("labelme", labelme.read, labelme.write, labelme.looks_like, "text split box corners empty"),
    "via": _format("VIA 1 and 2", via.read, via.write, via.looks_like, "text country split box corners empty"),
    "via-csv": _format("VIA 2's table", via_csv.read, None, via_csv.looks_like, "text country split box corners"),
    "label-studio": _format(
        "Label Studio (JSON, JSON-MIN, CSV)",
        label_studio.read,
        None,
        label_studio.looks_like,
        "text country split box corners",
    ),
    "createml": _format("Create ML", createml.read, None, createml.looks_like, "text split box"),
    "roboflow-csv": _format(
        "Roboflow's and TensorFlow's table of boxes", roboflow_csv.read, None, roboflow_csv.looks_like, "text split box"
    ),
    "oidv4": _format("OIDv4 ToolKit", oidv4.read, None, oidv4.looks_like, "split box"),
    "wpod": _format("WPOD-NET", wpod.read, None, wpod.looks_like, "text split corners"),
    "paddle-det": _format(
        "PaddleOCR detection list",
        paddle.read_detection,
        paddle.write_detection,
        paddle.looks_like_detection,
        "text split box corners kind empty",
    ),
    "paddle-rec": _format(
        "PaddleOCR recognition list",
        paddle.read_recognition,
        paddle.write_recognition,
        paddle.looks_like_recognition,
        "text split",
    ),
    "fast-plate-ocr": _format(
        "fast-plate-ocr CSV",
        fast_plate_ocr.read,
        fast_plate_ocr.write,
        fast_plate_ocr.looks_like,
        "text country split",
    ),
    "openalpr": _format(
        "OpenALPR benchmark", openalpr.read, openalpr.write, openalpr.looks_like, "text split box empty"
    ),
    "cvat": _format(
        "CVAT for images 1.1", cvat.read, cvat.write, cvat.looks_like, "text country split box corners empty"
    ),
    "ufpr": _format(
        "UFPR-ALPR", brazilian.read_ufpr, brazilian.write_ufpr, brazilian.looks_like_ufpr, "text split box corners both"
    ),
    "rodosol": _format(
        "RodoSol-ALPR",
        brazilian.read_rodosol,
        brazilian.write_rodosol,
        brazilian.looks_like_rodosol,
        "text split box corners",
    ),
    "open-images": _format(
        "Open Images boxes", open_images.read, open_images.write, open_images.looks_like, "split box kind"
    ),
    "gfickel": _format(
        "gfickel/alpr's alpr_annotation.csv",
        gfickel.read,
        gfickel.write,
        gfickel.looks_like,
        "text country split box corners both",
    ),
}


def guess(source: Path) -> str:
    """The one format that the source has.

    Raises:
        ManifestError: no format, or several; the sentence lists them.
    """
    if not source.exists():
        raise ManifestError(f"{source} is not there; expected a file or a folder.")
    found = [name for name, each in FORMATS.items() if each.looks_like(source)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise ManifestError(
            f"{source} has the form of no known format. {nearest(source)}Name it with --from: {', '.join(FORMATS)}."
        )
    raise ManifestError(f"{source} may be {' or '.join(found)}; name it with --from.")


def export(
    manifest: Manifest, name: str, target: Path, images: ImageMode = "link", *, numbered: bool = False
) -> list[str]:
    """Writes a manifest into a folder in a format; gives a sentence for everything that the format could not hold.

    Args:
        images: whether photographs are linked or copied to where the format expects them, or left alone.
        numbered: file names begin with the photograph's number in the manifest.

    Raises:
        ManifestError: a format that can only be read.
        NotWritten, OSError: a full disk or a folder that cannot be written to.
    """
    write = FORMATS[name].write
    if write is None:
        raise ManifestError(f"{name} can only be read; to write there are {', '.join(written_formats())}.")
    out = Outgoing(manifest, target, images, FORMATS[name].holds, numbered)
    target.mkdir(parents=True, exist_ok=True)
    write(out)
    return out.notes()


def written_formats() -> list[str]:
    """The formats that can be written."""
    return [name for name, each in FORMATS.items() if each.write is not None]
