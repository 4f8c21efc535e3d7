"""Where in a training frame is an image from? Any cut that generators may see, and mirror images.

1. Coarse: the image, in cells of the size of the frame's, is laid on each place of each frame, for each of some heights
   and widths; the place of largest correlation is kept.
2. Fine: from there, place and size move until the correlation of finer cells is largest, along one axis after the
   other by the parabola through three values.

What is compared is grey levels less their local mean, so that gain and shading count for nothing, of the image's inner
part, so that an image that was moved over its frame's edge is found, too.

Source: alignment by the largest correlation coefficient: Evangelidis GD, Psarakis EZ, IEEE Trans Pattern Anal Mach
Intell 2008, 10.1109/TPAMI.2008.113; the parabola and the two stages are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..ultrasound.frames import CROP_AREA, CROP_ASPECT

COARSE_SIDE = 24
"""Cells a side of a frame in the coarse search; 16 lose one cut in forty, 20 a frame that was moved aside."""
SIZE_STEP = 0.08
"""Between two heights, or widths, of the coarse search."""
FINE_SIDE = 48
"""Cells a side of an image in the fine search; finer ones are averaged away."""
FRAME_SIDE = 56
"""Pixels a side of the frames that the fine search reads from."""
N_ROUNDS = 2
"""Of the fine search; each halves its steps."""


@dataclass(frozen=True)
class Place:
    """Where in frames images may be from."""

    smallest_side: float = (CROP_AREA[0] * CROP_ASPECT[0]) ** 0.5
    """Of a cut, as a share of the frame's side."""
    max_shift: float = 1 / 16
    """Over the frame's edge, as a share of the image's side."""
    finds_mirrored: bool = True
    """Also look for mirror images."""


