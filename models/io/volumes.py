"""Maps and masks as NIfTI files, the same bytes for the same content."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import nibabel as nib
import numpy as np

from ..errors import UnsuitableInputError
from .files import read_bytes, write_atomically
from .nifti import load_nifti, read_json, stem_of
from .nrrd_file import SUFFIX as NRRD_SUFFIX
from .nrrd_file import load_nrrd
from .picture_file import PICTURE_AFFINE

_RGB24 = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
"""NIfTI's datatype 128."""
_SAME_PLACE = 0.01
"""How far a voxel of a mask may lie from that of the image, fraction of the smallest voxel side."""


def volume_bytes(array_xyz: np.ndarray, affine: np.ndarray) -> bytes:
    """A volume as the bytes of a ``.nii.gz``: bool and integers up to 255 as uint8, other numbers as float32.

    Args:
        array_xyz: Shape (x, y, z).
        affine: Index to world millimetres, RAS+, shape (4, 4).
    """
    array = np.asarray(array_xyz)
    if array.ndim != 3:
        raise ValueError(f"a volume has the shape (x, y, z); found {array.shape}")
    is_label = array.dtype == bool or (
        array.dtype.kind in "iu" and (array.size == 0 or 0 <= array.min() <= array.max() < 256)
    )
    return _packed(array.astype(np.uint8 if is_label else np.float32), np.asarray(affine, dtype=np.float64))


def _packed(array: np.ndarray, affine: np.ndarray) -> bytes:
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    return gzip.compress(image.to_bytes(), compresslevel=6, mtime=0)


def picture_bytes(pixels: np.ndarray) -> bytes:
    """A picture as the bytes of a ``.nii.gz`` of columns x rows x 1, with :data:`~.picture_file.PICTURE_AFFINE`.

    Args:
        pixels: uint8, shape (rows, columns), or (rows, columns, 3), which becomes NIfTI's RGB24.
    """
    turned = np.ascontiguousarray(pixels.swapaxes(0, 1)[:, :, None], np.uint8)
    return _packed(turned if pixels.ndim == 2 else turned.view(_RGB24)[..., 0], PICTURE_AFFINE)


def write_volume(path: Path | str, array_xyz: np.ndarray, affine: np.ndarray) -> None:
    """Write a volume as ``.nii.gz``, whole or not at all, deterministically.

    Args:
        path: Its file.
        array_xyz: Shape (x, y, z); bool is written as uint8, numbers as float32.
        affine: Index to world millimetres, RAS+, shape (4, 4).
    Raises:
        UnsuitableInputError: the disk is full or the folder cannot be written.
    """
    write_atomically(Path(path), volume_bytes(array_xyz, affine))


def read_volume(path: Path | str) -> tuple[np.ndarray, np.ndarray]:
    """Read a NIfTI or NRRD volume.

    Returns:
        The array, shape (x, y, z), in the type it is stored in (float32 or uint8 for our own files), and its affine.
    Raises:
        UnsuitableInputError: the file is cut short, or is no single volume.
    """
    path = Path(path)
    if path.name.lower().endswith(NRRD_SUFFIX):
        return load_nrrd(read_bytes(path), path.name)
    image = load_nifti(read_bytes(path), path.name)
    array = np.asanyarray(image.dataobj)
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3:
        raise UnsuitableInputError(f"One volume (x, y, z) is needed; '{path.name}' has the shape {image.shape}.")
    return array, np.asarray(image.affine, dtype=np.float64)


