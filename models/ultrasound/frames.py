"""B-mode frames as classifiers and generators read them: the centre of the tissue, of one size, with their patients.

1. Text, ECG and marks are masked when a picture is read (:mod:`.tissue`); the frame is cut to what is left.
2. The square of 320/355 of its rows around the centre is cut out: 320 x 320 pixels of the public set's frames, whose
   tissue has 355 rows.
3. It is brought to the prepared side; in training a random crop of it, resized, is what a network sees, and elsewhere
   the centre.

Source: Hardy R et al., Sci Rep 2023, 10.1038/s41598-023-48062-z (Data preprocessing); SPECS section 2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch.nn import functional

from ..errors import UnsuitableInputError
from ..io.byra_mat import is_byra, write_byra_cohort
from .fusion_data import Box, resized
from .reading import read_cohort
from .subject import UltrasoundSubject

FRAME_SIZES = {"small": (80, 64), "paper": (320, 256)}
"""Configuration -> prepared side, and side of what networks see, pixels."""
CENTRE_SHARE = 320 / 355
"""Of the tissue's rows that the paper's centre crop keeps."""
CROP_AREA = (0.5, 1.0)
"""Share of the prepared area that a random crop keeps; the paper states none."""
CROP_ASPECT = (0.9, 1 / 0.9)
"""Width over height of a random crop."""


@dataclass(frozen=True, eq=False)
class FrameSet:
    """Frames of one size with what is known of them."""

    images: np.ndarray
    """Grey levels, shape (n, side, side), uint8."""
    is_fatty: np.ndarray
    """Fatty liver or not, shape (n,), bool."""
    patient_ids: tuple[str, ...]
    """Of whom each frame is."""
    names: tuple[str, ...]
    """Of the frames; no two are the same."""
    is_simulated: bool = False
    """True when any of them was computed, not measured."""

    def __post_init__(self):
        n = len(self.images)
        if self.images.ndim != 3 or self.images.shape[1] != self.images.shape[2] or self.images.dtype != np.uint8:
            raise ValueError(f"Frames need shape (n, side, side), uint8; found {self.images.shape}.")
        if not len(self.is_fatty) == len(self.patient_ids) == len(self.names) == n:
            raise ValueError("Frames need one answer, patient and name each.")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def side(self) -> int:
        """Rows, and columns."""
        return self.images.shape[1]

    @property
    def patients(self) -> frozenset[str]:
        """Everybody of whom there is a frame."""
        return frozenset(self.patient_ids)

    def subset(self, indices: Sequence[int] | np.ndarray) -> FrameSet:
        """The frames at these places, in this order."""
        indices = np.asarray(indices, np.intp)
        patients, names = (tuple(values[k] for k in indices) for values in (self.patient_ids, self.names))
        return FrameSet(self.images[indices], self.is_fatty[indices], patients, names, self.is_simulated)

    def digest(self) -> str:
        """SHA-256 of pixels, answers, patients and names."""
        found = hashlib.sha256(np.ascontiguousarray(self.images).tobytes())
        found.update(np.packbits(self.is_fatty).tobytes())
        found.update("\0".join((*self.patient_ids, *self.names)).encode())
        return found.hexdigest()


def frame_box(b_mode: np.ndarray) -> Box:
    """The square at the centre of a frame's tissue that is read.

    Args:
        b_mode: Grey levels, shape (rows, columns), uint8, 0 outside tissue.
    Raises:
        UnsuitableInputError: a black frame.
    """
    if not b_mode.any():
        raise UnsuitableInputError("A B-mode frame needs tissue; this one is black all over. Export it again.")
    rows, columns = (np.flatnonzero(b_mode.any(axis=axis)) for axis in (1, 0))
    top, bottom, left, right = (int(k) for k in (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1))
    square = max(1, min(round(CENTRE_SHARE * (bottom - top)), right - left))
    top, left = (top + bottom - square) // 2, (left + right - square) // 2
    return Box(top, left, top + square, left + square)


def prepare_frame(b_mode: np.ndarray, side: int) -> np.ndarray:
    """The centre of a frame's tissue.

    Args:
        b_mode: Grey levels, shape (rows, columns), uint8, 0 outside tissue.
        side: Rows, and columns, of the result.
    Returns:
        Shape (side, side), uint8.
    Raises:
        UnsuitableInputError: a black frame.
    """
    box = frame_box(b_mode)
    cut = b_mode[box.top : box.bottom, box.left : box.right]
    return np.round(np.clip(resized(cut[None].astype(np.float32), side)[0], 0, 255)).astype(np.uint8)


def frames_of(subjects: Iterable[UltrasoundSubject], size: str = "small") -> FrameSet:
    """All B-mode frames of subjects whose answer is known, prepared.

    Args:
        subjects: Read one by one; those without an answer or a B-mode image are left out.
        size: Of :data:`FRAME_SIZES`.
    Raises:
        UnsuitableInputError: nobody has an answer and a B-mode image, a frame is black, or an unknown size.
    """
    side = sides_of(size)[0]
    images, answers, patients, names, is_simulated = [], [], [], [], False
    for subject in subjects:
        if subject.is_fatty is None:
            continue
        for number, pair in enumerate(subject.pairs):
            if pair.b_mode is None:
                continue
            try:
                images.append(prepare_frame(pair.b_mode, side))
            except UnsuitableInputError as error:
                raise UnsuitableInputError(f"Subject '{subject.case_id}', image '{pair.name}': {error}") from error
            answers.append(subject.is_fatty)
            patients.append(subject.patient_id)
            names.append(f"{subject.case_id}/{pair.name or number}")
            is_simulated |= subject.is_simulated
    if not images:
        raise UnsuitableInputError(
            "Frames need subjects with a B-mode image and a known answer, fatty or not; found none. Add them."
        )
    return FrameSet(np.stack(images), np.array(answers, bool), tuple(patients), tuple(names), is_simulated)


def read_frames(cases: Path | str, size: str = "small") -> FrameSet:
    """Frames of a cohort's or studies folder, or of the public set's MATLAB file; elastograms are passed over.

    Args:
        cases: The folder or file.
        size: Of :data:`FRAME_SIZES`.
    Raises:
        UnsuitableInputError: nobody has an answer and a B-mode image, or a damaged file.
    """
    if is_byra(cases):
        with TemporaryDirectory() as folder:
            write_byra_cohort(cases, folder)
            return read_frames(folder, size)
    cohort = read_cohort(cases, with_elastograms=False)
    answered = (k for k, source in enumerate(cohort.sources) if source.is_fatty is not None)
    return frames_of((cohort[k] for k in answered), size)


def sides_of(size: str) -> tuple[int, int]:
    """Prepared side and side of what networks see.

    Raises:
        UnsuitableInputError: an unknown configuration.
    """
    if size not in FRAME_SIZES:
        raise UnsuitableInputError(f"The size needs to be one of {', '.join(FRAME_SIZES)}; found {size!r}.")
    return FRAME_SIZES[size]


@dataclass(frozen=True)
class Crops:
    """Which part of each prepared frame is seen; fractions of its side, shape (n,) each."""

    top: np.ndarray
    left: np.ndarray
    height: np.ndarray
    width: np.ndarray


def draw_crops(n: int, rng: np.random.Generator) -> Crops:
    """Draw a random crop a frame: its area, its aspect, and where it lies."""
    area, aspect = rng.uniform(*CROP_AREA, n), np.exp(rng.uniform(*np.log(CROP_ASPECT), n))
    height, width = np.minimum(np.sqrt(area / aspect), 1), np.minimum(np.sqrt(area * aspect), 1)
    return Crops(rng.uniform(0, 1, n) * (1 - height), rng.uniform(0, 1, n) * (1 - width), height, width)


def apply_crops(images: np.ndarray, crops: Crops, side: int) -> np.ndarray:
    """Cut and resize.

    Args:
        images: Shape (n, prepared, prepared), uint8.
        crops: One a frame.
        side: Rows, and columns, of the result.
    Returns:
        Shape (n, side, side), uint8.
    """
    n = len(images)
    matrix = torch.zeros(n, 2, 3)
    for axis, (size, start) in enumerate(((crops.width, crops.left), (crops.height, crops.top))):
        matrix[:, axis, axis] = torch.from_numpy(np.asarray(size, np.float32))
        matrix[:, axis, 2] = torch.from_numpy(np.asarray(2 * start + size - 1, np.float32))
    grid = functional.affine_grid(matrix, [n, 1, side, side], align_corners=False)
    found = functional.grid_sample(
        torch.from_numpy(images).float()[:, None], grid, align_corners=False, padding_mode="border"
    )
    return found[:, 0].round().clamp(0, 255).to(torch.uint8).numpy()


def centre_cut(images: np.ndarray, side: int) -> np.ndarray:
    """The whole prepared frames at the side that networks see: what is predicted on and judged.

    Args:
        images: Shape (n, prepared, prepared), uint8.
        side: Rows, and columns, of the result.
    """
    if images.shape[1] == side:
        return images
    return np.round(np.clip(resized(images.astype(np.float32), side), 0, 255)).astype(np.uint8)
