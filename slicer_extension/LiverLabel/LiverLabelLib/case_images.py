"""The images of a stored case with what the server knows of them, checked before anything is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .errors import UnusableReplyError
from .multipart import Part
from .nifti import Volume, read_nifti
from .protocol import OPTIONAL_NUMBER, OPTIONAL_TEXT, TEXT, Fields, parse_json
from .results import REPLY

KINDS = MRI, ULTRASOUND = "mri", "ultrasound"
Box = tuple[int, int, int, int]
"""(top, left, bottom, right) in pixels from 0; bottom and right are the first outside."""


@dataclass(frozen=True)
class ColourScale:
    """What the colours of an elastogram stand for."""

    low: float
    """Value of the first colour, in ``unit``."""
    high: float
    """Value of the last colour, in ``unit``."""
    unit: str
    """kPa or m/s."""


@dataclass(frozen=True, eq=False)
class CaseImage:
    """One image."""

    name: str
    """Different from those of the case's other images."""
    role: str
    """``bmode``, ``swe`` or ``magnitude``."""
    unit: str | None
    """Of the voxels' values; None: grey levels or colours."""
    volume: Volume
    """An MRI: where it lies in the patient. A picture: columns x rows x 1, with pixels of 1 mm at no place."""
    pixel_spacing_mm: tuple[float, float] | None
    """Of a picture: distance between rows, between columns, mm; None: not known."""
    box: Box | None
    """Where an elastogram has its colours."""
    scale: ColourScale | None
    """What they stand for."""


@dataclass(frozen=True)
class ClinicalValue:
    """A quantity that methods know, and what the case has of it."""

    name: str
    """By which the server takes it."""
    title: str
    """For the screen."""
    unit: str
    """Of the numbers; empty for a ratio."""
    low: float
    """Lowest value that is believed of the species."""
    high: float
    """Highest value that is believed of the species."""
    value: float | None
    """None: not measured."""


@dataclass(frozen=True, eq=False)
class CaseImages:
    """What a stored case holds."""

    case_id: str
    """Of which case."""
    kind: str
    """``mri`` or ``ultrasound``."""
    is_simulated: bool | None
    """The images were computed, not measured; None: not known."""
    notice: str
    """To be shown with the images."""
    species: str | None
    """rat or human; None: not stated."""
    images: tuple[CaseImage, ...]
    """The first B-mode picture, or the MRI's magnitude, is the one that the liver is outlined on."""
    echo_times_s: tuple[float, ...] | None
    """Of an MRI, seconds, increasing."""
    field_strength_t: float | None
    """Of an MRI, tesla."""
    clinical: tuple[ClinicalValue, ...]
    """Of an ultrasound case, in the order they are shown."""


def read_case_images(case_id: str, parts: Sequence[Part]) -> CaseImages:
    """Check and read the reply to ``GET /liver/cases/{id}/images``.

    Args:
        case_id: What was asked.
        parts: Of the reply.
    Raises:
        UnusableReplyError: a value is missing, null or not finite where it may not be, a range is upside down; an image
            is missing, unreadable, or no picture where there has to be one.
    """
    if not parts or parts[0].name != REPLY:
        raise UnusableReplyError(
            "The reply needs its JSON first and holds none. Server and extension need the same version."
        )
    head = Fields.of(parse_json(parts[0].content, "The reply"), "The reply")
    if head.take("id", TEXT) != case_id:
        raise UnusableReplyError(f"The reply is on the case '{head.values['id']}' and not on '{case_id}'. Ask again.")
    kind = head.take("kind", TEXT)
    if kind not in KINDS:
        raise UnusableReplyError(f"The reply needs a kind of images, {' or '.join(KINDS)}; found {kind[:40]!r}.")
    sent = {part.name: part.content for part in parts[1:]}
    images = tuple(_image(one, sent, kind) for one in head.objects("images"))
    names = [image.name for image in images]
    if not names or len(set(names)) < len(names):
        raise UnusableReplyError(f"The reply needs images of different names; found {names}. Update the server.")
    field_strength_t = head.take("field_strength_t", OPTIONAL_NUMBER)
    return CaseImages(
        case_id=case_id,
        kind=kind,
        is_simulated=head.take("is_simulated", (bool, type(None))),
        notice=head.take("notice", TEXT),
        species=head.take("species", OPTIONAL_TEXT),
        images=images,
        echo_times_s=_echo_times(head),
        field_strength_t=None if field_strength_t is None else head.number("field_strength_t", 0.0),
        clinical=tuple(_clinical(one) for one in head.objects("clinical")),
    )


