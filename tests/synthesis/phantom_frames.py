"""Small simulated frames of many patients, and copies of them as a generator or a file would alter them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image
from scipy import ndimage

from liver_models.ultrasound.frames import apply_crops, draw_crops
from liver_models.ultrasound.phantom import simulate_frame


@dataclass(frozen=True)
class Frames:
    images: np.ndarray
    patient_ids: tuple[str, ...]
    is_fatty: np.ndarray
    is_simulated: bool = True


@cache
def frames(first_patient: int, n_patients: int, n_frames: int = 3, size: int = 64) -> Frames:
    """Every other patient has a fatty liver."""
    images, ids, fatty = [], [], []
    for patient in range(first_patient, first_patient + n_patients):
        for frame in range(n_frames):
            fat = 20.0 if patient % 2 else 2.0
            made = simulate_frame(fat, seed=1000 * patient + frame, patient_seed=patient, size=size)
            images.append(made.b_mode)
            ids.append(f"P{patient}")
            fatty.append(bool(patient % 2))
    return Frames(np.stack(images), tuple(ids), np.array(fatty))


def altered(image: np.ndarray, how: str, rng: np.random.Generator) -> np.ndarray:
    """A copy that is no copy byte by byte."""
    x, side = image.astype(float), image.shape[0]
    if how == "shift":
        x = ndimage.shift(x, rng.integers(-3, 4, size=2), order=1, mode="nearest")
    elif how == "gain":
        x = rng.uniform(0.75, 1.25) * x + rng.uniform(-20, 20)
    elif how == "noise":
        x = x + rng.normal(0, 15, x.shape)
    elif how == "flip":
        x = x[:, ::-1]
    elif how == "crop":
        margin = int(rng.integers(1, 5))
        cut = Image.fromarray(image[margin : side - margin, margin : side - margin])
        x = np.asarray(cut.resize((side, side), Image.Resampling.BILINEAR), float)
    elif how == "cut":
        return apply_crops(image[None], draw_crops(1, rng), side)[0]
    elif how == "blur":
        x = ndimage.gaussian_filter(x, 0.8)
    elif how == "jpeg":
        data = io.BytesIO()
        Image.fromarray(image).save(data, "JPEG", quality=40)
        x = np.asarray(Image.open(data), float)
    elif how == "all":
        for one in ("crop", "shift", "gain", "noise", "jpeg"):
            x = altered(np.clip(np.round(x), 0, 255).astype(np.uint8), one, rng).astype(float)
    else:
        raise ValueError(how)
    return np.clip(np.round(x), 0, 255).astype(np.uint8)


ALTERATIONS = ("shift", "gain", "noise", "flip", "crop", "blur", "jpeg", "all", "cut")
