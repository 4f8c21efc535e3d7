"""NIfTI-1 volumes (``.nii.gz``) with numpy alone: read with bounds, written as the same bytes for the same volume.

Source: NIfTI-1.1 header, nifti1.h (https://nifti.nimh.nih.gov/nifti-1); its three ways from index to world.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np

from .errors import UnsuitableInputError, UnusableReplyError

_HEADER_BYTES, _DATA_OFFSET = 348, 352
_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
"""NIfTI's datatype -> numpy's."""
_RGB24, _RGB24_CODE = np.dtype("V3"), 128
"""A voxel of three bytes, and NIfTI's datatype of it."""
_MM_AND_S = 2 | 8
MAX_VOLUME_BYTES = 2 << 30
"""Most that a volume may hold once unpacked."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A volume and where it lies."""

    array: np.ndarray
    """Shape (x, y, z); of a colour volume (x, y, z, 3), uint8, red first."""
    affine: np.ndarray
    """Index to world millimetres, RAS+, shape (4, 4)."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(x, y, z)."""
        return self.array.shape[:3]


def read_nifti(content: bytes | bytearray | memoryview, name: str, *, allows_colour: bool = False) -> Volume:
    """Read one volume.

    Args:
        content: ``.nii.gz`` or ``.nii``.
        name: For the sentence when it cannot be read.
        allows_colour: RGB24 is read too, as shape (x, y, z, 3).
    Returns:
        The array in the type it is stored in, scaled as its header says; a 2-D image has one slice.
    Raises:
        UnusableReplyError: it is damaged, cut short, no single volume, in colour where numbers are needed, or says
            nothing of where it lies.
    """
    is_packed = bytes(content[:2]) == b"\x1f\x8b"
    try:
        unpack = zlib.decompressobj(wbits=31) if is_packed else None
        head = unpack.decompress(content, _DATA_OFFSET) if unpack else bytes(content[:_DATA_OFFSET])
        order = next((o for o in "<>" if len(head) == _DATA_OFFSET and struct.unpack_from(o + "i", head)[0] == 348), "")
        if not order or head[344:347] not in (b"n+1", b"ni1"):
            raise _damaged(name, "it does not begin as a NIfTI volume")
        shape, kind, offset, slope, intercept = _described(head, order, name, allows_colour)
        n_bytes = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
        if n_bytes > MAX_VOLUME_BYTES:
            raise _damaged(name, f"it would take {n_bytes / 2**30:.1f} GiB")
        if unpack:
            rest = unpack.decompress(unpack.unconsumed_tail, offset - _DATA_OFFSET + n_bytes + 1)
            if len(rest) == offset - _DATA_OFFSET + n_bytes and not unpack.eof:
                rest += unpack.decompress(unpack.unconsumed_tail, 1)  # So that the checksum at the end is looked at.
            is_whole = unpack.eof
        else:
            rest, is_whole = content[_DATA_OFFSET:], True
    except zlib.error as error:
        raise _damaged(name, "its compression is broken") from error
    data = memoryview(rest)[offset - _DATA_OFFSET :]
    if len(data) != n_bytes or not is_whole:
        raise _damaged(name, f"its {' x '.join(map(str, shape))} voxels need {n_bytes} bytes and other than that came")
    array = np.frombuffer(data, kind).reshape(shape, order="F")
    if kind == _RGB24:
        colours = np.array(array, order="C").view(np.uint8).reshape(*shape, 3)
        return Volume(colours, _affine(head, order, name))  # A scale does not apply to colours.
    array = array.astype(kind.newbyteorder("="))
    if slope not in (0.0, 1.0) or (slope and intercept):
        array = (array * slope + intercept).astype(np.float32)
    return Volume(array, _affine(head, order, name))


def _described(
    head: bytes, order: str, name: str, allows_colour: bool
) -> tuple[tuple[int, ...], np.dtype, int, float, float]:
    n_dimensions, *sizes = struct.unpack_from(order + "8h", head, 40)
    sizes = sizes[: max(n_dimensions, 0)]
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    if not 2 <= n_dimensions <= 7 or not 2 <= len(sizes) <= 3 or min(sizes) < 1:
        raise _damaged(name, f"one volume (x, y, z) is needed and its matrix is {sizes}")
    code = struct.unpack_from(order + "h", head, 70)[0]
    is_colour = allows_colour and code == _RGB24_CODE
    if code not in _TYPES and not is_colour:
        raise _damaged(name, f"numbers are needed and its data type is {code}")
    offset, slope, intercept = struct.unpack_from(order + "3f", head, 108)
    if not _DATA_OFFSET <= offset < 1 << 24:
        raise _damaged(name, f"its voxels begin at byte {offset:g}")
    if not np.isfinite(slope) or not np.isfinite(intercept):
        slope, intercept = 1.0, 0.0  # As the standard's own programs: no scale.
    kind = _RGB24 if is_colour else np.dtype(order + _TYPES[code])
    return (*sizes, 1)[:3], kind, int(offset), slope, intercept


