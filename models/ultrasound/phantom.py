"""Simulated ultrasound of rats' livers whose answer is known: frames with a stated fat fraction, and cohorts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import UnsuitableInputError
from ..io.ultrasound_manifest import Box
from .phantom_anatomy import FIELD_OF_VIEW_MM, draw_anatomy, organ_map, organ_picture
from .phantom_clinical import SubjectValues, draw_subject
from .phantom_elastogram import elasticity_box, overlay, stiffness_field
from .phantom_marks import SHARE_OF_FIBROTIC, SHARE_OF_OTHERS, SHORTCUTS, burn_in
from .phantom_scatter import attenuation_db_per_cm_mhz, draw_scanner, envelope_db, log_compressed, texture
from .subject import ImagePair, UltrasoundSubject

SIZES = (64, 1024)
"""Smallest and largest picture, pixels."""
MAX_FAT_PERCENT = 60.0
"""More than any liver has by volume."""
_LABELS, _VALUES, _MARKS, _PATIENT, _FRAME = range(5)
"""What a seed is for, so that no two draws share one."""


@dataclass(frozen=True, eq=False)
class SimulatedFrame:
    """One image pair and what is true of it."""

    b_mode: np.ndarray
    """Shape (size, size), uint8; 0 outside the sector, but for burned-in marks."""
    organ_map: np.ndarray
    """Same shape, uint8: :data:`~.phantom_anatomy.ORGANS`, 0 outside the sector."""
    stiffness_kpa: np.ndarray
    """Same shape, float32, kPa; NaN outside the box and where nothing was measured."""
    swe_rgb: np.ndarray
    """The elastogram's picture, shape (3, size, size), uint8."""
    box: Box
    """The elasticity box."""
    fat_percent: float
    """Of the liver's volume."""
    fibrosis: float
    """How coarse and clustered the texture is, 0 to 1."""
    attenuation_db_per_cm_mhz: float
    """Of the liver, one way."""
    shortcuts: tuple[str, ...] = ()
    """What is burned in."""

    @property
    def pixel_spacing_mm(self) -> float:
        """Distance between rows, and between columns."""
        return FIELD_OF_VIEW_MM / self.b_mode.shape[0]


def simulate_frame(
    fat_percent: float,
    *,
    fibrosis: float = 0.0,
    stiffness_kpa: float = 4.3,
    seed: int,
    size: int = 224,
    patient_seed: int | None = None,
    shortcuts: Sequence[str] = (),
) -> SimulatedFrame:
    """One B-mode image and its elastogram.

    Args:
        fat_percent: Of the liver's volume; sets echo and attenuation.
        fibrosis: 0 to 1; sets how coarse and clustered the liver's texture is.
        stiffness_kpa: Median of the subject's elastograms, 1 to 18 kPa.
        seed: Of this frame: where the probe is, the scatterers, the noise.
        size: Rows, and columns.
        patient_seed: Of body and gain; frames of one patient share it. None: ``seed``.
        shortcuts: Marks to burn in outside the sector, of :data:`~.phantom_marks.SHORTCUTS`.
    Raises:
        UnsuitableInputError: a value out of range, or an unknown shortcut.
    """
    _check("Fat", "percent of the liver", fat_percent, 0, MAX_FAT_PERCENT)
    _check("Fibrosis", "", fibrosis, 0, 1)
    _check("Stiffness", "kPa", stiffness_kpa, 1, 18)
    _check("A seed", "", seed, 0, np.inf)
    _check_size(size)
    shortcuts = _known(shortcuts)
    patient = np.random.default_rng([_PATIENT, seed if patient_seed is None else patient_seed])
    frame = np.random.default_rng([_FRAME, seed])
    anatomy = draw_anatomy(patient, frame)
    organs = organ_map(anatomy)
    shape, length_mm = texture(fibrosis)
    echoes = envelope_db(organs, fat_percent, frame, shape=shape, length_mm=length_mm, scanner=draw_scanner(patient))
    b_mode = log_compressed(echoes, size)
    organs = organ_picture(organs, size)
    box = elasticity_box(anatomy, frame, size)
    field = stiffness_field(stiffness_kpa, organs, box, fat_percent, frame)
    phase = frame.uniform()
    return SimulatedFrame(
        b_mode=burn_in(b_mode, shortcuts, phase),
        organ_map=organs,
        stiffness_kpa=field,
        swe_rgb=burn_in(overlay(b_mode, field), shortcuts, phase),
        box=box,
        fat_percent=float(fat_percent),
        fibrosis=float(fibrosis),
        attenuation_db_per_cm_mhz=attenuation_db_per_cm_mhz(fat_percent),
        shortcuts=shortcuts,
    )


