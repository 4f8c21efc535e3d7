"""Images that are mixed into the real ones of a training: synthetic, or the paper's geometric baseline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from ..errors import UnsuitableInputError
from ..io.synthetic_set import read_images, read_manifest
from .frames import FrameSet, apply_crops, draw_crops, sides_of

TURN_DEG = 5.0
"""Most that a geometric image is turned."""
TURNED = 0.25
"""Share of them that are."""
_CHOICE, _GEOMETRY = 101, 102
"""What a seed is for."""


def read_synthetic(folders: Sequence[Path | str]) -> tuple[FrameSet, frozenset[str]]:
    """The images of sets of synthetic images, and everybody whose images their generators saw.

    Args:
        folders: Of :mod:`~..io.synthetic_set`.
    Raises:
        UnsuitableInputError: no folder, a set with a fault, images of two sizes, or one that is there twice.
    """
    if not folders:
        raise UnsuitableInputError("Synthetic images need a folder of a set; found none. Give one.")
    images, labels, names, seen, is_simulated, known = [], [], [], set(), False, {}
    for folder in folders:
        manifest = read_manifest(folder)
        images.append(read_images(manifest, folder))
        both = next((one for one in manifest.images if one.sha256 in known), None)
        if both is not None:
            raise UnsuitableInputError(
                f"Synthetic images need to be given once; '{both.file}' of '{Path(folder).name}' is "
                f"'{known[both.sha256]}', too. Give each set once, and draw several from different seeds."
            )
        known |= {one.sha256: f"{Path(folder).name}/{one.file}" for one in manifest.images}
        labels += [one.is_fatty for one in manifest.images]
        names += [f"{Path(folder).name}/{one.file}" for one in manifest.images]
        seen |= set(manifest.training_patients)
        is_simulated |= manifest.is_trained_on_simulated_data
    if len({found.shape[1:] for found in images}) != 1 or images[0].shape[1] != images[0].shape[2]:
        sizes = ", ".join(sorted({f"{found.shape[2]} x {found.shape[1]}" for found in images}))
        raise UnsuitableInputError(f"Synthetic images need one square size; found {sizes}. Give sets of one size.")
    images = np.concatenate(images)
    patients = ("synthetic",) * len(images)
    return FrameSet(images, np.array(labels, bool), patients, tuple(names), is_simulated), frozenset(seen)


def n_mixed(n_real: int, mixing_rate: float) -> int:
    """Images mixed into so many real ones."""
    return round(n_real * mixing_rate)


def chosen_synthetic(synthetic: FrameSet, n: int, seed: int) -> FrameSet:
    """So many of the synthetic images, drawn without replacement; more of one seed contain the fewer.

    Raises:
        UnsuitableInputError: there are fewer.
    """
    if len(synthetic) < n:
        raise UnsuitableInputError(
            f"The mixing rate needs {n} synthetic images; {len(synthetic)} are given. Draw more, or lower the rate."
        )
    return synthetic.subset(np.random.default_rng([seed, _CHOICE]).permutation(len(synthetic))[:n])


def geometric_frames(frames: FrameSet, n: int, seed: int, size: str = "small") -> FrameSet:
    """Random resized crops of real frames, a quarter of them turned by up to 5 degrees.

    Args:
        frames: Real, of the prepared side.
        n: How many; every frame is used once before one is used again.
        seed: The same seed gives the same bytes.
        size: Of :data:`~.frames.FRAME_SIZES`.
    Returns:
        Images of the side that networks see, with the answers and patients of their sources.
    Source: Hardy R et al., Sci Rep 2023, 10.1038/s41598-023-48062-z (NAFLD classification).
    """
    rng = np.random.default_rng([seed, _GEOMETRY])
    rounds = [rng.permutation(len(frames)) for _ in range(-(-n // len(frames)))]
    source = frames.subset(np.concatenate([*rounds, np.empty(0, np.intp)])[:n])
    angles = np.where(rng.random(n) < TURNED, rng.uniform(-TURN_DEG, TURN_DEG, n), 0.0)
    images = apply_crops(turned(source.images, angles), draw_crops(n, rng), sides_of(size)[1])
    names = tuple(f"{name}/geometric-{k}" for k, name in enumerate(source.names))
    return FrameSet(images, source.is_fatty, source.patient_ids, names, source.is_simulated)


def turned(images: np.ndarray, angles_deg: np.ndarray) -> np.ndarray:
    """Images turned about their centre; what comes from outside is black.

    Args:
        images: Shape (n, side, side), uint8.
        angles_deg: Shape (n,); those at 0 stay as they are.
    """
    result = images.copy()
    moved = np.flatnonzero(angles_deg)
    if moved.size:
        angle = torch.from_numpy(np.deg2rad(angles_deg[moved]).astype(np.float32))
        cos, sin, none = torch.cos(angle), torch.sin(angle), torch.zeros(moved.size)
        matrix = torch.stack([torch.stack([cos, -sin, none], 1), torch.stack([sin, cos, none], 1)], 1)
        pixels = torch.from_numpy(images[moved]).float()[:, None]
        grid = functional.affine_grid(matrix, list(pixels.shape), align_corners=False)
        found = functional.grid_sample(pixels, grid, align_corners=False)
        result[moved] = found[:, 0].round().clamp(0, 255).to(torch.uint8).numpy()
    return result
