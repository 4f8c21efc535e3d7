"""What scanners write into DICOM beyond the standard: which component an image is and how its pixels scale.

GE:      (0043,102F) is 0, 1, 2, 3 for magnitude, phase, real, imaginary.
Philips: (2005,1011) is M, P, R, I; the quantitative value is FP = (PV·RS + RI) / (RS·SS) with SS from (2005,100E),
         which may differ from frame to frame (Chenevert et al. 2014, doi:10.1593/tlo.13811). Phase keeps its rescaled
         value, which is in milliradians.
Siemens: phase is stored as 0 to 4095 with slope 2 and intercept -4096; its unit is found from its range.
"""

from __future__ import annotations

import struct

GE_COMPONENT = 0x0043102F
PHILIPS_COMPONENT = 0x20051011
PHILIPS_SCALE_SLOPE = 0x2005100E

_GE_PARTS = {0: "magnitude", 1: "phase", 2: "real", 3: "imaginary"}
_PARTS = {
    "M": "magnitude",
    "MAG": "magnitude",
    "MAGNITUDE": "magnitude",
    "M_FFE": "magnitude",
    "P": "phase",
    "PHASE": "phase",
    "PHASE MAP": "phase",
    "R": "real",
    "REAL": "real",
    "I": "imaginary",
    "IMAGINARY": "imaginary",
}


def component(image) -> str | None:
    """Which component an image is.

    ComplexImageComponent, then the vendor's private element, then the third value of FrameType or ImageType.

    Args:
        image: Attributes of one frame, with ``get(keyword)`` and ``private(tag)``.
    Returns:
        magnitude, phase, real or imaginary; None if the image is something else or does not tell.
    """
    declared = _PARTS.get(str(image.get("ComplexImageComponent", "")).upper())
    if declared is not None and not _is_derived_map(image):
        return declared
    philips = image.private(PHILIPS_COMPONENT)
    if philips is not None and str(philips).upper() in _PARTS and not _is_derived_map(image):
        return _PARTS[str(philips).upper()]
    ge = image.private(GE_COMPONENT)
    if ge is not None and not _is_derived_map(image):
        values = list(ge) if isinstance(ge, list | tuple) or hasattr(ge, "__iter__") else [ge]
        return _GE_PARTS.get(int(values[0])) if values else None
    return _PARTS.get(_image_type(image))


def value_scale(image, part: str) -> tuple[float, float]:
    """Slope and intercept from stored to quantitative pixel values.

    Args:
        image: Attributes of one frame, with ``get(keyword)`` and ``private(tag)``.
        part: The frame's component.
    """
    slope = float(image.get("RescaleSlope", 1.0) or 1.0)
    intercept = float(image.get("RescaleIntercept", 0.0) or 0.0)
    scale = image.private(PHILIPS_SCALE_SLOPE)
    if part == "phase" or not scale:
        return slope, intercept
    scale = float(scale)
    return 1.0 / scale, intercept / (slope * scale)


def private_value(dataset, tag: int):
    """Value of a private element of one dataset, decoded; None when absent or empty."""
    if tag not in dataset:
        return None
    element = dataset[tag]
    value = element.value
    if isinstance(value, bytes):
        value = _decoded(tag, value)
    return None if value is None or value == "" else value


def _decoded(tag: int, value: bytes):
    """A private value of unknown representation (implicit VR): what its vendor stores there, little endian."""
    if tag == PHILIPS_SCALE_SLOPE and len(value) == 4:
        return struct.unpack("<f", value)[0]
    if tag == GE_COMPONENT and len(value) >= 2 and len(value) % 2 == 0:
        return list(struct.unpack(f"<{len(value) // 2}h", value))
    return value.decode("ascii", "replace").strip(" \0")


def _image_type(image) -> str:
    kinds = image.get("FrameType") or image.get("ImageType") or ()
    return str(kinds[2]).upper() if not isinstance(kinds, str) and len(kinds) > 2 else ""


_DERIVED_MAPS = {"WATER", "FAT", "W", "F", "IP", "OP", "IN_PHASE", "OUT_PHASE", "OPP_PHASE", "FF", "FAT_FRACTION"}
_DERIVED_MAPS |= {"WATER_FRACTION", "R2_STAR", "R2STAR", "T2_STAR", "T2_STAR_MAP", "R2_STAR_MAP", "FIELD_MAP", "B0"}


def _is_derived_map(image) -> bool:
    """Whether the image type names a map that the scanner computed (they are magnitudes too)."""
    kinds = image.get("FrameType") or image.get("ImageType") or ()
    return not isinstance(kinds, str) and any(str(kind).upper() in _DERIVED_MAPS for kind in list(kinds)[2:])
