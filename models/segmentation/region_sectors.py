"""Simulated abdominal frames of a curved probe, drawn widely rather than truly: what outlines are learnt from first.

A frame is made on rays: echo strength in decibels by what lies there, speckle, shadows, then scan conversion. Each of
the many draws of one frame comes from its own seed. The ranges were chosen by eye to be wider than a scanner's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .region_image import RegionExample

N_DEPTHS, N_ANGLES = 192, 144
"""Samples along a ray, and rays."""
SHARE_WITHOUT_LIVER = 0.12
"""Of the frames."""
MIN_SHARE = 0.02
"""Of the frame; a smaller liver counts as none."""
SHADOW_DB = -15.0
"""Readers do not outline what lies in a darker shadow at the side."""


@dataclass(frozen=True)
class Rays:
    """Where the samples of a frame lie; lengths are shares of the depth, 0 at the skin and 1 at the far end."""

    apex: float
    """How far behind the skin the rays meet."""
    half_angle: float
    """Between the middle and the last ray, radians."""
    depth: np.ndarray
    """Below the skin, shape (N_DEPTHS, 1)."""
    side: np.ndarray
    """-1 to 1 over the rays, shape (1, N_ANGLES)."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Rays:
        """A probe and its depth."""
        depth, side = np.linspace(0, 1, N_DEPTHS)[:, None], np.linspace(-1, 1, N_ANGLES)[None]
        return cls(rng.uniform(0.15, 0.6), np.deg2rad(rng.uniform(22, 45)), depth, side)

    @property
    def x(self) -> np.ndarray:
        """Across, 0 in the middle, shape (N_DEPTHS, N_ANGLES)."""
        return (self.depth + self.apex) * np.sin(self.side * self.half_angle)

    @property
    def y(self) -> np.ndarray:
        """Downwards from the skin in the middle, same shape."""
        return (self.depth + self.apex) * np.cos(self.side * self.half_angle) - self.apex

    def scan_converted(self, values: np.ndarray, rows: int, order: int) -> np.ndarray:
        """On pixels, shape (rows, columns); 0 outside the sector."""
        top = self.apex * np.cos(self.half_angle) - self.apex
        step = (1 - top) / rows
        half = int(np.ceil((1 + self.apex) * np.sin(self.half_angle) / step))
        x = (np.arange(2 * half) - half + 0.5)[None] * step
        y = top + (np.arange(rows)[:, None] + 0.5) * step + self.apex
        depth, side = np.hypot(x, y) - self.apex, np.arctan2(x, y) / self.half_angle
        places = [depth * (N_DEPTHS - 1), (side + 1) / 2 * (N_ANGLES - 1)]
        inside = (depth >= 0) & (depth <= 1) & (abs(side) <= 1)
        found = ndimage.map_coordinates(values.astype(np.float32), places, order=order, mode="nearest")
        return np.where(inside, found, 0)


def simulated_sectors(n_subjects: int, seed: int, rows: int = 144) -> Iterator[RegionExample]:
    """One frame of each of so many simulated subjects; the region is the liver with its vessels, if it shows."""
    for subject in range(n_subjects):
        image, region = simulate_sector(np.random.default_rng([seed, subject]), rows)
        name = f"simulated-sector-{seed}-{subject}"
        yield RegionExample(name, name, "ultrasound", image, region, True)


def simulate_sector(rng: np.random.Generator, rows: int = 144) -> tuple[np.ndarray, np.ndarray]:
    """A frame, uint8 with 0 outside the sector, and its region, bool; both of shape (rows, columns)."""
    rays = Rays.draw(rng)
    strength, liver = _tissues(rays, rng)
    shadow, side_shadow = _shadows(rays, rng)
    region = liver & (side_shadow > SHADOW_DB)
    loss = rng.uniform(-6, 16) * rays.depth ** rng.uniform(0.7, 1.5)
    decibels = strength + shadow + side_shadow - loss + _speckle_db(rng)
    span = rng.uniform(42, 68)
    grey = np.clip((decibels - decibels.max() + span + rng.uniform(0, 12)) / span, 0, 1)
    grey = 1 + 254 * np.clip(grey, 0, 1) ** rng.uniform(0.8, 1.5)
    image = np.round(rays.scan_converted(grey, rows, 1)).astype(np.uint8)
    region = rays.scan_converted(region, rows, 1) > 0.5
    if region.mean() < MIN_SHARE:
        region[:] = False
    return image, region & (image > 0)


