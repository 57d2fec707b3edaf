"""The typefaces that a country pack may name: alphabets of strokes drawn by us, and fonts that pip installs.

Any other name is the path of a font file, absolute or from the working folder.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import NamedTuple

STROKE_FACES = ("plate", "plate-new", "fe", "wright", "latin", "round")
"""Alphabets of A-Z and 0-9 in `synthetic/glyphs.py`: of Chinese plates, of the newer Chinese ones, in the manner
of the German forgery-impeding face, of British and of American plates, and one with round shoulders."""
SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")


class PackagedFont(NamedTuple):
    """A font file inside an installed package: module, file in its folder, face in a collection."""

    module: str
    file: str
    face: int = 0


PACKAGED_FACES = {
    # In the collection of the CJK regions face 1 holds the Korean forms, face 2 the simplified Chinese ones.
    "noto-cjk": PackagedFont("noto_cjk_sans_otc", "", 2),
    "noto-korean": PackagedFont("noto_cjk_sans_otc", "", 1),
    "noto-arabic": PackagedFont("fontpkg_noto_kufi_arabic", "files/NotoKufiArabic[wght].ttf"),
    "noto-sans-arabic": PackagedFont("fontpkg_noto_sans_arabic", "files/NotoSansArabic[wdth,wght].ttf"),
    "amiri": PackagedFont("fontpkg_amiri", "files/Amiri-Bold.ttf"),
    "cairo": PackagedFont("fontpkg_cairo", "files/Cairo[slnt,wght].ttf"),
    "saira-condensed": PackagedFont("fontpkg_saira_condensed", "files/SairaCondensed-SemiBold.ttf"),
    "archivo-narrow": PackagedFont("fontpkg_archivo_narrow", "files/ArchivoNarrow[wght].ttf"),
    "overpass": PackagedFont("fontpkg_overpass", "files/Overpass[wght].ttf"),
    "barlow": PackagedFont("fontpkg_barlow_semi_condensed", "files/BarlowSemiCondensed-SemiBold.ttf"),
    "barlow-condensed": PackagedFont("fontpkg_barlow_condensed", "files/BarlowCondensed-SemiBold.ttf"),
}
FACES = (*STROKE_FACES, *PACKAGED_FACES)


def is_face(name: str) -> bool:
    """Whether a pack may name it: a known face or what looks like the path of a font file."""
    return name in FACES or name.lower().endswith(SUFFIXES)


def font_file(name: str) -> tuple[Path, int]:
    """The file of a packaged face or of a path, and the face's index in it.

    Raises:
        ModuleNotFoundError: the face's package is absent; the sentence says how to install it.
        ValueError: a path that is no file.
    """
    packaged = PACKAGED_FACES.get(name)
    if packaged is None:
        path = Path(name)
        if not path.is_file():
            raise ValueError(
                f"The font {name!r} is no file; expected one of {', '.join(FACES)}, or a font file's path."
            )
        return path, 2 if path.suffix.lower() in {".ttc", ".otc"} else 0
    try:
        module = import_module(packaged.module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"Rendering with the face {name!r} needs its font: pip install 'alpr-train[synthetic]', or name a font "
            "file of your own in the country pack."
        ) from error
    if not packaged.file:
        return Path(module.FONT_PATH), packaged.face
    return Path(str(module.__file__)).parent / packaged.file, packaged.face
