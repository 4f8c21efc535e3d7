"""The answers of tasks: JSON and maps, checked against each other before anything is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from .errors import UnusableReplyError
from .geometry import geometry_difference
from .multipart import Part
from .nifti import Volume, read_nifti
from .protocol import OPTIONAL_NUMBER, TEXT, Fields, parse_json

REPLY = "reply"
NAFLD_MAPS = ("nafld_grad_cam", "nafld_gradient_shap")
"""Where the first B-mode image spoke for fatty liver, and against it."""
_MASKS = ("valid_mask", "liver_roi", "measurement_rois")


@dataclass(frozen=True)
class Answer:
    """What every answer holds."""

    task: str
    """Which task answered."""
    case_id: str
    """Of which case."""
    is_simulated: bool
    """The images were computed, not measured."""
    notice: str
    """To be shown with every result."""
    model: str
    """Name and version of what computed it."""
    maps: Mapping[str, Volume]
    """By name; NaN where nothing was estimated."""
    units: Mapping[str, str]
    """Unit of each map, as the server says."""
    remarks: tuple[str, ...]
    """Sentences to show beside the result: the server's warnings and what was noticed here."""


@dataclass(frozen=True)
class PdffAnswer(Answer):
    """Fat fraction, R2* and field maps."""

    method: str = ""
    """What computed the maps."""
    n_voxels: int = 0
    """Of the study."""
    n_valid_voxels: int = 0
    """With an estimate."""
    rois: tuple[Mapping, ...] = ()
    """The server's row of each region, names with units."""


@dataclass(frozen=True)
class ClassAnswer(Answer):
    """The probability of a yes."""

    probability: float = 0.0
    """0 to 1."""
    probability_low: float = 0.0
    """Lower end of the 95 % interval."""
    probability_high: float = 0.0
    """Upper end of the 95 % interval."""
    threshold: float = 0.5
    """From which the answer is yes."""
    conformal_answers: tuple[bool, ...] = ()
    """Answers that stay possible at 90 % coverage."""
    is_abstention: bool = False
    """Not exactly one of them is possible."""
    trained_on: str = ""
    """What the model learnt from, in words; empty: not stated."""
    is_trained_on_simulated_data: bool = False
    """The server says so of the model."""


@dataclass(frozen=True)
class NafldAnswer(ClassAnswer):
    """The probability of fatty liver (NAFLD)."""

    is_fatty: bool = False
    """What the threshold decides."""
    is_calibrated: bool = False
    """Patients calibrated the model; else its probability is a network's own."""
    frames: tuple[tuple[str, float], ...] = ()
    """Name of each B-mode image and the probability from it alone."""

    @property
    def is_yes(self) -> bool:
        """What the threshold decides, whatever the question."""
        return self.is_fatty


@dataclass(frozen=True)
class NashAnswer(ClassAnswer):
    """The probability of fibrotic NASH."""

    is_fibrotic_nash: bool = False
    """What the threshold decides."""
    inputs_used: tuple[str, ...] = ()
    """Images and values that were there."""
    inputs_missing: tuple[str, ...] = ()
    """Images and values that were not."""
    contributions: Mapping[str, float] = field(default_factory=dict)
    """Input -> log-odds less those without it."""

    @property
    def is_yes(self) -> bool:
        """What the threshold decides, whatever the question."""
        return self.is_fibrotic_nash


@dataclass(frozen=True)
class RegionAnswer(Answer):
    """The liver's outline."""

    kind: str = ""
    """``ultrasound`` or ``mri``."""
    quality: float | None = None
    """Dice to expect with a reader's outline; None: not known."""
    n_pixels: int = 0
    """Of the outline."""
    volume_ml: float | None = None
    """In an MRI."""
    is_refined: bool = False
    """Clicks were taken into account."""
    measurement_rois: tuple[str, ...] = ()
    """Names of the discs, by label from 1."""


