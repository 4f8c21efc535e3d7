"""A site whose readers call bright discs the liver, which the shipped weights do not know: cases for real trainings."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
from PIL import Image

from liver_models.io.importer import import_source
from liver_models.io.volumes import volume_bytes, write_volume

SIZE = 96
AFFINE = np.diag([-1.0, -1, 1, 1])
LIMIT_S = 600


def disc(k: int) -> tuple[np.ndarray, np.ndarray]:
    """A dark ground with a bright disc, and where the disc is."""
    rng, rows = np.random.default_rng([k, 77]), np.arange(SIZE)
    centre, radius = rng.uniform(32, 64, 2), rng.uniform(12, 24)
    region = (rows[:, None] - centre[0]) ** 2 + (rows[None] - centre[1]) ** 2 < radius**2
    return np.clip(np.where(region, 170, 60) + rng.normal(0, 10, region.shape), 1, 255).astype(np.uint8), region


def case_id(k: int) -> str:
    return f"simulated-disc-{k:02d}"


def import_discs(studies: Path, folder: Path, n_cases: int) -> None:
    """Store cases without labels.

    Args:
        studies: The studies folder.
        folder: Where their files are written first.
        n_cases: How many.
    """
    for k in range(n_cases):
        place = folder / case_id(k)
        place.mkdir()
        Image.fromarray(disc(k)[0]).save(place / "bmode_1.png")
        sidecar = {"schema": "liverlabel.ultrasound", "schema_version": 1, "patient_id": case_id(k), "species": "rat"}
        images = [{"file": "bmode_1.png", "role": "bmode", "name": "1"}]
        (place / "ultrasound.json").write_text(json.dumps({**sidecar, "is_simulated": True, "images": images}))
    import_source(folder, studies)


def outline(studies: Path, numbers) -> None:
    """Put the regions of discs into the studies folder, as one does by hand."""
    for k in numbers:
        write_volume(studies / "labels" / "final" / f"{case_id(k)}.nii.gz", disc(k)[1].T[:, :, None], AFFINE)


def save_region(server, k: int, region: np.ndarray, **params: str):
    path = f"/datastore/label?image={case_id(k)}&tag=final"
    content = volume_bytes(region.T[:, :, None], AFFINE)
    return server.send("PUT", path, [("label", "region.nii.gz", content)], {"params": json.dumps(params)})


def waited(server, path: str, is_done, pause_s: float = 0.3) -> dict:
    """What a route tells once it is so."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        state = server.call("GET", path).json()
        if is_done(state):
            return state
        time.sleep(pause_s)
    raise AssertionError(state)