def _image(told: Fields, sent: dict[str, memoryview], kind: str) -> CaseImage:
    name = told.take("name", TEXT)
    if name not in sent:
        raise UnusableReplyError(f"The reply announces the image '{name}' and does not hold it. Ask again.")
    is_picture = kind == ULTRASOUND
    volume = read_nifti(sent[name], name, allows_colour=is_picture)
    if is_picture and (volume.shape[2] != 1 or volume.array.dtype != np.uint8):
        size = " x ".join(map(str, volume.shape))
        raise UnusableReplyError(
            f"The picture '{name}' needs columns x rows x 1 of 8 bits; found {size}, {volume.array.dtype}."
        )
    if not np.isfinite(volume.array).all():
        raise UnusableReplyError(f"The image '{name}' needs finite values and holds others. Ask again.")
    scale = told.take("scale", (dict, type(None)))
    return CaseImage(
        name=name,
        role=told.take("role", TEXT),
        unit=told.take("unit", OPTIONAL_TEXT),
        volume=volume,
        pixel_spacing_mm=_spacing(told),
        box=_box(told, volume),
        scale=None if scale is None else _scale(Fields.of(scale, f"The scale of '{name}'")),
    )


def _spacing(told: Fields) -> tuple[float, float] | None:
    values = told.take("pixel_spacing_mm", (list, type(None)))
    if values is None:
        return None
    if len(values) != 2 or not all(_is_number(value) and 0 < value < np.inf for value in values):
        raise told.unlike("pixel_spacing_mm", (list,), f"{values!r:.60}, not two lengths above 0")
    return float(values[0]), float(values[1])


def _box(told: Fields, volume: Volume) -> Box | None:
    values = told.take("box", (list, type(None)))
    if values is None:
        return None
    columns, rows, _ = volume.shape
    is_box = len(values) == 4 and all(type(value) is int for value in values)
    if not is_box or not (0 <= values[0] < values[2] <= rows and 0 <= values[1] < values[3] <= columns):
        raise told.unlike("box", (list,), f"{values!r:.60}, no rectangle in {rows} rows and {columns} columns")
    return tuple(values)


def _scale(told: Fields) -> ColourScale:
    return ColourScale(*_range(told), told.take("unit", TEXT))


def _clinical(told: Fields) -> ClinicalValue:
    texts = (told.take(name, TEXT) for name in ("name", "title", "unit"))
    value = told.take("value", OPTIONAL_NUMBER)
    return ClinicalValue(*texts, *_range(told), None if value is None else float(value))


def _range(told: Fields) -> tuple[float, float]:
    low, high = told.number("low"), told.number("high")
    if low >= high:
        raise UnusableReplyError(
            f"{told.what} needs 'low' below 'high'; found {low:g} and {high:g}. Update server and extension."
        )
    return low, high


def _echo_times(head: Fields) -> tuple[float, ...] | None:
    values = head.take("echo_times_s", (list, type(None)))
    if values is None:
        return None
    if not all(_is_number(value) and 0 <= value < np.inf for value in values) or sorted(set(values)) != values:
        raise head.unlike("echo_times_s", (list,), f"{values!r:.60}, no increasing times")
    return tuple(map(float, values))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