def _tissues(rays: Rays, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Echo strength, dB, and where the liver is."""
    wall = rng.uniform(0.06, 0.28) + rng.uniform(-0.06, 0.06) * rays.side + 0.02 * _smooth_line(rng, N_ANGLES)
    floor = rng.uniform(0.45, 1.15) + rng.uniform(-0.4, 0.4) * rays.side + rng.uniform(-0.3, 0.2) * rays.side**2
    floor = floor + 0.05 * _smooth_line(rng, N_ANGLES)
    left, right = (_side_limit(rays, rng) for _ in range(2))
    liver = (rays.depth > wall) & (rays.depth < floor) & (rays.side > -left) & (rays.side < right)
    liver = ndimage.gaussian_filter(liver.astype(float), rng.uniform(1, 5)) > 0.5
    if rng.random() < SHARE_WITHOUT_LIVER:
        liver[:] = False
    level = rng.uniform(-4, 4)
    rough = rng.uniform(1.5, 5) * _smooth(rng, (10, 6)) + rng.uniform(1.5, 5) * _smooth(rng, (3, 3))
    strength = level + rng.uniform(-12, 10) + rough
    is_wall = rays.depth <= wall
    layers = np.sin(rays.depth * rng.uniform(60, 160) + 1.5 * _smooth(rng, (6, 20)))
    strength = np.where(is_wall, level + rng.uniform(0, 10) + rng.uniform(1, 6) * layers, strength)
    strength = np.where(liver, level + rng.uniform(0.3, 1.6) * _smooth(rng, (8, 8)), strength)
    if rng.random() < 0.5:  # The diaphragm, and what is behind it.
        thick = rng.uniform(0.008, 0.02)
        line = np.exp(-(((rays.depth - floor) / thick) ** 2)) * ~is_wall
        strength = strength + rng.uniform(8, 20) * line * (0.6 + 0.4 * _smooth_line(rng, N_ANGLES))
        strength = strength - rng.uniform(0, 14) * (rays.depth > floor + thick)
    capsule = np.exp(-(((rays.depth - wall) / 0.01) ** 2))
    strength = strength + rng.uniform(0, 8) * capsule
    for _ in range(rng.integers(0, 7)):
        tube, coat = _tube(rays, rng)
        strength = np.where(tube & liver, level - rng.uniform(10, 22), strength)
        strength = strength + rng.choice([0.0, 6.0]) * (coat & liver)
    for chance, draw in ((0.4, _gallbladder), (0.4, _kidney), (0.3, _gas)):
        if rng.random() < chance:
            strength, liver = draw(rays, rng, strength, liver, level)
    return strength, liver


def _side_limit(rays: Rays, rng: np.random.Generator) -> np.ndarray | float:
    """Up to which ray the liver reaches on one side, shape (N_DEPTHS, 1)."""
    if rng.random() < 0.6:
        return 2.0
    line = 0.06 * _smooth_line(rng, N_DEPTHS).T
    return rng.uniform(0, 0.95) + rng.uniform(-0.9, 0.9) * (rays.depth - 0.5) + line


def _ellipse(rays: Rays, centre: tuple[float, float], axes: tuple[float, float], angle: float) -> np.ndarray:
    """Squared distance from the centre in half axes; 1 at the edge."""
    x, y = rays.x - centre[0], rays.y - centre[1]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return (along / axes[0]) ** 2 + (across / axes[1]) ** 2


def _gallbladder(rays, rng, strength, liver, level):
    """A dark bag with a bright wall in or at the liver; it is not liver."""
    at = _place(rng, liver)
    axes = (rng.uniform(0.05, 0.13), rng.uniform(0.025, 0.06))
    shape = _ellipse(rays, (rays.x[at], rays.y[at]), axes, rng.uniform(-1.2, 1.2))
    strength = np.where(shape < 1.5, level + rng.uniform(2, 8), strength)
    strength = np.where(shape < 1, level - rng.uniform(16, 28), strength)
    behind = (np.cumsum(shape < 1, axis=0) > 3) & (shape >= 1.5)
    return strength + rng.uniform(0, 5) * behind, liver & (shape >= 1.3)


def _kidney(rays, rng, strength, liver, level):
    """A dark rim around a bright middle, at the liver's edge or beside it; it is not liver."""
    at = _place(rng, ndimage.binary_dilation(liver, iterations=12) & ~ndimage.binary_erosion(liver, iterations=12))
    axes = (rng.uniform(0.12, 0.24), rng.uniform(0.08, 0.14))
    shape = _ellipse(rays, (rays.x[at], rays.y[at]), axes, rng.uniform(-0.7, 0.7)) * (1 + 0.1 * _smooth(rng, (8, 8)))
    strength = np.where(shape < 1.15, level + 5, strength)
    strength = np.where(shape < 1, level - rng.uniform(2, 9), strength)
    strength = np.where(shape < rng.uniform(0.15, 0.4), level + rng.uniform(2, 10), strength)
    return strength, liver & (shape >= 1.15)


def _gas(rays, rng, strength, liver, level):
    """A bright front with nothing visible behind; it is not liver."""
    at = _place(rng, ~liver & (rays.depth > 0.15) & (rays.depth < 0.9))
    shape = _ellipse(rays, (rays.x[at], rays.y[at]), (rng.uniform(0.04, 0.14), rng.uniform(0.02, 0.06)), 0.0)
    inside = (shape < 1) & ~liver
    behind = (np.cumsum(inside, axis=0) > 2) & ~inside
    strength = np.where(inside, level + rng.uniform(8, 20), strength)
    return strength - rng.uniform(5, 25) * behind, liver & ~behind


def _place(rng: np.random.Generator, where: np.ndarray) -> tuple[int, int]:
    """A sample among those, or anywhere when there is none."""
    found = np.argwhere(where)
    return tuple(found[rng.integers(len(found))]) if len(found) else (N_DEPTHS // 2, N_ANGLES // 2)


def _tube(rays: Rays, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A bent vessel and the wall around it."""
    angle, bend = rng.uniform(0, np.pi), rng.uniform(-2, 2)
    x, y = rays.x - rng.uniform(-0.4, 0.4), rays.y - rng.uniform(0.2, 0.95)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    off = np.abs(across + bend * along**2)
    width, length = rng.uniform(0.006, 0.022), rng.uniform(0.03, 0.35)
    near = np.abs(along) < length
    return (off < width) & near, (off >= width) & (off < width + 0.012) & near


def _shadows(rays: Rays, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Of ribs, and of a probe that lifts off at its sides, dB, both not above 0."""
    ribs, sides = np.zeros((1, N_ANGLES)), np.zeros((1, N_ANGLES))
    for _ in range(rng.integers(0, 3)):
        ribs = ribs - rng.uniform(2, 12) * np.exp(-(((rays.side - rng.uniform(-1, 1)) / rng.uniform(0.03, 0.15)) ** 2))
    for sign in (-1, 1):
        if rng.random() < 0.35:
            start, soft = rng.uniform(0.3, 0.95), rng.uniform(0.03, 0.12)
            sides = sides - rng.uniform(15, 45) / (1 + np.exp(-(sign * rays.side - start) / soft))
    onset = np.clip(rays.depth / rng.uniform(0.05, 0.3), 0, 1)
    return ribs * onset, sides * onset


def _speckle_db(rng: np.random.Generator) -> np.ndarray:
    """Fully developed speckle; Rayleigh amplitude, dB."""
    wide = (rng.uniform(0.6, 1.6), rng.uniform(0.8, 2.4))
    real, imaginary = (ndimage.gaussian_filter(rng.normal(size=(N_DEPTHS, N_ANGLES)), wide) for _ in range(2))
    amplitude = np.hypot(real, imaginary)
    decibels = 20 * np.log10(amplitude / amplitude.mean() + 1e-3)
    return ndimage.gaussian_filter(np.maximum(decibels, -25), rng.uniform(0.3, 1.2)) * rng.uniform(0.4, 1.0)


def _smooth(rng: np.random.Generator, widths: tuple[float, float]) -> np.ndarray:
    """Smooth noise of standard deviation 1, shape (N_DEPTHS, N_ANGLES)."""
    noise = ndimage.gaussian_filter(rng.normal(size=(N_DEPTHS, N_ANGLES)), widths, mode="nearest")
    return noise / noise.std()


def _smooth_line(rng: np.random.Generator, n: int) -> np.ndarray:
    """Smooth noise along one axis, shape (1, n)."""
    noise = ndimage.gaussian_filter1d(rng.normal(size=n), n / 12, mode="nearest")
    return (noise / noise.std())[None]
