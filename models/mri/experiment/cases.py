"""What one case of the experiment is, and how the cases that are given are found."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ...errors import UnsuitableInputError
from ...io.case import CASE_SUFFIX, load_case
from ...io.files import FoundStudy, Skipped, identifier, sha256_of_bytes
from ...io.reading import find_studies, read_study
from ...io.study import MultiEchoStudy
from ..phantom import PhantomTruth
from .options import MEASURED, SIMULATED

MASK_NAMES = re.compile(r"(^|[_.-])(rois?|right[_-]?lobe|left[_-]?lobe|vials?)([_.-]|$)", re.IGNORECASE)
"""What the file name of a label volume holds that belongs to a case."""
ENDS_FROM_SLICES = 5
"""Studies of at least this many slices also show their highest and lowest."""
MIN_TISSUE_SHARE = 0.05
"""A slice counts as the highest or lowest when its tissue covers this share of the plane."""


@dataclass(frozen=True)
class LoadedCase:
    """The images of one case."""

    study: MultiEchoStudy
    """What was measured or simulated."""
    truth: PhantomTruth | None
    """What a perfect method would answer; None where nobody knows."""
    rois: dict[str, np.ndarray]
    """Name of a region -> bool mask of shape (x, y, z); "right_lobe" and "left_lobe" enter the tables of lobes."""
    pooled: dict[str, np.ndarray] = field(default_factory=dict)
    """Larger regions for statistics over voxels, in the same form."""


@dataclass(frozen=True)
class ExperimentCase:
    """One case, its images not yet in memory."""

    name: str
    """File-safe and unique; begins with "simulated" where the signal was computed."""
    part: str
    """given, livers, vials, protocols or critical."""
    data: str
    """measured or simulated."""
    patient: str
    """Whom the case belongs to, for intervals; never written."""
    identity: dict
    """JSON-ready; what the images depend on: a phantom's arguments, or digests of files."""
    load: Callable[[], LoadedCase]
    """Read or simulate it; the same images every time."""
    about: dict = field(default_factory=dict)
    """JSON-ready; what tables say about it: field strength, echo times, SNR …"""
    is_pictured: bool = False
    """Whether all its maps are kept for a picture, not only PDFF."""


@dataclass(frozen=True)
class GivenCases:
    """What was found where the user pointed."""

    cases: tuple[ExperimentCase, ...]
    """In a fixed order."""
    skipped: tuple[Skipped, ...]
    """What was not used, and why."""


@dataclass(frozen=True)
class _Source:
    name: str
    read: Callable[[], MultiEchoStudy]
    digests: tuple[str, ...]
    masks: tuple[Path, ...]


def find_given_cases(paths: Sequence[Path | str]) -> GivenCases:
    """The cases in files and folders, each read once to know that it can be.

    Args:
        paths: Cases, folders of cases, or anything :func:`~liver_models.io.reading.read_study` reads. Regions are taken
            from label volumes whose names hold ``rois``, ``right_lobe``, ``left_lobe`` or ``vials``: anywhere in a
            folder that holds one study, ``<name>_rois.nii.gz`` … beside a file; of a case of the server, from its
            stored label ``labels/final/<case>.nii.gz``.
    Raises:
        UnsuitableInputError: a path without a single usable case, or a label volume that does not fit its case.
    """
    cases, skipped = [], []
    for path in map(Path, paths):
        sources, left_out = _sources(path)
        found = []
        for source in sources:
            try:
                study = source.read()
            except UnsuitableInputError as error:
                left_out.append(Skipped(source.name, str(error)))
                continue
            found.append(_given_case(source, study, {case.name for case in (*cases, *found)}))
        if not found:
            reasons = f" {left_out[0].name}: {left_out[0].reason}" if left_out else ""
            raise UnsuitableInputError(
                f"An experiment needs at least one multi-echo study in '{path.name}'; it holds none that can be used."
                f"{reasons}"
            )
        cases += found
        skipped += left_out
    first = {case.data: case.name for case in reversed(cases)}
    cases = [replace(case, is_pictured=first[case.data] == case.name) for case in cases]
    return GivenCases(tuple(cases), tuple(skipped))


def _sources(path: Path) -> tuple[list[_Source], list[Skipped]]:
    manifests = sorted(path.glob(f"*{CASE_SUFFIX}")) if path.is_dir() else []
    if path.name.endswith(CASE_SUFFIX):
        manifests = [path]
    if manifests:
        return _from_manifests(manifests)
    found = find_studies(path)
    folders = [_own_folder(path, study, found.studies) for study in found.studies]
    sources = []
    for study, folder in zip(found.studies, folders, strict=True):
        name = folder.name if folder else _stem(study.label.strip("'"))
        digests = tuple(sorted(file.sha256 for file in study.files))
        sources.append(_Source(identifier(name), study.read, digests, _masks_of(path, name, folder)))
    return sources, [item for item in found.skipped if _is_telling(item)]


def _own_folder(path: Path, study: FoundStudy, studies: Sequence[FoundStudy]) -> Path | None:
    """The folder that holds one study and nothing of another: the given one, or one directly in it."""
    if not path.is_dir():
        return None

    def part_of(one: FoundStudy) -> str:
        first, _, rest = one.files[0].name.partition("/")
        return first if rest else ""

    if len(studies) == 1:
        return path
    mine = part_of(study)
    return path / mine if mine and sum(part_of(one) == mine for one in studies) == 1 else None


def _is_telling(item: Skipped) -> bool:
    """Whether a reader wants to know that a file was not used: not of label volumes and what lies beside images."""
    is_image = item.reason not in ("not a DICOM file", "describes no image that is used")
    return is_image and "derivatives/" not in item.name and not MASK_NAMES.search(_stem(item.name.rsplit("/", 1)[-1]))


