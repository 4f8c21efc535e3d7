"""Small ultrasound subjects whose every pixel is known, on images that are wider than tall."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from PIL import Image

SHAPE = (90, 130)
BOX = (30, 40, 66, 92)
HEADER = (
    "subject_id,patient_id,weight (g),ALT (U/L),AST (U/L),AST/ALT,GGT (U/L),CHOL (mmol/L),TG (mmol/L),HDL-C (mmol/L),"
    "LDL-C (mmol/L),fibrotic_nash"
)


def sector(shape=SHAPE, seed=0) -> np.ndarray:
    """Speckle between 20 and 120 in a fan with a concave top; 0 around it. Shape (rows, columns), uint8."""
    rng = np.random.default_rng(seed)
    return np.where(fan(shape), rng.integers(20, 120, shape), 0).astype(np.uint8)


def fan(shape=SHAPE) -> np.ndarray:
    """Where :func:`sector` has tissue, shape (rows, columns), bool."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    radius = np.hypot(rows + 30, columns - shape[1] / 2)
    angle = np.abs(np.arctan2(columns - shape[1] / 2, rows + 30))
    return (radius > 40) & (radius < shape[0] + 20) & (angle < 0.55)


def field(low: float, high: float, shape=SHAPE) -> np.ndarray:
    """A value that grows from low to high across the columns of the picture and a little with depth."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    share = (columns - BOX[1]) / (BOX[3] - BOX[1]) * 0.8 + (rows - BOX[0]) / (BOX[2] - BOX[0]) * 0.2
    return low + (high - low) * np.clip(share, 0, 1)


def encode(values, grey, low, high, *, colormap="jet", opacity=1.0, box=BOX) -> np.ndarray:
    """The picture of an elastogram as a scanner draws it, shape (3, rows, columns), uint8; NaN stays grey."""
    steps = np.round(np.clip((values - low) / (high - low), 0, 1) * 255)
    colours = colormaps[colormap](np.nan_to_num(steps).astype(int))[..., :3] * 255
    picture = np.repeat(grey[..., None], 3, axis=2).astype(float)
    inside = np.zeros(grey.shape, dtype=bool)
    inside[box[0] : box[2], box[1] : box[3]] = True
    inside &= np.isfinite(values)
    picture[inside] = opacity * colours[inside] + (1 - opacity) * picture[inside]
    return np.moveaxis(np.round(picture).astype(np.uint8), -1, 0)


def save(path: Path, picture: np.ndarray) -> Path:
    """Write a picture, grey or (3, rows, columns)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture if picture.ndim == 2 else np.ascontiguousarray(np.moveaxis(picture, 0, -1))).save(path)
    return path


def make_subject(folder: Path, *, seed=0, patient_id=None, species="rat", kpa=(3.0, 9.0), scale=None) -> Path:
    """A subject's folder: a B-mode image with text in its corner, a region, an elastogram, and the sidecar."""
    grey = sector(seed=seed)
    labelled = grey.copy()
    labelled[4:8, 3:24:2] = 255
    save(folder / "bmode_1.png", labelled)
    roi = np.zeros(SHAPE, dtype=np.uint8)
    roi[35:60, 50:80] = 255
    save(folder / "roi_1.png", roi)
    save(folder / "swe_1.png", encode(field(*kpa), grey, 0, 20, opacity=0.6))
    stated = {"low": 0, "high": 20, "unit": "kPa", "colormap": "jet", "opacity": 0.6} if scale is None else scale
    content = {
        "schema": "liverlabel.ultrasound",
        "schema_version": 1,
        "patient_id": patient_id or folder.name,
        "species": species,
        "is_simulated": True,
        "images": [
            {
                "file": "bmode_1.png",
                "role": "bmode",
                "name": "left",
                "pixel_spacing_mm": [0.1, 0.2],
                "roi": "roi_1.png",
            },
            {"file": "swe_1.png", "role": "swe", "name": "left", "box": list(BOX), "scale": stated},
        ],
    }
    (folder / "ultrasound.json").write_text(json.dumps(content))
    return folder


def edit(folder: Path, change) -> None:
    """Change the sidecar of a subject."""
    path = folder / "ultrasound.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def make_cohort(folder: Path, n_subjects=3) -> Path:
    """Subjects rat-001, rat-002, ... and their clinical table; rat-002 lacks its GGT, rat-003 its answer."""
    lines = [HEADER]
    for number in range(1, n_subjects + 1):
        make_subject(folder / f"rat-{number:03d}", seed=number)
        ggt = "" if number == 2 else "1.5"
        answer = {1: "yes", 3: ""}.get(number, "no")
        lines.append(f"rat-{number:03d},rat-{number:03d},{450 + number},38,101,2.66,{ggt},1.9,0.7,1.0,0.3,{answer}")
    (folder / "clinical.csv").write_text("\n".join(lines) + "\n")
    return folder
