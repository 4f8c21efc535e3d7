"""Stored ultrasound cases whose answer to ``nafld`` is written into their pictures: a bright half above for yes."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from liver_models.io.class_label import ClassLabel, class_label_path, write_class_label
from liver_models.io.importer import import_source

SIDE = 88
N_PICTURES = 2


def import_livers(studies: Path, folder: Path, n_patients: int, is_answered: bool = True, seed: int = 0) -> list[str]:
    """Import so many patients, every other one fatty, and store the answers; their ids."""
    rng = np.random.default_rng(seed)
    for number in range(n_patients):
        write_liver(folder / f"liver-{number:03d}", is_fatty(number), rng)
    case_ids = list(import_source(folder, studies).case_ids)
    for number, case_id in enumerate(sorted(case_ids) if is_answered else ()):
        label = ClassLabel(case_id, "nafld", is_fatty(number), "anna", "test")
        write_class_label(label, class_label_path(studies, case_id))
    return sorted(case_ids)


def is_fatty(number: int) -> bool:
    return number % 2 == 1


def write_liver(folder: Path, is_bright: bool, rng: np.random.Generator) -> None:
    """The pictures of one subject and what is said of them."""
    folder.mkdir(parents=True)
    images = []
    for k in range(N_PICTURES):
        picture = rng.integers(40, 90, (SIDE, SIDE)).astype(np.uint8)
        picture[: SIDE // 2] += 90 * is_bright
        data = io.BytesIO()
        Image.fromarray(np.repeat(picture[..., None], 3, axis=2)).save(data, "PNG")
        name = f"bmode_{k + 1}.png"
        (folder / name).write_bytes(data.getvalue())
        images.append(
            {"file": name, "role": "bmode", "name": f"place_{k + 1}", "frame": 0, "pixel_spacing_mm": [0.3, 0.3]}
        )
    about = {"schema": "liverlabel.ultrasound", "schema_version": 1, "patient_id": folder.name, "species": "human"}
    (folder / "ultrasound.json").write_text(json.dumps({**about, "is_simulated": True, "images": images}))