class FrameSearch:
    """Frames in which images are looked for.

    Args:
        frames: Shape (n_frames, side, side), uint8.
        place: Where images may be from.
    """

    def __init__(self, frames: np.ndarray, place: Place):
        self.place, self.n_frames = place, len(frames)
        self._coarse = _detail(_cells(frames, (COARSE_SIDE, COARSE_SIDE)), COARSE_SIDE)
        self._fine = _cells(frames, (FRAME_SIDE, FRAME_SIDE))

    def coarse(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The largest correlation with each frame, and where: place and size.

        Args:
            images: Shape (n, side, side), uint8.
        Returns:
            Correlations, shape (n, n_frames), and poses, shape (n, n_frames, 5): row and column of the cut's centre,
            height and width, as shares of the frame's side, and 1 for a mirror image.
        """
        best = torch.full((len(images), self.n_frames), -1.0)
        kept, table, n_poses = torch.zeros(best.shape, dtype=torch.int64), [], 0
        for rows, columns in self._sizes():
            x = _inner(_detail(_cells(images, (rows, columns)), COARSE_SIDE), self.place.max_shift)
            shape = x.shape[1:]
            places = functional.unfold(self._coarse[:, None], shape).transpose(1, 2)
            n_places = places.shape[1]
            places = _unit(places).flatten(0, 1)
            found = np.indices([COARSE_SIDE - n + 1 for n in shape]).reshape(2, -1).T + np.array(shape) / 2
            for is_mirrored in (False, True) if self.place.finds_mirrored else (False,):
                sought = _unit((x.flip(-1) if is_mirrored else x).flatten(1))
                value, at = (sought @ places.T).view(len(images), self.n_frames, n_places).max(dim=-1)
                is_better = value > best
                best = torch.where(is_better, value, best)
                kept = torch.where(is_better, at + n_poses, kept)
                table.append(_poses(found / COARSE_SIDE, rows / COARSE_SIDE, columns / COARSE_SIDE, is_mirrored))
                n_poses += n_places
        return best.double().numpy(), np.concatenate(table)[kept.numpy()]

    def fine(self, images: np.ndarray, chosen: np.ndarray, poses: np.ndarray) -> np.ndarray:
        """The largest correlation with some frames, near where the coarse search found it.

        Args:
            images: Shape (n, side, side), uint8.
            chosen: Indices of the frames of each image, shape (n, k).
            poses: Of the coarse search, shape (n, k, 5).
        Returns:
            Correlations, shape (n, k).
        """
        detail = _detail(_cells(images, (FINE_SIDE, FINE_SIDE)), FINE_SIDE)
        detail = torch.stack([detail, detail.flip(-1)])
        sought = _unit(_inner(detail, self.place.max_shift).flatten(2))
        pose = torch.from_numpy(poses.reshape(-1, 5).astype(np.float32))
        sought = sought[pose[:, 4].long(), torch.arange(len(images)).repeat_interleave(chosen.shape[1])]
        frames, pose = self._fine[torch.from_numpy(chosen.ravel())], pose[:, :4]
        best = self._correlations(frames, sought, pose)
        step = torch.tensor([0.5 / COARSE_SIDE, 0.5 / COARSE_SIDE, SIZE_STEP / 2, SIZE_STEP / 2])
        for _ in range(N_ROUNDS):
            move = torch.zeros_like(pose)
            for axis in range(4):
                low, high = (
                    self._correlations(frames, sought, _moved(pose, sign * step * (torch.arange(4) == axis)))
                    for sign in (-1, 1)
                )
                bend = (2 * best - low - high).clamp_min(1e-6)
                move[:, axis] = step[axis] * ((high - low) / (2 * bend)).clamp(-1, 1)
            moved = _moved(pose, move)
            value = self._correlations(frames, sought, moved)
            pose = torch.where((value > best)[:, None], moved, pose)
            best, step = torch.maximum(best, value), step / 2
        return best.double().view(chosen.shape).numpy()

    def _sizes(self) -> list[tuple[int, int]]:
        """Heights and widths of the coarse search, in its cells."""
        step = np.log(1 + SIZE_STEP)
        steps = range(round(-np.log(self.place.smallest_side) / step) + 1)
        sizes = [round(COARSE_SIDE * np.exp(-k * step)) for k in steps]
        apart = np.log(max(CROP_ASPECT)) / step + 0.5
        return [(sizes[a], sizes[b]) for a in steps for b in steps if abs(a - b) <= apart]

    def _correlations(self, frames: Tensor, sought: Tensor, pose: Tensor) -> Tensor:
        """Of what frames hold at poses, shape (n, 4), with what is sought there, shape (n, cells)."""
        line = (torch.arange(FINE_SIDE) + 0.5) / FINE_SIDE - 0.5
        rows, columns = (2 * (pose[:, axis, None] + pose[:, axis + 2, None] * line) - 1 for axis in (0, 1))
        grid = torch.stack(torch.broadcast_tensors(columns[:, None, :], rows[:, :, None]), dim=-1)
        held = functional.grid_sample(frames, grid, align_corners=False, padding_mode="border")
        return (_unit(_inner(_detail(held, FINE_SIDE), self.place.max_shift).flatten(1)) * sought).sum(dim=1)


def _poses(centres: np.ndarray, height: float, width: float, is_mirrored: bool) -> np.ndarray:
    rest = np.broadcast_to([height, width, float(is_mirrored)], (len(centres), 3))
    return np.concatenate([centres, rest], axis=1)


def _moved(pose: Tensor, move: Tensor) -> Tensor:
    move = move.expand_as(pose)
    return torch.cat([pose[:, :2] + move[:, :2], pose[:, 2:] * move[:, 2:].exp()], dim=1)


def _cells(images: np.ndarray, shape: tuple[int, int]) -> Tensor:
    x = torch.from_numpy(np.array(images, np.float32))[:, None]
    return functional.interpolate(x, size=shape, mode="bilinear", antialias=True, align_corners=False)


def _detail(x: Tensor, n_cells: int) -> Tensor:
    """Grey levels of cells, shape (n, 1, rows, columns), less their mean over a fifth of ``n_cells`` around."""
    reach = n_cells // 10
    side = 2 * reach + 1
    mean = functional.pad(x, [reach] * 4, mode="replicate")
    for window in ((side, 1), (1, side)):
        mean = functional.avg_pool2d(mean, window, 1)
    return (x - mean)[:, 0]


def _inner(x: Tensor, margin: float) -> Tensor:
    rows, columns = (round(n * margin) for n in x.shape[-2:])
    return x[..., rows : x.shape[-2] - rows, columns : x.shape[-1] - columns]


def _unit(x: Tensor) -> Tensor:
    x = x - x.mean(dim=-1, keepdim=True)
    return x / x.norm(dim=-1, keepdim=True).clamp_min(1e-3)
