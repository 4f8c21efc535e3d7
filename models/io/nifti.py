"""NIfTI: BIDS folders (``*_MEGRE.nii.gz``), dcm2niix output, and single files with their echo times in a JSON beside.

Each image file is a list of volumes, each with a part and an echo time: a 3-D file with ``EchoTime``, or a 4-D file
(real or complex) with ``EchoTimes``, seconds. Files whose names agree but for echo and part are one acquisition.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np

from ..errors import UnsuitableInputError
from ..units import PROTON_GYROMAGNETIC_RATIO_HZ_PER_T
from .echo_images import EchoImages, build_study, in_ms, to_us, used_parts
from .files import Found, FoundFile, FoundStudy, Skipped, read_bytes, sha256_of_bytes
from .pairing import Series, acquisitions
from .study import MIN_ECHOES, UNKNOWN_ORIENTATION, MultiEchoStudy, SourceFile

SUFFIXES = (".nii.gz", ".nii")
_AFFINE_TOLERANCE = 1e-3
"""How far a corner of the image may move between echoes, fraction of the smallest voxel side per voxel."""
_BIDS_PARTS = {"mag": "magnitude", "phase": "phase", "real": "real", "imag": "imaginary"}
_NAME_PARTS = {
    "ph": "phase",
    "phase": "phase",
    "pha": "phase",
    "real": "real",
    "imaginary": "imaginary",
    "imag": "imaginary",
    "mag": "magnitude",
    "magnitude": "magnitude",
}
"""Last words of file names that dcm2niix and people use."""
_IMAGE_TYPES = {"P": "phase", "PHASE": "phase", "REAL": "real", "IMAGINARY": "imaginary", "M": "magnitude"}
_NIFTI_ERRORS = (nib.spatialimages.ImageDataError, nib.filebasedimages.ImageFileError, OSError, EOFError, ValueError)
_NIFTI_ERRORS += (nib.spatialimages.HeaderDataError, nib.wrapstruct.WrapStructError, zlib.error)


@dataclass(frozen=True)
class _Image:
    """One image file with its metadata."""

    path: Path
    name: str
    sha256: str
    part: str
    echo_times_us: tuple[int, ...]
    echo_number: int | None
    shape: tuple[int, ...]
    affine: np.ndarray
    is_placed: bool
    sidecar: dict
    sidecar_files: tuple[FoundFile, ...]
    stem: str


def stem_of(path: Path) -> str | None:
    """A NIfTI file's name without its suffix; None for other files."""
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return None


def find_nifti(files: Sequence[Path], root: Path) -> Found:
    """The multi-echo acquisitions in NIfTI files and their JSON sidecars.

    Args:
        files: The files to look at; others than NIfTI and JSON are listed as skipped.
        root: Folder to which names are given relative; sidecars are inherited from it downwards, as in BIDS.
    Raises:
        UnsuitableInputError: an image or sidecar that is damaged.
    """
    skipped: list[Skipped] = []
    by_stem: dict[str, list[_Image]] = defaultdict(list)
    sidecars = [path for path in files if path.suffix.lower() == ".json"]
    used_sidecars: set[Path] = set()
    for path in sorted(files):
        name = path.relative_to(root).as_posix()
        stem = stem_of(path)
        if stem is None:
            if path not in sidecars:
                skipped.append(Skipped(name, "not a NIfTI image"))
            continue
        image = _image(path, name, stem, sidecars, root)
        if isinstance(image, _Image):
            by_stem[image.stem].append(image)
            used_sidecars |= {file.path for file in image.sidecar_files}
        else:
            skipped.append(Skipped(name, image))
    unused = [p for p in sorted(sidecars) if p not in used_sidecars and p.name != "dataset_description.json"]
    skipped += [Skipped(path.relative_to(root).as_posix(), "describes no image that is used") for path in unused]
    stems = sorted(by_stem)
    groups = [by_stem[stem] for stem in stems]
    studies = []
    for members in acquisitions([_series(stem, by_stem[stem]) for stem in stems]):
        images = sorted((i for m in members for i in groups[m]), key=lambda i: (i.part, i.echo_times_us, i.name))
        label = " + ".join(f"'{stems[m].rsplit('/', 1)[-1]}'" for m in members)
        n_echoes = len({time for image in images for time in image.echo_times_us})
        if n_echoes < MIN_ECHOES:
            reason = f"PDFF needs at least {MIN_ECHOES} echoes; this image has {n_echoes}. Export every echo"
            skipped.append(Skipped(label, reason))
            continue
        try:
            parts = used_parts({image.part for image in images})
        except UnsuitableInputError as error:
            skipped.append(Skipped(label, str(error).rstrip(".")))
            continue
        for image in images:
            if image.part not in parts:
                skipped.append(Skipped(image.name, f"the {' and '.join(parts)} images of the same echoes are used"))
        used = [image for image in images if image.part in parts]
        studies.append(FoundStudy(label, "nifti", _files(used), partial(_read, used, label)))
    return Found(tuple(studies), tuple(skipped))