def _from_manifests(manifests: list[Path]) -> tuple[list[_Source], list[Skipped]]:
    sources, skipped = [], []
    for manifest in manifests:
        name = manifest.name.removesuffix(CASE_SUFFIX)
        try:
            case = load_case(manifest)
        except UnsuitableInputError as error:
            skipped.append(Skipped(name, str(error)))
            continue
        if case.cse_mri is None:
            skipped.append(Skipped(name, "The case holds no multi-echo MRI."))
            continue
        digests = tuple(sorted(file.sha256 for file in case.cse_mri.files))
        stored = manifest.parent / "labels" / "final" / f"{name}.nii.gz"
        masks = (stored,) if stored.is_file() else _masks_of(manifest, name, None)
        sources.append(_Source(name, lambda manifest=manifest: read_study(manifest), digests, masks))
    return sources, skipped


def _masks_of(path: Path, name: str, own_folder: Path | None) -> tuple[Path, ...]:
    """Label volumes of a case: those in its own folder, else those beside it whose names begin with its own."""
    if own_folder:
        return tuple(sorted(mask for mask in own_folder.rglob("*.nii.gz") if MASK_NAMES.search(_stem(mask.name))))
    folder = path if path.is_dir() else path.parent
    beside = (mask for mask in folder.glob("*.nii.gz") if _stem(mask.name).startswith(name))
    return tuple(sorted(mask for mask in beside if MASK_NAMES.search(_stem(mask.name)[len(name) :])))


def _given_case(source: _Source, study: MultiEchoStudy, taken: set[str]) -> ExperimentCase:
    data = SIMULATED if study.is_simulated else MEASURED
    stem = f"simulated-{source.name}" if data == SIMULATED and not source.name.startswith("simulated") else source.name
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    rois = _regions(source.masks, study)  # Read here so that a mask that does not fit is refused at once.

    def load() -> LoadedCase:
        again = source.read()
        return LoadedCase(again, None, _regions(source.masks, again))

    return ExperimentCase(
        name=name,
        part="given",
        data=data,
        patient=study.patient_id or name,
        identity={
            "inputs": list(source.digests),
            "masks": [sha256_of_bytes(mask.read_bytes() + b"\0" + _names_beside(mask)) for mask in source.masks],
            "n_regions": len(rois),
        },
        load=load,
        about={**describe(study), "snr": None},
    )


def describe(study: MultiEchoStudy) -> dict:
    """What tables say about a study's acquisition; JSON-ready."""
    return {
        "field_strength_t": round(float(study.field_strength_t), 4),
        "echo_times_ms": [round(float(t) * 1e3, 4) for t in study.echo_times_s],
        "n_slices": int(study.signal.shape[3]),
    }


def _names_beside(mask: Path) -> bytes:
    sidecar = mask.with_name(f"{_stem(mask.name)}.json")
    return sidecar.read_bytes() if sidecar.is_file() else b""


def _regions(masks: Sequence[Path], study: MultiEchoStudy) -> dict[str, np.ndarray]:
    """Regions of the label volumes; those of the lobes under the names the tables know."""
    from ...io.volumes import read_mask

    regions = {}
    for path in masks:
        for name, mask in read_mask(path, study.signal.shape[1:], study.affine).items():
            # An unnamed label is named by its file.
            known = standard_name(name) or standard_name(_stem(path.name)) or name
            unique, number = known, 1
            while unique in regions:
                number += 1
                unique = f"{known}_{number}"
            regions[unique] = mask
    return regions


def standard_name(name: str) -> str | None:
    """ "right_lobe" or "left_lobe" for a region that is called so in any spelling, else None."""
    words = re.split(r"[^a-z]+", name.lower())
    for side in ("right", "left"):
        if side in words and ("lobe" in words or "liver" in words or words == [side]):
            return f"{side}_lobe"
    return {"rhl": "right_lobe", "lhl": "left_lobe"}.get(name.lower())


def nominal_percent(name: str) -> float | None:
    """The fat fraction that a vial's name states, as in "vial_12.5_percent" or "vial 5 %"; None if it states none."""
    found = re.search(r"vial\D*?(\d+(?:\.\d+)?)[ _]*(?:percent|%)", name.lower())
    return float(found[1]) if found else None


def slices_to_keep(loaded: LoadedCase) -> dict[str, int]:
    """Which slices a unit keeps for pictures: "regions" and, of tall studies, "highest" and "lowest".

    The first is the slice with most of the regions, else with most tissue.
    """
    study = loaded.study
    brightness = np.abs(study.signal[0])
    tissue = brightness > 0.15 * np.percentile(brightness, 99)
    masks = sum((mask.astype(int) for mask in loaded.rois.values()), np.zeros(tissue.shape, int))
    slices = {"regions": int(np.argmax((masks if masks.any() else tissue).sum(axis=(0, 1))))}
    n_slices = tissue.shape[2]
    is_axial = int(np.argmax(np.abs(study.affine[:3, 2]))) == 2
    if n_slices >= ENDS_FROM_SLICES and study.is_orientation_known and is_axial:
        enough = np.flatnonzero(tissue.mean(axis=(0, 1)) >= MIN_TISSUE_SHARE)
        if enough.size:
            low, high = int(enough[0]), int(enough[-1])
            slices |= {"highest": high, "lowest": low} if study.affine[2, 2] > 0 else {"highest": low, "lowest": high}
    return slices


def _stem(name: str) -> str:
    for suffix in (".nii.gz", ".nii", ".mat", ".dcm"):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name
