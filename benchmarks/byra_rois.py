"""The liver regions that two student groups cut out of the public set of Byra et al., with their hepatorenal indices.

550 regions of 28 x 28 pixels, ten frames of each of 55 patients, by either rater; the regions were scaled by their
hepatorenal index before they were stored (checked on the ten frames that are at hand). Labels and fat by biopsy are of
another public table. docs/nafld-real.md says where the files come from, and what is wrong with one rater's.
"""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from PIL import Image

RATERS = ("campolina", "viana")
ROI_SIDE = 28
_TABLES = {"campolina": ("byra_rois_campolina", "data.csv", ";"), "viana": ("byra_rois_viana", "dataset_rois.csv", ",")}
_COLUMNS = {
    "campolina": ("figado_x", "figado_y", "rim_x", "rim_y", "HI"),
    "viana": ("x_figado", "y_figado", "x_rim", "y_rim", "valor_hi"),
}
_NAME = re.compile(r"ROI_(\d\d)_(\d)\.png")
MOST_SHIFT, MIN_OVERLAP, SATURATED, SAME_PIXELS = 16, 80, 254, 0.99
"""Between two regions: pixels apart, pixels in common; grey level from which scaling may have cut; correlation."""
LOST_POINT = 5.0
"""One rater's table writes 1.1441 as 11.441: values of 1 and more are ten times too large. No index is that large."""


@dataclass(frozen=True)
class Rois:
    """All regions of one rater."""

    regions: np.ndarray
    """Grey as stored, shape (550, 28, 28), uint8."""
    index_as_stored: np.ndarray
    """Hepatorenal index of the table, shape (550,)."""
    index: np.ndarray
    """The same with the decimal point where it belongs."""
    liver_xy: np.ndarray
    """Column and row of the liver region's upper left corner in the frame, shape (550, 2)."""
    kidney_xy: np.ndarray
    """The same of the kidney region."""
    patient_ids: np.ndarray
    """1 to 55, shape (550,)."""
    is_fatty: np.ndarray
    """Fat of 5 % and more by biopsy, shape (550,), bool."""
    fat_percent: np.ndarray
    """Of hepatocytes, by biopsy, shape (550,)."""

    def of_patients(self, patients) -> Rois:
        """The regions of these patients only."""
        rows = np.isin(self.patient_ids, sorted(patients))
        return Rois(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def read_rois(folder: Path, rater: str) -> Rois:
    """One rater's regions; labels of the rater's own table and of the reference are checked against each other."""
    place, table, delimiter = _TABLES[rater]
    with open(folder / place / table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter=delimiter, skipinitialspace=True))
    reference = _reference(folder)
    names = [_NAME.fullmatch(row["nome_arquivo"]) for row in rows]
    patients = np.array([int(match[1]) + 1 for match in names])
    fat = np.array([reference[patient][1] for patient in patients], float)
    is_fatty = np.array([reference[patient][0] for patient in patients])
    said = np.array([row["classe"] in ("1", "Esteatose") for row in rows])
    assert (said == is_fatty).all() and (is_fatty == (fat >= 5)).all(), "labels contradict each other"
    *corners, index = (np.array([float(row[name]) for row in rows]) for name in _COLUMNS[rater])
    pictures = [np.asarray(Image.open(folder / place / row["nome_arquivo"])) for row in rows]
    return Rois(
        np.stack(pictures),
        index,
        np.where(index > LOST_POINT, index / 10, index),
        np.stack(corners[:2], axis=1).astype(int),
        np.stack(corners[2:], axis=1).astype(int),
        patients,
        is_fatty,
        fat,
    )


def _reference(folder: Path) -> dict[int, tuple[bool, float]]:
    with open(folder / "byra_frames_lcti" / "dataset.csv", newline="", encoding="utf-8") as file:
        return {int(row["ID"]): (row["Class"] == "1", float(row["Fat"])) for row in csv.DictReader(file)}


def patients_with_shared_pixels(rois: Rois) -> set[int]:
    """Patients whose regions show another patient's pixels: cut from one frame, they cannot be of both.

    Two regions whose places overlap are compared where they do. Scaling does not change the correlation, and even two
    frames of one patient have other speckle.
    """
    found = set()
    for i in range(len(rois.regions)):
        for j in range(i + 1, len(rois.regions)):
            if rois.patient_ids[i] == rois.patient_ids[j] or {rois.patient_ids[i], rois.patient_ids[j]} <= found:
                continue
            dx, dy = rois.liver_xy[j] - rois.liver_xy[i]
            if max(abs(dx), abs(dy)) > MOST_SHIFT:
                continue
            rows, columns = (slice(max(0, d), ROI_SIDE + min(0, d)) for d in (dy, dx))
            back = (slice(max(0, -d), ROI_SIDE + min(0, -d)) for d in (dy, dx))
            one, other = rois.regions[i][rows, columns].astype(float), rois.regions[j][tuple(back)].astype(float)
            seen = (one < SATURATED) & (other < SATURATED)
            if seen.sum() >= MIN_OVERLAP and np.corrcoef(one[seen], other[seen])[0, 1] > SAME_PIXELS:
                found |= {int(rois.patient_ids[i]), int(rois.patient_ids[j])}
    return found


def published_test_patients(folder: Path) -> set[int]:
    """Patients of the test part of UltraBench's split."""
    split = json.loads((folder / "splits_ultrabench" / "fatty_liver_test.json").read_text(encoding="utf-8"))
    return {int(one["patient"]) for one in split}


def frames_at_hand(folder: Path) -> dict[int, np.ndarray]:
    """Patient -> his first frame, grey, shape (434, 636); ten patients, all healthy."""
    found = {}
    for path in sorted((folder / "byra_frames_lcti").glob("*.jpeg")):
        found[int(path.name.split("_")[1])] = np.asarray(Image.open(path).convert("L"))
    return found
