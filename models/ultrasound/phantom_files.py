"""Simulated cohorts as the files of a cohort: pictures, sidecars, a clinical table, and the truth in its own folder."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ..errors import UnsuitableInputError
from ..io.files import write_atomically
from ..io.ultrasound_folder import SCHEMA, SCHEMA_VERSION, SIDECAR
from .phantom import SimulatedCohort, SimulatedFrame
from .phantom_anatomy import ORGANS
from .phantom_elastogram import SCALE
from .phantom_nafld import NafldCohort

TRUTH_FOLDER = "simulated_truth"
"""Beside the subjects; no reader takes it for one."""
CLINICAL_HEADERS = {
    "weight_g": "weight (g)",
    "alt_u_per_l": "ALT (U/L)",
    "ast_u_per_l": "AST (U/L)",
    "ast_alt_ratio": "AST/ALT",
    "ggt_u_per_l": "GGT (U/L)",
    "chol_mmol_per_l": "CHOL (mmol/L)",
    "tg_mmol_per_l": "TG (mmol/L)",
    "hdl_c_mmol_per_l": "HDL-C (mmol/L)",
    "ldl_c_mmol_per_l": "LDL-C (mmol/L)",
}
"""Canonical name -> header of ``clinical.csv``."""
_DIGITS = 4


def write_cohort(
    cohort: SimulatedCohort, folder: Path | str, *, on_subject: Callable[[int], None] = lambda n_written: None
) -> None:
    """Write a cohort as the readers take it; the same cohort gives the same bytes.

    Args:
        cohort: Subjects to write.
        folder: New or empty. ``simulated_truth`` in it holds organ maps and what no reader may know.
        on_subject: Called after each subject with how many there are.
    Raises:
        UnsuitableInputError: the folder holds something, or cannot be written.
    """
    folder = _new(folder)
    for index, case_id in enumerate(cohort.case_ids):
        images = []
        for pair in range(cohort.n_pairs):
            frame = cohort.frame(index, pair)
            _write_png(folder / case_id / f"bmode_{pair + 1}.png", frame.b_mode)
            _write_png(folder / case_id / f"swe_{pair + 1}.png", np.moveaxis(frame.swe_rgb, 0, -1))
            _write_png(folder / TRUTH_FOLDER / f"simulated_organs_{case_id}_{pair + 1}.png", frame.organ_map)
            images += _images(frame, pair + 1)
        _write_sidecar(folder / case_id / SIDECAR, case_id, "rat", images)
        on_subject(index + 1)
    _write_table(cohort, folder / "clinical.csv")
    _write_truth(cohort, folder / TRUTH_FOLDER / "simulated_truth.json")


def write_nafld_cohort(
    cohort: NafldCohort, folder: Path | str, *, on_subject: Callable[[int], None] = lambda n_written: None
) -> None:
    """Write simulated patients with and without fatty liver as the readers take them; the same bytes each time.

    Args:
        cohort: Patients to write.
        folder: New or empty. ``simulated_truth`` in it holds organ maps and what no reader may know.
        on_subject: Called after each patient with how many there are.
    Raises:
        UnsuitableInputError: the folder holds something, or cannot be written.
    """
    folder, table = _new(folder), []
    patients = []
    for index, case_id in enumerate(cohort.case_ids):
        images = []
        for k in range(cohort.n_frames):
            frame, number = cohort.frame(index, k), f"{k + 1:02d}"
            _write_png(folder / case_id / f"bmode_{number}.png", frame.b_mode)
            _write_png(folder / TRUTH_FOLDER / f"simulated_organs_{case_id}_{number}.png", frame.organ_map)
            spacing = [round(frame.pixel_spacing_mm, 6)] * 2
            image = {"file": f"bmode_{number}.png", "role": "bmode", "name": number, "pixel_spacing_mm": spacing}
            images.append(image)
        _write_sidecar(folder / case_id / SIDECAR, case_id, "human", images)
        is_fatty = bool(cohort.labels[index])
        table.append([case_id, case_id, "yes" if is_fatty else "no"])
        values = {"fat_percent": float(cohort.fat_percent[index]), "fibrosis": float(cohort.fibrosis[index])}
        patients.append({"subject_id": case_id, "nafld": is_fatty, **values})
        on_subject(index + 1)
    _write_rows(folder / "clinical.csv", [["subject_id", "patient_id", "nafld"], *table])
    about = {"is_simulated": True, "seed": cohort.seed, "n_frames": cohort.n_frames, "size": cohort.size}
    about |= {"organs": dict(enumerate(ORGANS)), "subjects": patients}
    _write_json(folder / TRUTH_FOLDER / "simulated_truth.json", about)


def _new(folder: Path | str) -> Path:
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UnsuitableInputError(
            f"A simulated cohort needs a new or empty folder; '{folder.name}' holds something. Choose another."
        )
    return folder


def _write_sidecar(path: Path, case_id: str, species: str, images: list[dict]) -> None:
    said = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, "patient_id": case_id, "species": species}
    _write_json(path, said | {"is_simulated": True, "images": images})


def _images(frame: SimulatedFrame, number: int) -> list[dict]:
    """What the sidecar says of one pair."""
    spacing = [round(frame.pixel_spacing_mm, 6)] * 2
    scale = {key: value for key, value in asdict(SCALE).items() if value is not None}
    place = {"name": f"place_{number}", "frame": 0, "pixel_spacing_mm": spacing}
    return [
        {"file": f"bmode_{number}.png", "role": "bmode", **place},
        {"file": f"swe_{number}.png", "role": "swe", **place, "box": list(frame.box), "scale": scale},
    ]


def _write_table(cohort: SimulatedCohort, path: Path) -> None:
    rows = [["subject_id", "patient_id", *CLINICAL_HEADERS.values(), "fibrotic_nash"]]
    for case_id, values, is_fibrotic in zip(cohort.case_ids, cohort.values, cohort.labels, strict=True):
        numbers = [f"{values.clinical[name]:.{_DIGITS}g}" for name in CLINICAL_HEADERS]
        rows.append([case_id, case_id, *numbers, "yes" if is_fibrotic else "no"])
    _write_rows(path, rows)


def _write_rows(path: Path, rows: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_atomically(path, text.getvalue().encode("utf-8"))


def _write_truth(cohort: SimulatedCohort, path: Path) -> None:
    subjects = [
        {
            "subject_id": case_id,
            "fibrotic_nash": bool(is_fibrotic),
            "severity": values.severity,
            "fat_percent": values.fat_percent,
            "fibrosis": values.fibrosis,
            "stiffness_kpa": values.stiffness_kpa,
            "shortcuts": list(marks),
        }
        for case_id, values, is_fibrotic, marks in zip(
            cohort.case_ids, cohort.values, cohort.labels, cohort.marks, strict=True
        )
    ]
    about = {
        "is_simulated": True,
        "seed": cohort.seed,
        "n_pairs": cohort.n_pairs,
        "size": cohort.size,
        "organs": dict(enumerate(ORGANS)),
        "subjects": subjects,
    }
    _write_json(path, about)


def _write_json(path: Path, content: dict) -> None:
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode("utf-8"))


def _write_png(path: Path, picture: np.ndarray) -> None:
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(data, format="PNG")
    write_atomically(path, data.getvalue())