def read_mask(path: Path | str, shape: tuple[int, ...], affine: np.ndarray) -> dict[str, np.ndarray]:
    """The regions of interest in a label volume.

    A mask that was stored with its axes swapped or flipped but covers the same voxels is turned to the images' order.

    Args:
        path: NIfTI or NRRD label volume, whole numbers, 0 is outside. A JSON beside it (same name) may name the labels:
            ``{"liver": 1, "spleen": 2}`` or ``{"1": "liver"}``.
        shape: Of the images it belongs to, (x, y, z).
        affine: Of those images, index to world millimetres, RAS+, shape (4, 4).
    Returns:
        Name -> mask of shape (x, y, z), bool; by increasing label, named ``roi_<label>`` unless the JSON names it.
    Raises:
        UnsuitableInputError: other geometry than the images', empty, or not a label volume.
    """
    labels = read_labels(path, shape, affine)
    names = _label_names(Path(path))
    values = [int(value) for value in np.unique(labels) if value > 0]
    return {names.get(value, f"roi_{value}"): labels == value for value in values}


def read_labels(path: Path | str, shape: tuple[int, ...], affine: np.ndarray | None) -> np.ndarray:
    """The labels of a volume in the order of the images' axes, shape (x, y, z); 0 is outside.

    Args:
        path: NIfTI or NRRD label volume.
        shape: Of the images it belongs to, (x, y, z).
        affine: Of those images, index to world millimetres, RAS+; None: pictures, whose place is not compared.
    Raises:
        UnsuitableInputError: other geometry than the images', empty, or not a label volume.
    """
    path = Path(path)
    labels, found_affine = read_volume(path)
    if affine is not None:
        labels, found_affine = _turned(labels, found_affine, affine)
    if labels.shape != shape:
        raise UnsuitableInputError(
            f"A mask needs the matrix of the images, {_size(shape)}; '{path.name}' has {_size(labels.shape)}. Draw it "
            "on these images or resample it."
        )
    if affine is not None:
        _check_place(path.name, shape, found_affine, affine)
    is_whole = labels.dtype.kind in "bui" or np.all(np.isfinite(labels)) and np.all(labels == np.round(labels))
    if not is_whole or labels.dtype.kind not in "bu" and np.any(labels < 0):
        raise UnsuitableInputError(f"A mask needs whole numbers from 0; '{path.name}' holds others. Save it as labels.")
    if not np.any(labels > 0):
        raise UnsuitableInputError(
            f"A mask needs at least one voxel; '{path.name}' is empty. Draw a region of interest."
        )
    return labels


def _check_place(name: str, shape: tuple[int, ...], found: np.ndarray, affine: np.ndarray) -> None:
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape], [1], indexing="ij")).reshape(4, -1)
    distance = np.linalg.norm(((found - affine) @ corners)[:3], axis=0).max()
    if not distance <= _SAME_PLACE * np.linalg.norm(affine[:3, :3], axis=0).min():
        raise UnsuitableInputError(
            f"A mask needs the position and orientation of the images; '{name}' lies up to {distance:.3g} mm from "
            "them. Draw it on these images or resample it."
        )


def _turned(array: np.ndarray, affine: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An array with its axes permuted and flipped so that they point as those of the target affine do."""
    relative = np.linalg.inv(target[:3, :3]) @ affine[:3, :3]
    axes = np.abs(relative).argmax(axis=0)
    if sorted(axes) != [0, 1, 2]:
        return array, affine
    flips = np.sign(relative[axes, range(3)])
    orientation = np.stack([axes, flips], axis=1)
    turned = nib.orientations.apply_orientation(array, orientation)
    return turned, affine @ nib.orientations.inv_ornt_aff(orientation, array.shape)


def _label_names(path: Path) -> dict[int, str]:
    sidecar = path.with_name(f"{stem_of(path) or path.stem}.json")
    if not sidecar.is_file():
        return {}
    names: dict[int, str] = {}
    for key, value in read_json(read_bytes(sidecar), sidecar.name).items():
        label, name = (value, key) if isinstance(value, int) and not isinstance(value, bool) else (key, value)
        if not str(label).isdigit() or not isinstance(name, str) or name in names.values():
            raise UnsuitableInputError(
                f"The names of labels need the form {json.dumps({'liver': 1})} with different names; "
                f"'{sidecar.name}' holds {json.dumps({key: value})}. Correct it."
            )
        names[int(label)] = name
    return names


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
