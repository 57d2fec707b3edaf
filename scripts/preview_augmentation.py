"""Draws what a detector or a recogniser would be taught: augmented canvases or crops, on one sheet to be looked at.

python scripts/preview_augmentation.py experiment=ccpd_green_detector n=36 output=preview.jpg augment=scenes_scrfd
python scripts/preview_augmentation.py experiment=ccpd_green_recogniser n=60 output=preview.jpg augment=plates_strong

Around plates, green: four corners, a dot on the first; light blue: a box only; grey: ignored. Under crops: the text.
Other settings are those of train.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

import alpr  # noqa: F401 - it installs the torchvision hook before anything else is imported
from alpr.training.configuration import HELP, complaint_about, composed, plain_sentence


def main(arguments: list[str]) -> int:
    """Writes the sheet; gives 1 after a complaint."""
    if not arguments or any(a in HELP for a in arguments):
        print(__doc__)
        return 0
    own = {key: value for key, _, value in (a.partition("=") for a in arguments) if key in ("n", "output")}
    settings = [a for a in arguments if a.partition("=")[0] not in own]
    count = own.get("n", "36")
    complaint = complaint_about(settings, "train")
    if complaint is None and not (count.isdigit() and int(count)):
        complaint = f"n is {count!r}; expected how many to draw, at least 1."
    if complaint is not None:
        print(f"preview_augmentation.py: {complaint}", file=sys.stderr)
        return 1
    from hydra.utils import instantiate

    from alpr.recognition.datamodule import RecognitionData
    from alpr.reports.drawing import write_jpeg
    from alpr.training.detected_corners import find_corners
    from alpr.training.preview import preview, preview_crops

    output = Path(own.get("output", "preview.jpg"))
    try:
        data = instantiate(composed("train", settings).data, _convert_="all")
        find_corners(data, output.parent)
        crops = isinstance(data, RecognitionData)
        write_jpeg(preview_crops(data, int(count)) if crops else preview(data, int(count)), output)
    except Exception as error:  # Hydra wraps whatever the data raise
        if not isinstance(error.__cause__ or error, ValueError | OSError | TypeError):
            raise
        print(f"preview_augmentation.py: {plain_sentence(error)}", file=sys.stderr)
        return 1
    size = data.size if crops else data.canvas
    print(f"{count} {'crops' if crops else 'canvases'} of {size[1]}x{size[0]} px: {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
