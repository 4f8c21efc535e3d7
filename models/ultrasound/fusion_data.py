"""From subjects to what the networks read: images cut out and brought to size, clinical values standardised.

What can be changed at random is drawn by :func:`draw_changes` and applied by :func:`changed`, so that every change
can be made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..errors import UnsuitableInputError
from .subject import CLINICAL_FEATURES, ImagePair, UltrasoundSubject

SWE_FEATURE = "swe_median_kpa"
"""Median stiffness among the values: an independent predictor of the paper's regression."""
LOGARITHMIC = ("alt_u_per_l", "ast_u_per_l", "ast_alt_ratio", "ggt_u_per_l", "tg_mmol_per_l", SWE_FEATURE)
"""Values that scatter by factors: their logarithm is standardised."""
STIFFNESS_MIDDLE_KPA, STIFFNESS_SCALE_KPA = 5.0, 2.5
"""Stiffness that the network sees as 0, and the step that it sees as 1, kPa: a normal liver from a fibrotic one."""
STIFFNESS_LIMITS = (-2.0, 8.0)
"""What the network sees at most."""
MARGIN = 0.05
"""Of the cut-out, as a share of its size, on each side."""
GREY_MEAN, GREY_STD = 0.25, 0.25
"""Of a B-mode image scaled to [0, 1]."""
FLIP, CROP, BRIGHTNESS, CONTRAST = 0.5, (0.8, 1.0), 0.2, 0.2
"""Of the paper: chance of a flip, share of the side that is kept, and ranges of brightness and contrast."""
SATURATION, HUE_DEG = 0.1, 5.0
"""Of the paper, on colours; only its own mode changes them, since the colour is the stiffness."""


@dataclass(frozen=True)
class Box:
    """A rectangle of an image, end exclusive, pixels."""

    top: int
    left: int
    bottom: int
    right: int


@dataclass(frozen=True)
class Pairs:
    """Every image pair of some subjects; arrays have the pairs first."""

    images: dict[str, np.ndarray]
    """Kind -> shape (n_pairs, n_channels, size, size), float16."""
    present: dict[str, np.ndarray]
    """Kind -> whether the pair has it, shape (n_pairs,)."""
    subject: np.ndarray
    """Index of the subject of each pair, shape (n_pairs,)."""

    def __len__(self) -> int:
        return len(self.subject)


def prepare_pairs(subjects: Sequence[UltrasoundSubject], kinds: Sequence[str], size: int, is_paper: bool) -> Pairs:
    """Cut out and resize every image once.

    A subject without an image of these kinds has one pair in which all are absent: its clinical values are asked.

    Args:
        subjects: In order; read one by one.
        kinds: Of "b_mode" and "swe".
        size: Rows and columns of the result.
        is_paper: Elastograms as colours instead of stiffness.
    Raises:
        UnsuitableInputError: a black B-mode image, or a region that is not of its image.
    """
    rows, index = {kind: [] for kind in kinds}, []
    for k, subject in enumerate(subjects):
        found = [pair for pair in subject.pairs if any(has_image(pair, kind, is_paper) for kind in kinds)]
        for pair in found or [None]:
            index.append(k)
            for kind in kinds:
                is_there = pair is not None and has_image(pair, kind, is_paper)
                if is_there and kind == "b_mode":
                    _check_b_mode(pair, subject.case_id)
                rows[kind].append(image_of(pair, kind, size, is_paper) if is_there else None)
    images, present = {}, {}
    for kind in kinds:
        blank = np.zeros((3 if is_paper and kind == "swe" else {"b_mode": 1, "swe": 2}[kind], size, size), np.float16)
        present[kind] = np.array([row is not None for row in rows[kind]])
        images[kind] = np.stack([blank if row is None else row for row in rows[kind]])
    return Pairs(images, present, np.array(index))


def has_image(pair: ImagePair, kind: str, is_paper: bool) -> bool:
    """Whether a pair has what the networks read of a kind; an elastogram without one measurement is none."""
    if kind == "b_mode":
        return pair.b_mode is not None
    if is_paper:
        return pair.swe_rgb is not None
    return pair.stiffness_kpa is not None and bool(np.isfinite(pair.stiffness_kpa).any())


