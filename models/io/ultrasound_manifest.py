"""What a manifest says of a case's ultrasound images: each file's role, and how an elastogram's colours are read."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import UnsuitableInputError
from .manifest_checks import check_choice, check_sha256, check_type, checked

ROLES = ("bmode", "swe")
"""``bmode``: grey anatomy; ``swe``: a picture with a shear-wave elastogram in colour over it."""
UNITS = ("kPa", "m/s")
COLOURMAPS = ("jet", "turbo", "rainbow", "viridis", "plasma")
"""Colour bars known by name: matplotlib's, 256 colours from low to high."""
TISSUE_DENSITY_KG_PER_M3 = 1000.0
"""By convention of elastography (QIBA shear-wave profile), not the 1060 of liver."""
_HIGHEST = {"kPa": 400.0, "m/s": 11.0}
"""No scale of a scanner goes beyond (300 kPa, 10 m/s); higher numbers are of another unit."""

Box = tuple[int, int, int, int]
"""(top, left, bottom, right) in pixels from 0; bottom and right are the first outside."""


@dataclass(frozen=True)
class ElastogramScale:
    """How the colours of an elastogram are values.

    Raises:
        UnsuitableInputError: neither or both of a colour map and a bar, or numbers that no scale has.
    """

    low: float
    """Value of the bar's first colour, in ``unit``."""
    high: float
    """Value of the bar's last colour, in ``unit``."""
    unit: str
    """kPa (Young's modulus E) or m/s (shear-wave speed c)."""
    colormap: str | None = None
    """One of :data:`COLOURMAPS`; or None, and ``bar`` says where the picture shows the colours."""
    bar: Box | None = None
    """The colour bar in the same picture: the last colour is at the top, or at the right of a bar wider than tall."""
    opacity: float | None = 1.0
    """Pixel = opacity · colour + (1 - opacity) · grey; None: not known, estimated from the picture."""
    density_kg_per_m3: float = TISSUE_DENSITY_KG_PER_M3
    """ρ in E = 3ρc², kg/m³."""

    def __post_init__(self):
        if self.unit not in UNITS:
            raise UnsuitableInputError(
                f"The scale of an elastogram needs its unit, {' or '.join(UNITS)}; found {self.unit!r}."
            )
        if (self.colormap is None) == (self.bar is None):
            raise UnsuitableInputError(
                "The scale of an elastogram needs its colours: either colormap or bar, the rectangle of the colour bar "
                "in the picture. State one of them."
            )
        if self.colormap is not None and self.colormap not in COLOURMAPS:
            raise UnsuitableInputError(
                f"A colormap needs to be one of {', '.join(COLOURMAPS)}; found {self.colormap!r}. Give the rectangle "
                "of the colour bar instead."
            )
        if not 0 <= self.low < self.high <= _HIGHEST[self.unit]:
            raise UnsuitableInputError(
                f"The scale of an elastogram in {self.unit} needs 0 <= low < high <= {_HIGHEST[self.unit]:g}; found "
                f"{self.low:g} to {self.high:g}. Check the numbers beside the colour bar and their unit."
            )
        if self.opacity is not None and not 0.1 <= self.opacity <= 1:
            raise UnsuitableInputError(f"The opacity of an elastogram needs 0.1 to 1; found {self.opacity:g}.")
        if not 800 <= self.density_kg_per_m3 <= 1200:
            raise UnsuitableInputError(
                f"The density of soft tissue needs 800 to 1200 kg/m3; found {self.density_kg_per_m3:g}."
            )


@dataclass(frozen=True)
class UltrasoundRoi:
    """The reader's region of one B-mode image, as a picture of its size: 0 outside."""

    path: str
    """Name inside ``files/<id>/``."""
    sha256: str
    """Hex digest of its bytes."""


@dataclass(frozen=True)
class UltrasoundImage:
    """One frame of one file and its role."""

    path: str
    """Name inside ``files/<id>/``, with forward slashes."""
    sha256: str
    """Hex digest of its bytes."""
    role: str
    """One of :data:`ROLES`."""
    name: str
    """Of the place, such as a lobe; a B-mode image and an elastogram of one name belong together."""
    frame: int = 0
    """Index in a multi-frame file, from 0."""
    pixel_spacing_mm: tuple[float, float] | None = None
    """Distance between rows, between columns, mm; None: as the file says, or not known."""
    box: Box | None = None
    """The elasticity box; None: where the colours of the bar are."""
    scale: ElastogramScale | None = None
    """How colours are values; None: not known, and stiffness cannot be read."""
    roi: UltrasoundRoi | None = None
    """The region drawn on a B-mode image."""