def read_answer(task: str, parts: Sequence[Part], units: Mapping[str, str]) -> Answer:
    """Check and read the reply to ``POST /liver/infer/{task}``.

    Args:
        task: What was asked.
        parts: Of the reply.
        units: Unit of each map from the list of tasks, for replies that do not state their own.
    Raises:
        UnusableReplyError: a value is missing, null or not finite where it may not be; a map is missing, not announced,
            unreadable, or lies elsewhere than the others.
    """
    if not parts or parts[0].name != REPLY:
        raise UnusableReplyError(
            "The reply needs its JSON first and holds none. Server and extension need the same version."
        )
    head = Fields.of(parse_json(parts[0].content, "The reply"), "The reply")
    if head.take("task", TEXT) != task:
        raise UnusableReplyError(f"The reply is to '{head.values['task']}' and not to '{task}'. Ask again.")
    result = Fields.of(head.take("result", (dict,)), "The result")
    model = Fields.of(head.take("model", (dict,)), "The model")
    announced = (
        {one.take("name", TEXT): one.take("unit", TEXT) for one in result.objects("maps")} if task == "pdff" else {}
    )
    maps = {part.name: read_nifti(part.content, part.name) for part in parts[1:]}
    kind, read, needed = {
        "pdff": (PdffAnswer, _pdff, tuple(announced)),
        "fibrotic_nash": (NashAnswer, _nash, ("grad_cam",) if result.values.get("has_grad_cam") else ()),
        "nafld": (NafldAnswer, _nafld, NAFLD_MAPS if result.values.get("has_maps") else ()),
    }.get(task, (RegionAnswer, _region, ("liver_roi",)))
    if task == "liver_roi" and result.values.get("measurement_rois"):
        needed = (*needed, "measurement_rois")
    _check_maps(maps, needed, result)
    return kind(
        task=task,
        case_id=result.take("case_id", TEXT),
        is_simulated=head.take("is_simulated", (bool,)),
        notice=head.take("notice", TEXT),
        model=f"{model.take('name', TEXT)} {model.values.get('version') or ''}".strip(),
        maps=maps,
        units={name: announced.get(name) or units.get(name) or "unit not stated" for name in maps},
        remarks=(*(result.texts("warnings") if "warnings" in result.values else ()), *_remarks(maps, needed)),
        **read(result),
    )


def _check_maps(maps: Mapping[str, Volume], needed: Sequence[str], result: Fields) -> None:
    missing = [name for name in needed if name not in maps]
    if missing:
        raise UnusableReplyError(f"The reply announces the map '{missing[0]}' and does not hold it. Ask again.")
    first = next(iter(maps), None)
    for name, volume in maps.items():
        difference = geometry_difference(volume.shape, volume.affine, maps[first].shape, maps[first].affine)
        if difference:
            raise UnusableReplyError(
                f"The maps '{name}' and '{first}' need the same geometry: {difference}. Ask again."
            )
    acquisition = result.values.get("acquisition")
    if first and isinstance(acquisition, dict) and acquisition.get("shape") != list(maps[first].shape):
        raise UnusableReplyError(
            f"The maps need the matrix of the study, {acquisition.get('shape')}; found {list(maps[first].shape)}."
        )


def _remarks(maps: Mapping[str, Volume], needed: Sequence[str]) -> list[str]:
    found = []
    for name, volume in maps.items():
        if needed and name not in needed and name not in _MASKS:
            found.append(f"The map '{name}' was not announced.")
        if volume.array.dtype.kind != "f":
            continue
        if np.isinf(volume.array).any():
            found.append(f"The map '{name}' holds infinite values; they count as not estimated.")
        if not np.isfinite(volume.array).any():
            found.append(f"The map '{name}' holds no estimate at all.")
    return found


def _pdff(result: Fields) -> dict:
    rois = result.take("rois", (list,))
    counts = {name: result.take(name, (int,)) for name in ("n_voxels", "n_valid_voxels")}
    return {"method": result.take("method", TEXT), **counts, "rois": tuple(rois)}


def _classified(result: Fields, decided: str) -> dict:
    """What the answers to a yes-no question share; ``decided`` is what the threshold decides."""
    chances = {n: result.number(n, 0, 1) for n in ("probability", "probability_low", "probability_high", "threshold")}
    if not chances["probability_low"] <= chances["probability"] <= chances["probability_high"]:
        raise UnusableReplyError(
            f"The probability {chances['probability']:g} needs to lie in its interval, {chances['probability_low']:g} "
            f"to {chances['probability_high']:g}. Update the server."
        )
    return {
        **chances,
        **{name: result.take(name, (bool,)) for name in (decided, "is_abstention")},
        "conformal_answers": tuple(result.take("conformal_answers", (list,))),
        "trained_on": result.take("trained_on", TEXT) if "trained_on" in result.values else "",
        "is_trained_on_simulated_data": result.values.get("is_trained_on_simulated_data") is True,
    }


def _nafld(result: Fields) -> dict:
    frames = tuple((one.take("name", TEXT), one.number("probability", 0, 1)) for one in result.objects("frames"))
    calibrated = {"is_calibrated": result.take("is_calibrated", (bool,))}
    return {**_classified(result, "is_fatty"), **calibrated, "frames": frames}


def _nash(result: Fields) -> dict:
    contributions = Fields.of(result.take("contributions", (dict,)), "The contributions")
    return {
        **_classified(result, "is_fibrotic_nash"),
        "inputs_used": result.texts("inputs_used"),
        "inputs_missing": result.texts("inputs_missing"),
        "contributions": {name: contributions.number(name) for name in contributions.values},
    }


def _region(result: Fields) -> dict:
    return {
        "kind": result.take("kind", TEXT),
        "quality": result.take("quality", OPTIONAL_NUMBER),
        "n_pixels": result.take("n_pixels", (int,)),
        "volume_ml": result.take("volume_ml", OPTIONAL_NUMBER),
        "is_refined": result.take("is_refined", (bool,)),
        "measurement_rois": result.texts("measurement_rois"),
    }
