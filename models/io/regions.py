"""Where a reader's region of a stored case lies."""

from __future__ import annotations

from pathlib import Path

from .class_label import FINAL

REGION_SUFFIXES = (".nii.gz", ".nii", ".nrrd")
"""Of a region that can be read."""


def region_path(studies_dir: Path | str, case_id: str, tag: str = FINAL) -> Path | None:
    """The region of a case under a tag; None when there is none."""
    folder = Path(studies_dir) / "labels" / tag
    return next((path for end in REGION_SUFFIXES if (path := folder / f"{case_id}{end}").is_file()), None)
