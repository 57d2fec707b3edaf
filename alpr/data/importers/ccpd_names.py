"""CCPD 2018, 2019 and 2020 by their file names: folders of photographs, or the official lists of names."""

from __future__ import annotations

from pathlib import Path

from alpr.data.ccpd import SUBSETS, CcpdLabel, CcpdNameError, decode_name, decode_names, encode_name, split_of_subset
from alpr.data.ccpd_folders import (
    SPLIT_FOLDERS,
    manifest_of_names,
    official_splits,
    read_list,
    subset_folders,
    subset_manifest,
)
from alpr.data.columns import ManifestError
from alpr.data.importers.labels import Imported, Wanted
from alpr.data.importers.outgoing import Outgoing, OutgoingScene
from alpr.data.importers.places import files_of, image_size
from alpr.data.importers.text_files import first_lines
from alpr.data.several_tables import join_manifests
from alpr.images.prepare import IMAGE_SUFFIXES, UnreadableImage

_KEPT = ("area", "tilt_h", "tilt_v", "brightness", "blurriness", "subset")


def looks_like(source: Path) -> bool:
    """Whether the first names of the source, of images or in a list, are CCPD labels."""
    paths = files_of(source, (*IMAGE_SUFFIXES, ".txt"), 40)
    names = [path.name for path in paths if path.suffix.lower() in IMAGE_SUFFIXES][:20]
    lines = [line for path in paths if path.suffix == ".txt" for line in first_lines(path)]
    names += [line.strip().rpartition("/")[2] for line in lines if Path(line.strip()).suffix.lower() in IMAGE_SUFFIXES]
    return bool(names) and len(decode_names(names).rejected) <= len(names) // 4


def read(source: Path, wanted: Wanted) -> Imported:
    """The plates of a CCPD root, of one folder of photographs, or of a list (or a folder of lists)."""
    lists = [path for path in files_of(source, (".txt",)) if path.suffix == ".txt"]
    if source.is_dir() and (source.name in SUBSETS or any((source / subset).is_dir() for subset in SUBSETS)):
        folders, _ = subset_folders(source)
        official = official_splits(source)
        manifests = [subset_manifest(folder, official) for folder in folders]
    elif source.is_dir() and not lists:
        manifests = [subset_manifest(source)]
    else:
        manifests = []
        seen: set[str] = set()
        for path in lists:
            names = [name for name in dict.fromkeys(read_list(path)) if name not in seen]
            seen.update(names)
            subsets = [name.split("/")[-2] if "/" in name else path.stem for name in names]
            whole = path.stem if path.stem in SPLIT_FOLDERS else ""
            splits = [whole or split_of_subset(subset) for subset in subsets]
            root = path.parent.parent if path.parent.name in ("split", "splits") else path.parent
            manifests.append(manifest_of_names(root, names, splits, subsets))
    manifest = join_manifests([m for m in manifests if m.rows] or manifests)
    if wanted.strict and manifest.rejected:
        raise ManifestError(f"{manifest.rejected[0]}.")
    return Imported(manifest)


def write(out: Outgoing) -> None:
    """Links or copies the photographs under names that are CCPD labels, below `ccpd_base` or `ccpd_green`."""
    used: set[str] = set()
    for scene in out.scenes("corners"):
        if len(scene.rows) != 1:
            out.counts["{n} images were left out: CCPD holds one plate for each."] += 1
            continue
        row = scene.rows[0]
        try:
            label = _label(out, scene, row)
            name = encode_name(label)
            decode_name(name)
        except (CcpdNameError, UnreadableImage):
            out.counts["{n} images were left out: CCPD's names cannot hold their text, or they cannot be read."] += 1
            continue
        subset = out.manifest.extra.get("subset", [""] * out.manifest.rows)[row]
        subset = subset or ("ccpd_green" if len(label.text) == 8 else "ccpd_base")
        inner = f"{scene.split}/" if scene.split in SPLIT_FOLDERS and subset == "ccpd_green" else ""
        if name in used:
            out.counts["{n} images were left out: another has the same label, which is the same name."] += 1
            continue
        used.add(name)
        if out.images == "none":
            out.counts["{n} names were only checked: a CCPD label is its image's name; use link or copy."] += 1
        out.put_image(scene, f"{subset}/{inner}{name}")


def _label(out: Outgoing, scene: OutgoingScene, row: int) -> CcpdLabel:
    extra = {name: out.manifest.extra.get(name, [""] * out.manifest.rows)[row] for name in _KEPT}
    if not extra["brightness"]:
        out.counts["{n} names say 0 for brightness and blurriness and 90 for the tilts, which nobody measured."] += 1
    box, corners = out.whole(out.box[row]), out.whole(out.corners[row])
    area = extra["area"].partition(".")[2]
    if not area:
        height, width = image_size(scene.source)
        area = f"{(box[2] - box[0]) * (box[3] - box[1]) / (height * width):.4f}".partition(".")[2]
    tl, tr, br, bl = zip(corners[::2], corners[1::2], strict=True)
    return CcpdLabel(
        out.manifest.text[row],
        (box[0], box[1], box[2], box[3]),
        (tl, tr, br, bl),
        area,
        extra["tilt_h"] or "90",
        extra["tilt_v"] or "90",
        extra["brightness"] or "0",
        extra["blurriness"] or "0",
        scene.source.suffix.lower(),
    )
