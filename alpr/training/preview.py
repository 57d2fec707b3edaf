"""What a network would be taught, as a sheet of what its data draw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra.utils import instantiate

from alpr.reports.drawing import write_jpeg
from alpr.task import TaskData
from alpr.training.configuration import complaint_about, composed, plain_sentence
from alpr.training.detected_corners import open_detector


def preview_sheet(settings: Sequence[str], count: int, output: Path) -> str:
    """Writes the sheet of a training with these overrides; gives a sentence about it.

    Raises:
        ValueError: an override that does not fit, or data that cannot be used or have no preview.
        OSError: a file that cannot be written.
    """
    complaint = complaint_about(settings, "train")
    if complaint is not None:
        raise ValueError(complaint)
    try:
        data: TaskData = instantiate(composed("train", settings).data, _convert_="all")
        data.prepare(output.parent, open_detector)
        sheet, what = data.preview(count)
        write_jpeg(sheet, output)
    except Exception as error:  # Hydra wraps whatever the data raise
        if not isinstance(error.__cause__ or error, ValueError | OSError | TypeError):
            raise
        raise ValueError(plain_sentence(error)) from error
    return f"{count} {what}: {output}"
