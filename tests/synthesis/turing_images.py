"""Speckle pictures as real frames of patients and as synthetic sets, for the reader study's tests."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from liver_models.io.files import sha256_of_bytes
from liver_models.io.synthetic_set import SyntheticImage, SyntheticManifest, picture_bytes, write_manifest


def picture(seed, side=48):
    rng = np.random.default_rng(seed)
    values = ndimage.gaussian_filter(rng.standard_normal((side, side)), 2)
    return np.clip(110 + 40 * values / values.std(), 1, 255).astype(np.uint8)


def write_real(folder, n_patients=12, n_frames=3, side=60):
    for patient in range(n_patients):
        place = folder / ("fatty" if patient % 2 else "healthy") / f"Mustermann{patient:02d}"
        place.mkdir(parents=True)
        for frame in range(n_frames):
            Image.fromarray(picture([1, patient, frame], side)).save(place / f"{frame}.png")
    return folder


def write_set(folder, kind, n=20, seed=2):
    (folder / "images").mkdir(parents=True)
    images = []
    for number in range(n):
        data = picture_bytes(picture([seed, number]))
        (folder / f"images/{number:04d}.png").write_bytes(data)
        images.append(SyntheticImage(f"images/{number:04d}.png", number % 2 == 1, sha256_of_bytes(data)))
    write_manifest(SyntheticManifest(kind, "0" * 64, {}, ("Mustermann00",), 0, {}, False, tuple(images)), folder)
    return folder