def load_nifti(data: bytes, name: str) -> nib.Nifti1Image:
    """A NIfTI image from the bytes of its file, compressed or not.

    Raises:
        UnsuitableInputError: it is cut short or no NIfTI.
    """
    try:
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        kind = nib.Nifti2Image if data[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c") else nib.Nifti1Image
        image = kind.from_bytes(data)
        needed = image.dataobj.offset + int(np.prod(image.shape)) * image.get_data_dtype().itemsize
        if len(data) < needed:
            raise EOFError(f"{len(data)} of {needed} bytes")
    except _NIFTI_ERRORS as error:
        raise UnsuitableInputError(
            f"A whole NIfTI image is needed; '{name}' is cut short, damaged or no NIfTI. Export or copy it again."
        ) from error
    return image


def read_json(data: bytes, name: str) -> dict:
    """A JSON object from the bytes of its file.

    Raises:
        UnsuitableInputError: it is not a JSON object.
    """
    try:
        content = json.loads(data.decode("utf-8-sig"))
    except ValueError as error:
        raise UnsuitableInputError(
            f"A JSON object is needed; '{name}' cannot be read as JSON. Write it again."
        ) from error
    if not isinstance(content, dict):
        raise UnsuitableInputError(f"A JSON object is needed; '{name}' holds something else. Write it again.")
    return content


def _image(path: Path, name: str, stem: str, sidecars: list[Path], root: Path) -> _Image | str:
    """One image with its metadata, or why it is not used."""
    sidecar, sidecar_files = _sidecar(stem, path, sidecars, root)
    times = sidecar.get("EchoTimes", sidecar.get("EchoTime"))
    if times is None:
        beside = "no JSON beside it" if not sidecar_files else "its JSON has neither EchoTime nor EchoTimes"
        return f"no echo time ({beside})"
    times = np.atleast_1d(np.asarray(times, dtype=object))
    if times.ndim != 1 or not all(isinstance(t, int | float) and abs(t) < np.inf and t is not True for t in times):
        raise UnsuitableInputError(
            f"Echo times need to be numbers in seconds; those of '{name}' are not. Correct the JSON."
        )
    scanning = sidecar.get("ScanningSequence", "")
    if scanning == "SE":
        return "a spin echo; PDFF needs gradient echoes"
    data = read_bytes(path)
    image = load_nifti(data, name)
    shape = image.shape
    if len(shape) > 4 and shape[3] == 1:
        shape = shape[:3] + shape[4:]
    volumes = shape[3] if len(shape) > 3 else 1
    if not 2 <= len(shape) <= 4 or volumes != len(times):
        raise UnsuitableInputError(
            f"One echo time is needed for each volume; '{name}' has the shape {image.shape} and {len(times)} echo "
            "times. Correct EchoTime (one volume) or EchoTimes (several) in its JSON."
        )
    number = sidecar.get("EchoNumber", _entities(stem).get("echo"))
    is_numbered = len(times) == 1 and str(number).isdigit()
    return _Image(
        path=path,
        name=name,
        sha256=sha256_of_bytes(data),
        part="complex" if image.get_data_dtype().kind == "c" else _part(stem, sidecar),
        echo_times_us=tuple(to_us(float(time)) for time in times),
        echo_number=int(number) if is_numbered else None,
        shape=(*shape[:3], *(1,) * (3 - len(shape))),
        affine=image.affine,
        is_placed=bool(image.header["qform_code"] > 0 or image.header["sform_code"] > 0),
        sidecar=sidecar,
        sidecar_files=sidecar_files,
        stem=f"{Path(name).parent.as_posix()}/{acquisition_stem(stem)}",
    )


def _entities(stem: str) -> dict[str, str]:
    """BIDS entities of a file name: sub-01_echo-2_MEGRE -> {sub: 01, echo: 2}."""
    return dict(re.findall(r"(?:^|_)([a-z]+)-([A-Za-z0-9]+)", stem))


def acquisition_stem(stem: str) -> str:
    """The name without echo and part."""
    without = re.sub(r"_(?:echo|part)-[A-Za-z0-9]+", "", stem)
    words = "|".join(_NAME_PARTS)
    without = re.sub(rf"[_-](?:{words})$", "", without, flags=re.IGNORECASE)
    return re.sub(r"_e\d+$", "", without)


def _part(stem: str, sidecar: dict) -> str:
    entity = _entities(stem).get("part")
    if entity in _BIDS_PARTS:
        return _BIDS_PARTS[entity]
    last = re.split(r"[_-]", stem)[-1].lower()
    if last in _NAME_PARTS:
        return _NAME_PARTS[last]
    image_type = sidecar.get("ImageType")
    kinds = [sidecar.get("ComplexImageComponent"), *(image_type[2:] if isinstance(image_type, list) else ())]
    return next((_IMAGE_TYPES[str(k).upper()] for k in kinds if str(k).upper() in _IMAGE_TYPES), "magnitude")


def _sidecar(stem: str, path: Path, sidecars: list[Path], root: Path) -> tuple[dict, tuple[FoundFile, ...]]:
    """Metadata of an image and its files; a nearer and more specific sidecar prevails (BIDS inheritance)."""
    entities, suffix = _entities(stem), stem.rsplit("_", 1)[-1]
    acquisition = acquisition_stem(stem)
    applying = []
    for candidate in sidecars:
        if not path.parent.is_relative_to(candidate.parent):
            continue
        named = _entities(candidate.stem)
        is_inherited = suffix == candidate.stem.rsplit("_", 1)[-1] and named.items() <= entities.items() and entities
        is_beside = candidate.parent == path.parent and candidate.stem in (stem, acquisition)
        if is_inherited or is_beside:
            depth = len(candidate.parent.parts)
            applying.append(((depth, candidate.stem == stem, len(named), candidate.name), candidate))
    merged: dict = {}
    files = []
    for _, candidate in sorted(applying):
        data = read_bytes(candidate)
        name = candidate.relative_to(root).as_posix()
        merged |= read_json(data, name)
        files.append(FoundFile(candidate, name, sha256_of_bytes(data), "sidecar"))
    return merged, tuple(files)


def _series(stem: str, images: list[_Image]) -> Series:
    first = images[0]
    number = first.sidecar.get("SeriesNumber", 0)
    return Series(
        label=f"'{stem.rsplit('/', 1)[-1]}'",
        visit=(stem.rsplit("/", 1)[0], first.sidecar.get("StudyInstanceUID")),
        parts=frozenset(image.part for image in images),
        echo_times_us=frozenset(time for image in images for time in image.echo_times_us),
        geometry=(first.shape, tuple(np.round(first.affine, 3).ravel())),
        protocol=(
            first.sidecar.get("ProtocolName"),
            first.sidecar.get("RepetitionTime"),
            first.sidecar.get("FlipAngle"),
        ),
        acquired=str(first.sidecar.get("AcquisitionTime", "")),
        number=number if isinstance(number, int) else 0,
    )


def _files(images: list[_Image]) -> tuple[FoundFile, ...]:
    files = [
        FoundFile(image.path, image.name, image.sha256, image.part, tuple(t / 1e6 for t in image.echo_times_us))
        for image in images
    ]
    sidecars = {file.name: file for image in images for file in image.sidecar_files}
    return tuple(files) + tuple(sidecars[name] for name in sorted(sidecars))


def _read(images: list[_Image], label: str) -> MultiEchoStudy:
    volumes: dict[str, dict] = defaultdict(dict)
    origin: dict[tuple[str, int], str] = {}
    first = images[0]
    for image in images:
        if image.shape != first.shape or not _is_same_place(image.affine, first.affine, image.shape):
            raise UnsuitableInputError(
                f"All echoes need one geometry; '{image.name}' (shape {image.shape}) and '{first.name}' (shape "
                f"{first.shape}) differ in matrix or affine. Export the echoes of one acquisition."
            )
        for index, time in enumerate(image.echo_times_us):
            if time in volumes[image.part]:
                raise UnsuitableInputError(
                    f"One {image.part} image is needed for each echo time; {label} has two at {in_ms(time)}: "
                    f"'{origin[image.part, time]}' and '{image.name}'. Remove the duplicate or correct its echo time."
                )
            origin[image.part, time] = image.name
            volumes[image.part][time] = partial(_volume, image, index)
    merged: dict = {}
    for image in images:
        merged |= image.sidecar
    fields = {
        "affine": np.asarray(first.affine, dtype=np.float64),
        "field_strength_t": _field_strength(images, label),
        "patient_id": _entities(first.path.name).get("sub"),
        "is_simulated": merged.get("IsSimulated") is True,
        "sources": tuple(SourceFile(file.name, file.sha256) for file in _files(images)),
    }
    if not all(image.is_placed for image in images):
        fields |= {"is_orientation_known": False, "warnings": (UNKNOWN_ORIENTATION,)}
    if "PrecessionIsClockwise" in merged:
        fields["precession"] = 1 if merged["PrecessionIsClockwise"] in (True, 1) else -1
    if isinstance(merged.get("IsBipolar"), bool):
        fields["is_bipolar"] = merged["IsBipolar"]
    numbers = {image.echo_times_us[0]: image.echo_number for image in images if image.echo_number is not None}
    unit = next((str(i.sidecar["Units"]) for i in images if i.part == "phase" and "Units" in i.sidecar), None)
    return build_study(EchoImages(label, volumes, numbers, unit, fields))


def _is_same_place(affine: np.ndarray, other: np.ndarray, shape: Sequence[int]) -> bool:
    """Whether two affines put every corner of the image at the same place."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape], [1], indexing="ij")).reshape(4, -1)
    side = np.linalg.norm(affine[:3, :3], axis=0).min()
    return bool(np.abs((affine - other) @ corners).max() <= _AFFINE_TOLERANCE * side * max(shape))


def _volume(image: _Image, index: int) -> np.ndarray:
    data = load_nifti(read_bytes(image.path), image.name)
    array = np.asanyarray(data.dataobj)
    volumes = array.reshape(*image.shape, len(image.echo_times_us))
    return volumes[..., index]


def _field_strength(images: list[_Image], label: str) -> float:
    for key, factor in (("MagneticFieldStrength", 1.0), ("ImagingFrequency", 1e6 / PROTON_GYROMAGNETIC_RATIO_HZ_PER_T)):
        values = {image.sidecar[key] for image in images if isinstance(image.sidecar.get(key), int | float)}
        if len(values) > 1:
            raise UnsuitableInputError(
                f"One field strength is needed; the JSON files of {label} give {sorted(values)} ({key}). Correct them."
            )
        if values:
            return float(values.pop()) * factor
    raise UnsuitableInputError(
        f"The field strength is needed; no JSON of {label} gives MagneticFieldStrength (tesla). Add it."
    )
