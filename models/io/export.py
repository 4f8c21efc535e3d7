"""Write a study in the forms that are read: BIDS, DICOM, ISMRM ``.mat``; the same study gives the same bytes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
import scipy.io

from .dicom_export import write_dicom
from .files import identifier, write_atomically
from .study import MultiEchoStudy
from .volumes import write_volume

__all__ = ["write_bids", "write_dicom", "write_ismrm_mat"]

_BIDS_VERSION = "1.9.0"
_MAT_HEADER = b"MATLAB 5.0 MAT-file, written by LiverLabel".ljust(116)


def write_bids(
    study: MultiEchoStudy, folder: Path | str, truth: object | None = None, *, parts: str = "magnitude_phase"
) -> list[Path]:
    """Write a BIDS data set of one subject: ``*_MEGRE.nii.gz`` with their JSON, one pair of parts for each echo.

    Unusable pixels are written as NaN, so that they are unusable again when the images are read.

    Args:
        study: What to write.
        folder: The data set's folder; made if it does not exist.
        truth: Known answers of a phantom, a mapping or dataclass. Each array of shape (x, y, z) is written to
            ``derivatives/truth/<name>.nii.gz``, a mapping of disjoint masks to a label volume with the names in a JSON
            beside (which :func:`read_mask` reads), and numbers and text to ``derivatives/truth/truth.json``.
        parts: ``magnitude_phase`` or ``real_imaginary``.
    Returns:
        The image files.
    Raises:
        UnsuitableInputError: the disk is full or the folder cannot be written.
    """
    folder = Path(folder)
    subject = "".join(c for c in identifier(study.patient_id or study.case_id) if c.isalnum())
    stem = f"sub-{subject}"
    description = {"Name": "LiverLabel study", "BIDSVersion": _BIDS_VERSION, "DatasetType": "raw"}
    if study.is_simulated:
        description["Name"] = "LiverLabel simulated study"
    _write_json(folder / "dataset_description.json", description)
    shared = {"MagneticFieldStrength": float(study.field_strength_t), "IsSimulated": study.is_simulated}
    if study.precession is not None:
        shared["PrecessionIsClockwise"] = study.precession
    if study.is_bipolar is not None:
        shared["IsBipolar"] = study.is_bipolar
    written = []
    for number, (time, signal) in enumerate(zip(study.echo_times_s, study.signal, strict=True), start=1):
        for part, values in _bids_volumes(signal, study.is_magnitude_only, parts).items():
            path = folder / stem / "anat" / f"{stem}_echo-{number}_part-{part}_MEGRE.nii.gz"
            values = np.where(study.unusable_mask, np.float32(np.nan), values)
            write_volume(path, values, study.affine)
            sidecar = {"EchoTime": _exact(time), "EchoNumber": number, **shared}
            if part == "phase":
                sidecar["Units"] = "rad"
            _write_json(path.with_name(path.name.replace(".nii.gz", ".json")), sidecar)
            written.append(path)
    if truth is not None:
        _write_truth(truth, folder / "derivatives" / "truth", study)
    return written


def write_ismrm_mat(study: MultiEchoStudy, path: Path | str) -> None:
    """Write the ISMRM toolbox's ``imDataParams``.

    ``images`` (x, y, z, 1, echoes), ``TE`` (s), ``FieldStrength`` (T), ``PrecessionIsClockwise`` when known,
    ``voxelSize`` (mm); beyond that layout ``affineRas`` (4, 4), ``IsBipolar`` when known and ``IsSimulated``, which
    other readers ignore.

    Args:
        study: What to write; unusable pixels are written as NaN.
        path: The file.
    Raises:
        UnsuitableInputError: the disk is full or the folder cannot be written.
    """
    images = np.where(study.unusable_mask, np.complex64(complex(np.nan, np.nan)), study.signal)
    if study.is_magnitude_only:
        images = images.real
    struct = {
        "images": np.moveaxis(images, 0, -1)[:, :, :, None, :],
        "TE": np.array([_exact(time) for time in study.echo_times_s])[None],
        "FieldStrength": float(study.field_strength_t),
        "voxelSize": np.linalg.norm(study.affine[:3, :3], axis=0)[None],
        "affineRas": np.asarray(study.affine, dtype=np.float64),
        "IsSimulated": int(study.is_simulated),
    }
    if study.precession is not None:
        struct["PrecessionIsClockwise"] = int(study.precession)
    if study.is_bipolar is not None:
        struct["IsBipolar"] = int(study.is_bipolar)
    buffer = BytesIO()
    scipy.io.savemat(buffer, {"imDataParams": struct}, do_compression=True)
    # The library writes the time of day into the 116 bytes of text that a file begins with.
    write_atomically(Path(path), _MAT_HEADER + buffer.getvalue()[len(_MAT_HEADER) :])


def _bids_volumes(signal: np.ndarray, is_magnitude_only: bool, parts: str) -> dict[str, np.ndarray]:
    if is_magnitude_only:
        return {"mag": signal.real}
    if parts == "real_imaginary":
        return {"real": signal.real, "imag": signal.imag}
    if parts == "magnitude_phase":
        return {"mag": np.abs(signal), "phase": np.angle(signal)}
    raise ValueError(f"parts is magnitude_phase or real_imaginary; found {parts}")


def _exact(time_s: float) -> float:
    """An echo time without the rounding of binary fractions, so that it reads as it was meant."""
    return round(float(time_s), 9)


def _write_json(path: Path, content: dict) -> None:
    write_atomically(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode("utf-8"))


def _write_truth(truth: object, folder: Path, study: MultiEchoStudy) -> None:
    if dataclasses.is_dataclass(truth):
        truth = {f.name: getattr(truth, f.name) for f in dataclasses.fields(truth)}
    if not isinstance(truth, Mapping):
        raise TypeError("truth needs to be a mapping or a dataclass")
    rest = {}
    for name, value in truth.items():
        if isinstance(value, np.ndarray) and value.shape == study.signal.shape[1:]:
            write_volume(folder / f"{name}.nii.gz", value, study.affine)
        elif isinstance(value, Mapping) and value and all(isinstance(m, np.ndarray) for m in value.values()):
            _write_labels(folder / f"{name}.nii.gz", value, study)
        else:
            rest[name] = value.tolist() if isinstance(value, np.ndarray) else value
    _write_json(folder / "truth.json", rest)


def _write_labels(path: Path, masks: Mapping[str, np.ndarray], study: MultiEchoStudy) -> None:
    if np.sum(list(masks.values()), axis=0, dtype=int).max() > 1:
        raise ValueError("the masks of one label volume cannot overlap")
    labels = np.zeros(study.signal.shape[1:], dtype=np.uint8)
    for label, mask in enumerate(masks.values(), start=1):
        labels[mask] = label
    write_volume(path, labels, study.affine)
    _write_json(path.with_name(path.name.replace(".nii.gz", ".json")), {n: i for i, n in enumerate(masks, start=1)})