def _check_b_mode(pair: ImagePair, case_id: str) -> None:
    """Raises UnsuitableInputError: a black image, or a region that is not of this image."""
    if not pair.b_mode.any():
        raise UnsuitableInputError(
            f"The B-mode image '{pair.name}' of '{case_id}' needs tissue; it is black all over. Export it again."
        )
    if pair.roi is not None and pair.roi.shape != pair.b_mode.shape:
        raise UnsuitableInputError(
            f"The region of '{pair.name}' of '{case_id}' needs the image's shape {pair.b_mode.shape}; found "
            f"{pair.roi.shape}. Draw it again."
        )


def box_of(pair: ImagePair, kind: str) -> Box:
    """The part of an image that is read: the reader's region, else tissue, else where stiffness was measured."""
    if kind == "b_mode":
        mask = pair.roi if pair.roi is not None and pair.roi.any() else pair.b_mode > 0
    elif pair.stiffness_kpa is not None:
        mask = np.isfinite(pair.stiffness_kpa)
    else:
        mask = pair.swe_rgb.max(axis=0) > 0
    shape = mask.shape
    if not mask.any():
        return Box(0, 0, *shape)
    ends = []
    for axis in (1, 0):
        inside = np.flatnonzero(mask.any(axis=axis))
        margin = round(MARGIN * (inside[-1] + 1 - inside[0]))
        ends.append((max(inside[0] - margin, 0), min(inside[-1] + 1 + margin, shape[1 - axis])))
    (top, bottom), (left, right) = ends
    return Box(int(top), int(left), int(bottom), int(right))


def image_of(pair: ImagePair, kind: str, size: int, is_paper: bool) -> np.ndarray:
    """One image as the networks read it, shape (n_channels, size, size), float16."""
    box = box_of(pair, kind)
    cut = np.s_[..., box.top : box.bottom, box.left : box.right]
    if kind == "b_mode":
        grey = resized(pair.b_mode[cut][None] / np.float32(255), size)
        return ((grey - GREY_MEAN) / GREY_STD).astype(np.float16)
    if is_paper:
        return resized(pair.swe_rgb[cut] / np.float32(255), size).astype(np.float16)
    stiffness = pair.stiffness_kpa[cut]
    known = np.isfinite(stiffness)
    both = resized(np.stack([np.where(known, stiffness, 0), known]).astype(np.float32), size)
    # A mean over what was measured only: dropout must not read as soft tissue.
    value = (both[0] / np.maximum(both[1], 1e-6) - STIFFNESS_MIDDLE_KPA) / STIFFNESS_SCALE_KPA
    is_known = both[1] > 0.5
    return np.stack([np.where(is_known, np.clip(value, *STIFFNESS_LIMITS), 0), is_known]).astype(np.float16)


def resized(image: np.ndarray, size: int) -> np.ndarray:
    """An image of shape (n_channels, rows, columns), averaged down or interpolated up to size x size."""
    tensor = torch.from_numpy(np.ascontiguousarray(image, np.float32))[None]
    found = functional.interpolate(tensor, (size, size), mode="bilinear", align_corners=False, antialias=True)
    return found[0].numpy()


def feature_names(model: str) -> tuple[str, ...]:
    """Values that a model reads."""
    if model == "combined":
        return (*CLINICAL_FEATURES, SWE_FEATURE)
    return {"clinical": CLINICAL_FEATURES, "swe_value": (SWE_FEATURE,)}.get(model, ())


def features_of(subjects: Sequence[UltrasoundSubject], names: Sequence[str]) -> np.ndarray:
    """Values of every subject, logarithms where they scatter by factors, NaN where missing; (n_subjects, n_names)."""
    rows = []
    for subject in subjects:
        values = dict(subject.clinical)
        if SWE_FEATURE in names:
            values[SWE_FEATURE] = subject.median_stiffness_kpa()
        rows.append([np.nan if values.get(name) is None else values[name] for name in names])
    table = np.array(rows, float).reshape(len(rows), len(names))
    for k, name in enumerate(names):
        if name in LOGARITHMIC:
            table[:, k] = np.log(np.maximum(table[:, k], 1e-3))
    return table


