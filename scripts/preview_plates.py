"""A sheet of a country's rendered plates: every layout from the front, and the crops that training sees of it.

python scripts/preview_plates.py --country br --output runs/br.png
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

from alpr.files import write_atomically
from alpr.plates.country import CountryPack
from alpr.plates.records import ImageArray
from alpr.reports.drawing import sheet
from alpr.synthetic.glyph_bank import GlyphBank
from alpr.synthetic.renderer import PlateRenderer, crops_per_second

WIDTH = 288
"""px of a picture on the sheet."""


def preview(renderer: PlateRenderer, plates: int, crops: int, seed: int) -> ImageArray:
    """Rows of pictures (H, W, 3): per layout `plates` from the front, then `crops` as training sees them."""
    rng = np.random.default_rng(seed)
    pictures: list[ImageArray] = []
    for layout in renderer.pack.layouts:
        for i in range(plates + crops):
            text = renderer.draw_text_of(layout, rng)
            image = (
                renderer.render(text, layout, rng, scale=0.5)
                if i < plates
                else renderer.crop_of(text, layout, rng, (96, 384) if layout.rows == 1 else (192, 384)).crop
            )
            height = round(image.shape[0] * WIDTH / image.shape[1])
            pictures.append(np.asarray(cv2.resize(image, (WIDTH, height), interpolation=cv2.INTER_AREA), np.uint8))
    return sheet(pictures, plates + crops)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--country", required=True, help="a code of configs/country, or a pack's path")
    parser.add_argument("--output", type=Path, required=True, help="the PNG to write")
    parser.add_argument("--plates", type=int, default=2, help="plates per layout seen from the front")
    parser.add_argument("--crops", type=int, default=4, help="finished crops per layout")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same sheet")
    parser.add_argument("--glyph-bank", type=Path, help="glyphs of your own plates, see make_glyph_bank.py")
    parser.add_argument("--speed", action="store_true", help="also measure how fast one process renders crops")
    arguments = parser.parse_args()
    try:
        pack = CountryPack.find(arguments.country)
        bank = None if arguments.glyph_bank is None else GlyphBank.read(arguments.glyph_bank, pack)
        renderer = PlateRenderer(pack, bank=bank)
        renderer.check_fonts()
        _, data = cv2.imencode(".png", preview(renderer, arguments.plates, arguments.crops, arguments.seed))
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(arguments.output, [data.tobytes()], sync=False)
    except (OSError, ValueError, ModuleNotFoundError) as error:
        sys.exit(f"preview_plates.py: {error}")
    print(f"Written to {arguments.output}")
    if arguments.speed:
        cv2.setNumThreads(1)
        plain = PlateRenderer(pack, bank=bank, without=["sensor"])
        print(
            f"One process renders {crops_per_second(renderer):,.0f} crops/s, {crops_per_second(plain):,.0f} without "
            "what lens, light, sensor and file do to them."
        )


if __name__ == "__main__":
    main()
