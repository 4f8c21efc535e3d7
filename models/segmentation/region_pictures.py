"""Pictures with maps of what they show, as public collections come: images and maps by the same names."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import UnsuitableInputError
from .region_image import RegionExample

LIVER_COLOUR = (100, 0, 100)
"""Of the liver in maps by colour. Source: Vitale S et al., IJCARS 2020, 10.1007/s11548-019-02046-5."""
TOLERANCE = 20
"""Largest difference of a channel: some maps were stored with losses or smoothed."""
PATIENTS = "patients.csv"
"""``name,patient`` in each line; without it each picture counts as a patient of its own."""


def read_pictures(folder: Path | str) -> list[RegionExample]:
    """The ultrasound pictures of a folder that have a map which shows the liver, in the order of their names.

    Args:
        folder: Holds ``images`` and ``organ_maps``; a map is grey (not 0: liver) or in colours
            (:data:`LIVER_COLOUR`), and is called as its image.
    Raises:
        UnsuitableInputError: no such folders, no map with a liver, a map without image or of another size.
    """
    folder = Path(folder)
    maps = sorted(p for p in (folder / "organ_maps").glob("*") if p.suffix.lower() in (".png", ".jpg", ".jpeg"))
    if not maps:
        raise UnsuitableInputError(
            f"Pictures are needed in '{folder.name}/images' and their maps, by the same names, in "
            f"'{folder.name}/organ_maps'; found no map. Put them there."
        )
    patients = _patients(folder / PATIENTS)
    examples = []
    for path in maps:
        found = sorted((folder / "images").glob(f"{path.stem}.*"))
        if not found:
            raise UnsuitableInputError(f"The map '{path.name}' needs an image of its name in 'images'; found none.")
        region = _liver(_picture(path, "RGB"))
        if region.any():
            image, patient = _picture(found[0], "L"), patients.get(path.stem, path.stem)
            examples.append(RegionExample(path.stem, patient, "ultrasound", image, region))
    if not examples:
        raise UnsuitableInputError(
            f"At least one map with the liver is needed, in the colour {LIVER_COLOUR} or white; found {len(maps)} "
            "without. Draw it."
        )
    return examples


def _liver(picture: np.ndarray) -> np.ndarray:
    if (picture == picture[..., :1]).all():
        return picture[..., 0] > 127
    return np.abs(picture.astype(int) - LIVER_COLOUR).max(axis=-1) <= TOLERANCE


def _picture(path: Path, mode: str) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert(mode))
    except OSError as error:
        raise UnsuitableInputError(f"A picture is needed; '{path.name}' cannot be read ({error}).") from None


def _patients(path: Path) -> dict[str, str]:
    import csv

    if not path.exists():
        return {}
    with open(path, encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    if not rows or not {"name", "patient"} <= set(rows[0]):
        raise UnsuitableInputError(f"'{path.name}' needs the columns name and patient; found others. Name them so.")
    return {row["name"]: row["patient"] for row in rows}