@dataclass(frozen=True)
class Ultrasound:
    """The ultrasound images of a visit."""

    images: tuple[UltrasoundImage, ...]
    """In the order they are shown."""

    def paths(self) -> list[str]:
        """Names of the files, each once."""
        names = [image.path for image in self.images] + [image.roi.path for image in self.images if image.roi]
        return list(dict.fromkeys(names))


def ultrasound_from_json(values: object, name: str) -> Ultrasound:
    """The images as a manifest holds them.

    Raises:
        UnsuitableInputError: unknown or missing keys, other types, values out of range.
    """
    values = checked(Ultrasound, values, name)
    check_type(values, "images", (list,), name)
    return Ultrasound(tuple(_image(item, name) for item in values["images"]))


def _image(values: object, name: str) -> UltrasoundImage:
    values = checked(UltrasoundImage, values, name)
    check_type(values, "path", (str,), name)
    check_sha256(values, name)
    if values.get("roi") is not None:
        roi = checked(UltrasoundRoi, values["roi"], name)
        check_type(roi, "path", (str,), name)
        check_sha256(roi, name)
        values["roi"] = UltrasoundRoi(**roi)
    return UltrasoundImage(**image_settings(values, name))


def image_settings(values: dict, name: str) -> dict:
    """Role, name, frame, spacing, box and scale of an image from JSON, checked; other keys are kept as they are.

    Raises:
        UnsuitableInputError: other types or values out of range.
    """
    values = dict(values)
    check_choice(values, "role", ROLES, name)
    check_type(values, "name", (str,), name)
    check_type(values, "frame", (int,), name)
    if values.get("frame", 0) < 0:
        raise UnsuitableInputError(f"In '{name}', frame needs to be an index from 0; found {values['frame']}.")
    if values.get("pixel_spacing_mm") is not None:
        spacing = values["pixel_spacing_mm"]
        if not (isinstance(spacing, list) and len(spacing) == 2 and all(_is_number(v) and v > 0 for v in spacing)):
            raise UnsuitableInputError(
                f"In '{name}', pixel_spacing_mm needs two lengths above 0, between rows and columns; found {spacing!r}."
            )
        values["pixel_spacing_mm"] = (float(spacing[0]), float(spacing[1]))
    if values.get("box") is not None:
        values["box"] = _box(values["box"], "box", name)
    if values.get("scale") is not None:
        values["scale"] = scale_from_json(values["scale"], name)
    if values["role"] == "bmode" and (values.get("scale") is not None or values.get("box") is not None):
        raise UnsuitableInputError(f"In '{name}', scale and box need a picture of role swe; found one of role bmode.")
    if values["role"] == "swe" and values.get("roi") is not None:
        raise UnsuitableInputError(f"In '{name}', roi needs a picture of role bmode; found one of role swe.")
    return values


def scale_from_json(values: object, name: str) -> ElastogramScale:
    """A scale from JSON.

    Raises:
        UnsuitableInputError: unknown or missing keys, other types, numbers that no scale has.
    """
    values = checked(ElastogramScale, values, name)
    for key in ("low", "high", "density_kg_per_m3"):
        check_type(values, key, (int, float), name)
    check_type(values, "opacity", (int, float, type(None)), name)
    check_type(values, "colormap", (str, type(None)), name)
    if values.get("bar") is not None:
        values["bar"] = _box(values["bar"], "bar", name)
    return ElastogramScale(**values)


def _box(values: object, key: str, name: str) -> Box:
    is_box = isinstance(values, list) and len(values) == 4 and all(type(v) is int and v >= 0 for v in values)
    if not is_box or values[0] >= values[2] or values[1] >= values[3]:
        raise UnsuitableInputError(
            f"In '{name}', {key} needs [top, left, bottom, right] in whole pixels from 0, top < bottom and left < "
            f"right; found {values!r}."
        )
    return tuple(values)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
