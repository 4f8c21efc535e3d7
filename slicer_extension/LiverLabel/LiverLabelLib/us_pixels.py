"""The frames of a DICOM ultrasound file as grey or RGB pictures of 8 bits.

Source: DICOM PS3.3 C.7.6.3 (Image Pixel); pydicom 3 converts YBR and looks up palettes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from .errors import UnsuitableInputError

MAX_BYTES = 1 << 30
"""Most that the frames of one file may take, unpacked."""
_GREY, _COLOUR = ("MONOCHROME1", "MONOCHROME2"), ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


def read_frames(path: Path | str) -> list[np.ndarray]:
    """Every frame of a file, each (rows, columns) or (rows, columns, 3), uint8.

    Deeper pixels give their highest 8 bits; MONOCHROME1 is turned round, so that 0 is black.

    Raises:
        UnsuitableInputError: no decoder for its compression, colours of another kind, too large, cut short.
    """
    path = Path(path)
    try:
        dataset = pydicom.dcmread(path)
        kind = str(dataset.get("PhotometricInterpretation", ""))
        n_values = int(dataset.Rows) * int(dataset.Columns) * max(int(dataset.get("NumberOfFrames") or 1), 1)
    except (OSError, pydicom.errors.InvalidDicomError, AttributeError, ValueError, TypeError) as error:
        raise _cut_short(path.name) from error
    if kind not in (*_GREY, *_COLOUR, "PALETTE COLOR"):
        raise UnsuitableInputError(
            f"A picture in grey, RGB, YBR or with a palette is needed; '{path.name}' is '{kind}'. Export it as RGB."
        )
    if (n_bytes := n_values * (1 if kind in _GREY else 3)) > MAX_BYTES:
        raise UnsuitableInputError(
            f"A cine of up to {MAX_BYTES / 2**30:g} GiB is needed; '{path.name}' takes {n_bytes / 2**30:.1f} GiB "
            "unpacked. Export fewer frames."
        )
    pixels = _decoded(dataset, kind, path.name)
    rank = 2 if kind in _GREY else 3
    pixels = pixels[np.newaxis] if pixels.ndim == rank else pixels
    if pixels.ndim != rank + 1 or (rank == 3 and pixels.shape[-1] != 3):
        raise _cut_short(path.name)
    # A palette's colours fill their 8 or 16 bits, whatever the indices are stored in.
    bits = 8 * pixels.dtype.itemsize if kind == "PALETTE COLOR" else int(dataset.get("BitsStored", 8))
    pixels = _in_8_bits(pixels, bits)
    return list(255 - pixels if kind == "MONOCHROME1" else pixels)


def _decoded(dataset: Dataset, kind: str, name: str) -> np.ndarray:
    try:
        from pydicom.pixels import apply_color_lut, pixel_array
    except ImportError as error:
        raise UnsuitableInputError(
            f"pydicom 3 is needed to read the pixels of '{name}'; this 3D Slicer has {pydicom.__version__}. Update "
            "3D Slicer, or export the picture as PNG."
        ) from error
    try:
        pixels = pixel_array(dataset)
        return apply_color_lut(pixels, dataset) if kind == "PALETTE COLOR" else pixels
    except RuntimeError as error:
        syntax = dataset.file_meta.TransferSyntaxUID
        if not syntax.is_compressed:
            raise _cut_short(name) from error
        raise UnsuitableInputError(
            f"A decoder for {syntax.name} is needed to open '{name}'; this 3D Slicer has none, or the frames are "
            "damaged. Export the picture without compression, or import the case on the server."
        ) from error
    except (ValueError, AttributeError, KeyError, TypeError, IndexError) as error:
        raise _cut_short(name) from error


def _in_8_bits(pixels: np.ndarray, bits: int) -> np.ndarray:
    """As the server does: the highest 8 of more bits, fewer spread over 0 to 255."""
    pixels = np.maximum(pixels, 0)
    if bits > 8:
        pixels = pixels >> (bits - 8)
    elif bits < 8:
        pixels = pixels.astype(np.uint16) * 255 // (2**bits - 1)
    return pixels.astype(np.uint8)


def _cut_short(name: str) -> UnsuitableInputError:
    return UnsuitableInputError(f"A whole DICOM picture is needed; '{name}' is cut short or damaged. Export it again.")