@dataclass(frozen=True)
class Standard:
    """Median, mean and spread of training values, shape (n_names,)."""

    median: np.ndarray
    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, table: np.ndarray) -> Standard:
        """Of training subjects; a value that nobody has, or all alike, says nothing."""
        known = [column[np.isfinite(column)] for column in table.T]
        median, mean, std = (
            np.array([function(column) if column.size else fallback for column in known])
            for function, fallback in ((np.median, 0.0), (np.mean, 0.0), (np.std, 1.0))
        )
        return cls(median, mean, np.where(std > 1e-9, std, 1.0))

    def apply(self, table: np.ndarray) -> np.ndarray:
        """Standardised values and flags of missing ones, which have the median: shape (n, 2·n_names), float32."""
        missing = ~np.isfinite(table)
        filled = np.where(missing, self.median, table)
        return np.concatenate([(filled - self.mean) / self.std, missing], axis=1).astype(np.float32)


@dataclass(frozen=True)
class Changes:
    """What is done to a batch; tensors of shape (n,)."""

    flip: Tensor
    """Whether left and right change places."""
    scale: Tensor
    """Share of the side that is kept."""
    shift: Tensor
    """Where it lies, shape (n, 2), within [-1, 1] of what fits."""
    brightness: Tensor
    """Factor."""
    contrast: Tensor
    """Factor."""
    saturation: Tensor
    """Factor; colours only."""
    hue_deg: Tensor
    """Turn, degrees; colours only."""


def draw_changes(n: int, generator: torch.Generator) -> Changes:
    """Draw what is done to n pairs; both images of a pair get the same geometry."""

    def uniform(low, high, *shape):
        return low + (high - low) * torch.rand(shape or (n,), generator=generator)

    return Changes(
        flip=torch.rand(n, generator=generator) < FLIP,
        scale=uniform(*CROP),
        shift=uniform(-1, 1, n, 2),
        brightness=uniform(1 - BRIGHTNESS, 1 + BRIGHTNESS),
        contrast=uniform(1 - CONTRAST, 1 + CONTRAST),
        saturation=uniform(1 - SATURATION, 1 + SATURATION),
        hue_deg=uniform(-HUE_DEG, HUE_DEG),
    )


def changed(image: Tensor, kind: str, changes: Changes) -> Tensor:
    """Apply changes to images of one kind, shape (n, n_channels, size, size)."""
    n = len(image)
    matrix = torch.zeros(n, 2, 3)
    matrix[:, 0, 0] = torch.where(changes.flip, -changes.scale, changes.scale)
    matrix[:, 1, 1] = changes.scale
    matrix[:, :, 2] = changes.shift * (1 - changes.scale[:, None])
    grid = functional.affine_grid(matrix, list(image.shape), align_corners=False).to(image)
    out = functional.grid_sample(image, grid, align_corners=False, padding_mode="border")
    brightness, contrast = (getattr(changes, k)[:, None, None, None].to(image) for k in ("brightness", "contrast"))
    if kind == "b_mode":
        grey = (out * GREY_STD + GREY_MEAN) * brightness
        mean = grey.mean(dim=(1, 2, 3), keepdim=True)
        return (mean + contrast * (grey - mean) - GREY_MEAN) / GREY_STD
    if image.shape[1] == 3:
        out = out * brightness
        mean = out.mean(dim=(1, 2, 3), keepdim=True)
        out = mean + contrast * (out - mean)
        return _recoloured(out, changes).clamp(0, 1)
    return out


def _recoloured(rgb, changes):
    """Saturation and hue by a turn around the grey axis."""
    grey = rgb.mean(dim=1, keepdim=True)
    angle = torch.deg2rad(changes.hue_deg).to(rgb)
    a, b = torch.cos(angle), torch.sin(angle) / 3**0.5
    one_third = (1 - a) / 3
    turn = torch.stack(
        [
            torch.stack([a + one_third, one_third - b, one_third + b], -1),
            torch.stack([one_third + b, a + one_third, one_third - b], -1),
            torch.stack([one_third - b, one_third + b, a + one_third], -1),
        ],
        dim=1,
    )
    saturation = changes.saturation[:, None, None, None].to(rgb)
    return grey + saturation * (torch.einsum("nij,njxy->nixy", turn, rgb) - grey)