def _affine(head: bytes, order: str, name: str) -> np.ndarray:
    """The sform if there is one, else the qform: nifti1.h, methods 3 and 2."""
    qform_code, sform_code = struct.unpack_from(order + "2h", head, 252)
    affine = np.eye(4)
    if sform_code > 0:
        affine[:3] = np.frombuffer(head, order + "f4", 12, 280).reshape(3, 4)
    elif qform_code > 0:
        b, c, d, *origin = struct.unpack_from(order + "6f", head, 256)
        qfac, *sides = struct.unpack_from(order + "4f", head, 76)
        a = np.sqrt(max(0.0, 1 - b * b - c * c - d * d))
        rotation = np.array(
            [
                [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
                [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
                [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
            ]
        )
        affine[:3, :3] = rotation * sides * np.array([1, 1, -1 if qfac < 0 else 1])
        affine[:3, 3] = origin
    else:
        raise _damaged(name, "it says nothing of its voxels' size and place")
    if not np.all(np.isfinite(affine)) or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise _damaged(name, "its voxels have no volume or no place")
    return affine


def write_nifti(volume: Volume) -> bytes:
    """A volume as ``.nii.gz``: bool and whole numbers up to 255 as uint8, other numbers as float32.

    Both sform and qform are written; the qform of a sheared affine is its nearest rotation, as it can hold no shear.

    Args:
        volume: Of any numeric type.
    Raises:
        UnsuitableInputError: no volume, or an affine that is none.
    """
    array, affine = np.asarray(volume.array), np.asarray(volume.affine, np.float64)
    if array.ndim != 3 or not array.size or max(array.shape) > 32767:
        raise UnsuitableInputError(f"A volume needs the shape (x, y, z), 1 to 32767 voxels each; found {array.shape}.")
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise UnsuitableInputError(
            "A volume needs voxels with a size and a place; this one's have none. Load it again."
        )
    is_label = array.dtype == bool or (array.dtype.kind in "iu" and 0 <= array.min() <= array.max() < 256)
    kind, code = (np.dtype("<u1"), 2) if is_label else (np.dtype("<f4"), 16)
    qfac, sides, quaternion = _as_quaternion(affine[:3, :3])
    head = bytearray(_DATA_OFFSET)
    struct.pack_into("<i", head, 0, _HEADER_BYTES)
    head[38] = ord("r")
    struct.pack_into("<8h", head, 40, 3, *array.shape, 1, 1, 1, 1)
    struct.pack_into("<2h", head, 70, code, kind.itemsize * 8)
    struct.pack_into("<8f", head, 76, qfac, *sides, 1, 1, 1, 1)
    struct.pack_into("<3f", head, 108, _DATA_OFFSET, 1, 0)
    head[123] = _MM_AND_S
    struct.pack_into("<2h6f", head, 252, 1, 1, *quaternion, *affine[:3, 3])
    struct.pack_into("<12f", head, 280, *affine[:3].ravel())
    head[344:348] = b"n+1\0"
    return packed(bytes(head) + array.astype(kind).tobytes(order="F"))


def packed(content: bytes) -> bytes:
    """Gzip without a time and without the name of the system, so that equal content gives equal bytes."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = deflate.compress(content) + deflate.flush()
    tail = struct.pack("<2I", zlib.crc32(content), len(content) & 0xFFFFFFFF)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + body + tail


def _as_quaternion(matrix: np.ndarray) -> tuple[float, np.ndarray, tuple[float, float, float]]:
    """qfac, voxel sides (mm) and quaternion (b, c, d) of the rotation nearest to a matrix; nifti1.h, method 2."""
    sides = np.linalg.norm(matrix, axis=0)
    left, _, right = np.linalg.svd(matrix / sides)
    rotation = left @ right
    qfac = 1.0
    if np.linalg.det(rotation) < 0:
        rotation, qfac = rotation * [1, 1, -1], -1.0
    # The quaternion is the eigenvector of largest eigenvalue of this matrix (Bar-Itzhack 2000): stable anywhere.
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    symmetric = np.array(
        [
            [xx + yy + zz, zy - yz, xz - zx, yx - xy],
            [zy - yz, xx - yy - zz, xy + yx, xz + zx],
            [xz - zx, xy + yx, yy - xx - zz, yz + zy],
            [yx - xy, xz + zx, yz + zy, zz - xx - yy],
        ]
    )
    a, b, c, d = np.linalg.eigh(symmetric)[1][:, -1]
    sign = -1.0 if a < 0 else 1.0
    return qfac, sides, (sign * b, sign * c, sign * d)


def _damaged(name: str, why: str) -> UnusableReplyError:
    return UnusableReplyError(f"The volume '{name}' cannot be used: {why}. Ask for it again.")
