"""MATLAB files of the fat-water field: the ISMRM toolbox's ``imDataParams``, and ``data``/``te``/``Tesla``."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import scipy.io

from ..errors import UnsuitableInputError
from .coils import combine_coils
from .files import Found, FoundFile, FoundStudy, Skipped, read_bytes, sha256_of_bytes
from .study import UNKNOWN_ORIENTATION, MultiEchoStudy, SourceFile

_LAYOUT = (
    "a struct imDataParams with images (x, y, z, coils, echoes), TE (seconds) and FieldStrength (tesla), or arrays "
    "data (x, y, echoes), te and Tesla"
)


def find_matlab(files: Sequence[Path], root: Path) -> Found:
    """The studies in MATLAB files, one a file.

    Args:
        files: The files to look at; others are listed as skipped.
        root: Folder to which names are given relative.
    Raises:
        UnsuitableInputError: a file that is cut short or has another layout.
    """
    studies, skipped = [], []
    for path in sorted(files):
        name = path.relative_to(root).as_posix()
        if path.suffix.lower() != ".mat":
            skipped.append(Skipped(name, "not a MATLAB file"))
            continue
        data = read_bytes(path)
        digest = sha256_of_bytes(data)
        echo_times = tuple(float(time) for time in _echo_times(_variables(data, name), name))
        file = FoundFile(path, name, digest, "complex", echo_times)
        studies.append(FoundStudy(f"'{name}'", "ismrm_mat", (file,), partial(_read, file)))
    return Found(tuple(studies), tuple(skipped))


def _read(file: FoundFile) -> MultiEchoStudy:
    """Read one file; dimensions x, y, z as stored, several coils combined."""
    name = file.name
    values = _variables(read_bytes(file.path), name)
    times = _echo_times(values, name)
    images = np.asarray(values["images"])
    if images.dtype.kind not in "fciu":
        raise UnsuitableInputError(f"Images need to be numbers; those of '{name}' are not. Save them again.")
    if images.ndim in (3, 4) and times.size > 1:
        images = images.reshape(*images.shape[:-1], *(1,) * (5 - images.ndim), images.shape[-1])
    if images.ndim != 5 or images.shape[-1] != times.size:
        raise UnsuitableInputError(
            f"Images need the shape (x, y, z, coils, echoes) with one echo time for each echo; those of '{name}' have "
            f"the shape {images.shape}, and there are {times.size} echo times. Save them again."
        )
    is_complex = images.dtype.kind == "c" and bool(np.any(images.imag))
    notes: tuple[str, ...] = ()
    n_coils = images.shape[3]
    signal = np.moveaxis(images, (4, 3), (0, 1)).astype(np.complex64)
    if n_coils > 1:
        if not is_complex:
            raise UnsuitableInputError(
                f"Several coils can be combined when images are complex; those of '{name}' are magnitudes of {n_coils} "
                "coils. Save combined or complex images."
            )
        signal = combine_coils(signal)
        notes += (f"The images of {n_coils} coils were combined adaptively.",)
    else:
        signal = signal[:, 0]
    affine, geometry_notes = _affine(values, name)
    is_orientation_known = UNKNOWN_ORIENTATION not in geometry_notes
    if not is_complex:
        notes += ("No phase was found: the study holds magnitudes only.",)
    declared = values.get("precessionisclockwise")
    return MultiEchoStudy.from_echoes(
        signal,
        times,
        field_strength_t=_number(values["fieldstrength"], "FieldStrength", name),
        affine=affine,
        is_orientation_known=is_orientation_known,
        precession=None if declared is None else (1 if _number(declared, "PrecessionIsClockwise", name) > 0 else -1),
        is_bipolar=bool(np.any(values["isbipolar"])) if "isbipolar" in values else None,
        is_magnitude_only=not is_complex,
        is_simulated=bool(np.any(values.get("issimulated", 0))),
        sources=(SourceFile(name, file.sha256),),
        warnings=notes + geometry_notes,
    )


def _variables(data: bytes, name: str) -> dict:
    """The known variables by lower-case name.

    Raises:
        UnsuitableInputError: damaged, HDF5 without h5py, or another layout.
    """
    if _is_hdf5(data):
        content = _from_hdf5(data, name)
    else:
        try:
            content = scipy.io.loadmat(BytesIO(data), struct_as_record=False, squeeze_me=False)
        except (ValueError, TypeError, OSError, EOFError, KeyError, IndexError, MemoryError, zlib.error) as error:
            raise _broken(name) from error
        except (scipy.io.matlab.MatReadError, NotImplementedError) as error:
            raise _broken(name) from error
    by_name = {key.lower(): value for key, value in content.items() if not key.startswith("__")}
    structs = [v for k, v in by_name.items() if k == "imdataparams"]
    if structs:
        struct = structs[0]
        struct = struct.flat[0] if isinstance(struct, np.ndarray) and struct.size == 1 else struct
        fields = getattr(struct, "_fieldnames", None)
        if fields is not None:
            by_name = {field.lower(): getattr(struct, field) for field in fields}
        elif isinstance(struct, dict):
            by_name = {key.lower(): value for key, value in struct.items()}
    else:
        renamed = {"data": "images", "tesla": "fieldstrength"}
        by_name = {renamed.get(key, key): value for key, value in by_name.items()}
    absent = {"images", "te", "fieldstrength"} - set(by_name)
    if absent:
        found = ", ".join(sorted(key for key in content if not key.startswith("__"))[:12]) or "nothing"
        raise UnsuitableInputError(
            f"A multi-echo MATLAB file needs {_LAYOUT}; '{name}' holds {found} and lacks {', '.join(sorted(absent))}. "
            "Save it in one of these layouts."
        )
    return by_name


def _is_hdf5(data: bytes) -> bool:
    return data[:8] == b"\x89HDF\r\n\x1a\n" or data[512:520] == b"\x89HDF\r\n\x1a\n"


def _from_hdf5(data: bytes, name: str) -> dict:
    """Variables of a version 7.3 file; its arrays come with reversed axes."""
    try:
        import h5py
    except ImportError as error:
        raise UnsuitableInputError(
            f"A MATLAB file of version 7 or older is needed; '{name}' is version 7.3 (HDF5), and h5py is not "
            "installed. Save it with save(..., '-v7') or install h5py."
        ) from error

    def value(item):
        if isinstance(item, h5py.Group):
            return {key: value(member) for key, member in item.items()}
        array = item[()]
        if array.dtype.names == ("real", "imag"):
            array = array["real"] + 1j * array["imag"]
        return np.transpose(array)

    try:
        with h5py.File(BytesIO(data), "r") as file:
            return {key: value(item) for key, item in file.items() if not key.startswith("#")}
    except (OSError, KeyError, ValueError) as error:
        raise _broken(name) from error


def _broken(name: str) -> UnsuitableInputError:
    return UnsuitableInputError(
        f"A whole MATLAB file is needed; '{name}' is cut short, damaged or no MATLAB file. Save or copy it again."
    )


def _echo_times(values: dict, name: str) -> np.ndarray:
    times = np.asarray(values["te"])
    if times.dtype.kind not in "fiu" or times.size != max(times.shape, default=0):
        raise UnsuitableInputError(
            f"Echo times need to be a list of seconds; those of '{name}' are not. Save them again."
        )
    # Single-precision times carry rounding of about 1e-10 s: nanoseconds are kept.
    return np.round(times.astype(np.float64).ravel(), 9)


def _number(value, field: str, name: str) -> float:
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "fiub":
        raise UnsuitableInputError(f"{field} needs to be one number; that of '{name}' is not. Save it again.")
    return float(array.flat[0])


def _affine(values: dict, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The affine our own files carry, else one from voxelSize, else 1 mm; with what the reader should know."""
    if "affineras" in values:
        affine = np.asarray(values["affineras"], dtype=np.float64)
        if affine.shape == (4, 4):
            return affine, ()
    if "voxelsize" in values:
        size = np.asarray(values["voxelsize"], dtype=np.float64).ravel()
        if size.size == 3 and np.all(np.isfinite(size)) and np.all(size > 0):
            return np.diag([*size, 1.0]), (UNKNOWN_ORIENTATION,)
        raise UnsuitableInputError(f"voxelSize needs three lengths in mm; that of '{name}' is {size}. Save it again.")
    return np.eye(4), (
        UNKNOWN_ORIENTATION,
        "The file states no voxel size: 1 mm was assumed, so volumes in mL are not real.",
    )