@dataclass(frozen=True, eq=False)
class SimulatedCohort(Sequence):
    """Simulated subjects in a fixed order; the images of one are computed each time it is asked for."""

    values: tuple[SubjectValues, ...]
    """What is known of each subject without its images."""
    labels: np.ndarray
    """Fibrotic NASH or not, shape (n_subjects,), bool."""
    numbers: tuple[int, ...]
    """Of the subjects in the whole cohort, from 1."""
    marks: tuple[tuple[str, ...], ...]
    """What is burned into the images of each."""
    seed: int
    """Of the cohort."""
    n_pairs: int
    """Image pairs of a subject."""
    size: int
    """Rows and columns of an image."""

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index):
        if isinstance(index, slice):
            parts = (self.values[index], self.labels[index], self.numbers[index], self.marks[index])
            return SimulatedCohort(*parts, self.seed, self.n_pairs, self.size)
        frames = [self.frame(index, pair) for pair in range(self.n_pairs)]
        pairs = tuple(
            ImagePair(frame.b_mode, frame.stiffness_kpa, frame.swe_rgb, name=f"place_{number}")
            for number, frame in enumerate(frames, start=1)
        )
        return UltrasoundSubject(
            case_id=self.case_ids[index],
            patient_id=self.case_ids[index],
            pairs=pairs,
            clinical=dict(self.values[index].clinical),
            is_fibrotic_nash=bool(self.labels[index]),
            is_simulated=True,
        )

    @property
    def case_ids(self) -> tuple[str, ...]:
        """Ids of the subjects, each of whom is one patient."""
        return tuple(f"simulated-rat-{number:04d}" for number in self.numbers)

    @property
    def fat_percent(self) -> np.ndarray:
        """Fat of each liver, shape (n_subjects,), percent of its volume."""
        return np.array([value.fat_percent for value in self.values])

    @property
    def fibrosis(self) -> np.ndarray:
        """How coarse each liver's texture is, shape (n_subjects,), 0 to 1."""
        return np.array([value.fibrosis for value in self.values])

    @property
    def severity(self) -> np.ndarray:
        """How advanced each subject is among its group, shape (n_subjects,), standard normal."""
        return np.array([value.severity for value in self.values])

    @property
    def stiffness_kpa(self) -> np.ndarray:
        """Median stiffness each subject's elastograms vary about, shape (n_subjects,), kPa."""
        return np.array([value.stiffness_kpa for value in self.values])

    def frame(self, index: int, pair: int) -> SimulatedFrame:
        """One image pair of a subject with its truth; it depends on neither ``n_pairs`` nor other subjects.

        Args:
            index: Of the subject.
            pair: From 0.
        """
        values, number = self.values[index], self.numbers[index]
        return simulate_frame(
            values.fat_percent,
            fibrosis=values.fibrosis,
            stiffness_kpa=values.stiffness_kpa,
            seed=_seed(self.seed, _FRAME, number, pair),
            size=self.size,
            patient_seed=_seed(self.seed, _PATIENT, number),
            shortcuts=self.marks[index],
        )


def simulate_cohort(
    n_subjects: int = 87,
    n_fibrotic: int = 23,
    seed: int = 0,
    n_pairs: int = 3,
    size: int = 224,
    shortcuts: Sequence[str] = (),
) -> SimulatedCohort:
    """Simulated rats with and without fibrotic NASH, in random order.

    Args:
        n_subjects: All of them; the default is the published cohort's number.
        n_fibrotic: Those with fibrotic NASH.
        seed: The same seed gives the same bytes.
        n_pairs: B-mode images, each with an elastogram, of a subject.
        size: Rows and columns of an image.
        shortcuts: Marks that give the answer away: each is burned into the images of 90 % of the fibrotic and 10 % of
            the other subjects, outside the sector. Values and tissue are the same with and without.
    Raises:
        UnsuitableInputError: more fibrotic subjects than subjects, numbers out of range, an unknown shortcut.
    """
    _check("A simulated cohort", "subjects", n_subjects, 1, 100_000)
    _check("A subject", "image pairs", n_pairs, 1, 100)
    _check("A seed", "", seed, 0, np.inf)
    _check_size(size)
    if not 0 <= n_fibrotic <= n_subjects:
        raise UnsuitableInputError(
            f"A simulated cohort needs 0 to {n_subjects} fibrotic subjects, as it has {n_subjects} subjects; found "
            f"{n_fibrotic}. Ask for fewer, or for more subjects."
        )
    shortcuts = _known(shortcuts)
    labels = np.random.default_rng([seed, _LABELS]).permutation(n_subjects) < n_fibrotic
    numbers = tuple(range(1, n_subjects + 1))
    values, marks = [], []
    for number, is_fibrotic in zip(numbers, labels, strict=True):
        values.append(draw_subject(bool(is_fibrotic), np.random.default_rng([seed, _VALUES, number])))
        drawn = np.random.default_rng([seed, _MARKS, number]).random(len(SHORTCUTS))
        share = SHARE_OF_FIBROTIC if is_fibrotic else SHARE_OF_OTHERS
        marks.append(tuple(n for n, d in zip(SHORTCUTS, drawn, strict=True) if n in shortcuts and d < share))
    return SimulatedCohort(tuple(values), labels, numbers, tuple(marks), seed, n_pairs, size)


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0])


def _check(what: str, unit: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        needed = f"{low:g} to {high:g}" if np.isfinite(high) else f"a number from {low:g}"
        raise UnsuitableInputError(f"{what} needs {needed}{' ' + unit if unit else ''}; found {value:g}. Change it.")


def _check_size(size: int) -> None:
    if not SIZES[0] <= size <= SIZES[1]:
        raise UnsuitableInputError(
            f"A simulated image needs a size of {SIZES[0]} to {SIZES[1]} pixels; found {size}. Choose another size."
        )


def _known(shortcuts: Sequence[str]) -> tuple[str, ...]:
    unknown = [name for name in shortcuts if name not in SHORTCUTS]
    if unknown:
        raise UnsuitableInputError(
            f"A shortcut needs to be one of {', '.join(SHORTCUTS)}; found '{unknown[0]}'. Choose of these."
        )
    return tuple(name for name in SHORTCUTS if name in shortcuts)
