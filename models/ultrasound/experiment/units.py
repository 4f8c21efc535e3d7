"""One unit: one model trained on one fold, and what it says of the subjects kept for testing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ... import __version__
from ...io.json_records import JsonRecords
from ..fusion import predict, predict_logits
from ..fusion_training import train_fusion
from ..subject import UltrasoundSubject
from .options import NashExperimentOptions

UNIT_SCHEMA = "liverlabel.nash-unit.v1"


@dataclass(frozen=True)
class UnitPlace:
    """Which unit it is."""

    model: str
    """Of :data:`.fusion_options.MODELS`."""
    mode: str
    """"default" or "paper"."""
    fold: int
    """From 0."""

    @property
    def name(self) -> str:
        """Stem of its files."""
        return f"{self.model}__{self.mode}__fold{self.fold}"


@dataclass(frozen=True)
class Unit:
    """What one model said; arrays of shape (n_subjects,) of the fold's test subjects, in the order of ``case_ids``."""

    place: UnitPlace
    """Which unit it is."""
    case_ids: tuple[str, ...]
    """Test subjects."""
    logits: np.ndarray
    """Calibrated log-odds of each subject."""
    image_logits: tuple[tuple[float, ...], ...]
    """Calibrated log-odds of each image pair of each subject; empty for models that read no image."""
    train_logits: np.ndarray
    """Of the subjects that were trained on, for the calibration in the training set."""
    train_ids: tuple[str, ...]
    """Those subjects."""
    calibration_logits: np.ndarray
    """Of the patients inside the training part that calibrated it."""
    calibration_labels: np.ndarray
    """Their answers."""
    example: dict
    """Grad-CAM of one subject: arrays "b_mode" and "grad_cam"; empty for other units."""
    contributions: dict
    """Mean absolute contribution of each input over the test subjects, log-odds."""


def code_digest(library: Path = Path(__file__).parents[2]) -> str:
    """SHA-256 of the source that a unit depends on: a resumed experiment never mixes two."""
    digest = hashlib.sha256(__version__.encode())
    for file in sorted((library / "ultrasound").glob("*.py")) + sorted((library / "learning").glob("*.py")):
        digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def cohort_digest(subjects: list[UltrasoundSubject]) -> str:
    """SHA-256 of everything a model may see of a cohort."""
    digest = hashlib.sha256()
    for subject in subjects:
        about = [subject.case_id, subject.patient_id, subject.is_fibrotic_nash, sorted(subject.clinical.items())]
        digest.update(json.dumps(about).encode())
        for pair in subject.pairs:
            for image in (pair.b_mode, pair.stiffness_kpa, pair.swe_rgb, pair.roi):
                digest.update(b"-" if image is None else np.ascontiguousarray(image).tobytes())
    return digest.hexdigest()


def compute_unit(
    place: UnitPlace,
    subjects: list[UltrasoundSubject],
    train: np.ndarray,
    test: np.ndarray,
    options: NashExperimentOptions,
    folder: Path | None = None,
    progress=None,
) -> Unit:
    """Train on one part and ask about the other.

    Args:
        place: Which unit.
        subjects: The cohort.
        train: Indices to learn from.
        test: Indices to ask about; of other patients.
        options: Of the experiment.
        folder: Keeps the checkpoint of the training.
        progress: As :func:`.fusion_training.train_fusion` takes it.
    """
    learnt, asked = [subjects[k] for k in train], [subjects[k] for k in test]
    fusion = options.fusion(place.model, place.mode)
    # The paper stops on the fold that it reports; its figures are optimistic, and shown as such.
    reported = {"validation": asked} if place.mode == "paper" else {}
    weights = train_fusion(learnt, fusion, folder=folder, progress=progress, **reported)
    logits, images = predict_logits(asked, weights, per_image=True)
    answers = [predict(subject, weights, with_grad_cam=False) for subject in asked]
    names = list(dict.fromkeys(name for answer in answers for name in answer.contributions))
    contributions = {
        name: float(np.mean([abs(answer.contributions.get(name, 0.0)) for answer in answers])) for name in names
    }
    example = {}
    if place.model == "combined" and place.fold == 0:
        shown = max((s for s in asked if s.pairs), key=lambda s: (bool(s.is_fibrotic_nash), s.case_id), default=None)
        cam = predict(shown, weights).grad_cam if shown is not None else None
        if cam is not None:
            b_mode = next(pair.b_mode for pair in shown.pairs if pair.b_mode is not None)
            example = {"b_mode": b_mode, "grad_cam": cam.astype(np.float32)}
    calibration = weights.card["calibration"]
    return Unit(
        place=place,
        case_ids=tuple(subject.case_id for subject in asked),
        logits=np.asarray(logits, float),
        image_logits=tuple(tuple(float(v) for v in row) for row in images),
        train_logits=np.asarray(predict_logits(learnt, weights), float),
        train_ids=tuple(subject.case_id for subject in learnt),
        calibration_logits=np.asarray(calibration["logits"], float),
        calibration_labels=np.asarray(calibration["labels"], bool),
        example=example,
        contributions=contributions,
    )


class UnitStore:
    """The units of one experiment on disk, each a JSON and an NPZ file, whole or not there.

    Args:
        folder: Where they lie.
        digests: Of code, cohort and options; a unit of others is computed again.
    """

    def __init__(self, folder: Path, digests: dict[str, str]):
        self.folder, self.digests = folder, digests

    def load(self, place: UnitPlace) -> Unit | None:
        """The unit, if it was stored for just this cohort, code and options."""
        found = self._records(place).load_with_arrays(place.name)
        if found is None:
            return None
        record, arrays = found
        return Unit(
            place=place,
            case_ids=tuple(record["case_ids"]),
            image_logits=tuple(tuple(row) for row in record["image_logits"]),
            train_ids=tuple(record["train_ids"]),
            contributions=record["contributions"],
            example={name[8:]: values for name, values in arrays.items() if name.startswith("example/")},
            **{name: arrays[name] for name in _ARRAYS},
        )

    def save(self, unit: Unit) -> None:
        """Keep a unit.

        Raises:
            UnsuitableInputError: the disk is full or the folder cannot be written.
        """
        arrays = {name: getattr(unit, name) for name in _ARRAYS}
        arrays |= {f"example/{name}": values for name, values in unit.example.items()}
        record = {
            "case_ids": unit.case_ids,
            "image_logits": unit.image_logits,
            "train_ids": unit.train_ids,
            "contributions": unit.contributions,
        }
        self._records(unit.place).save(unit.place.name, record, arrays)

    def _records(self, place: UnitPlace) -> JsonRecords:
        return JsonRecords(self.folder, {"schema": UNIT_SCHEMA, **asdict(place), **self.digests})


_ARRAYS = ("logits", "train_logits", "calibration_logits", "calibration_labels")
