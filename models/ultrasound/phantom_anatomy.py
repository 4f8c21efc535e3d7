"""Where the organs of a simulated abdomen lie, in the beams of a curved probe and in the picture of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

PROBE_RADIUS_MM = 15.0
"""Of the curved face of the probe."""
HALF_ANGLE_DEG = 30.0
"""Of the sector."""
DEPTH_MM = 45.0
"""Along a beam, from the probe's face."""
N_DEPTHS = 288
"""Samples along a beam."""
N_BEAMS = 176
"""Beams over the sector."""
FIELD_OF_VIEW_MM = 62.0
"""Side of the square picture: the sector, and black around it."""
TOP_MM = 3.0
"""Black above the probe's face."""

OUTSIDE, WALL, LIVER, VESSEL, PORTAL_WALL, KIDNEY, SINUS, DIAPHRAGM, BEYOND = range(9)
ORGANS = ("outside", "wall", "liver", "vessel", "portal_wall", "kidney", "renal_sinus", "diaphragm", "beyond")
"""Names of the numbers in an organ map."""


@dataclass(frozen=True)
class Ellipse:
    """A round organ in the plane of the picture."""

    x_mm: float
    """Centre, to the right of the middle beam."""
    y_mm: float
    """Centre, below the probe's face."""
    long_mm: float
    """Half of the long axis."""
    short_mm: float
    """Half of the short axis."""
    angle_rad: float
    """From x to the long axis, downwards."""

    def radius(self, x_mm: np.ndarray, y_mm: np.ndarray) -> np.ndarray:
        """0 at the centre, 1 on the edge; shape of the coordinates."""
        x, y = x_mm - self.x_mm, y_mm - self.y_mm
        cos, sin = np.cos(self.angle_rad), np.sin(self.angle_rad)
        return np.hypot((x * cos + y * sin) / self.long_mm, (y * cos - x * sin) / self.short_mm)


@dataclass(frozen=True)
class Anatomy:
    """The organs one frame cuts."""

    wall_mm: float
    """Thickness of skin, fat and muscle above the liver."""
    kidney: Ellipse
    """Right kidney."""
    diaphragm: Ellipse
    """A large ellipse; the liver ends at its lower edge."""
    vessels: tuple[Ellipse, ...]
    """Hepatic and portal veins."""
    is_portal: tuple[bool, ...]
    """Whether a vessel has a bright wall."""


def draw_anatomy(patient: np.random.Generator, frame: np.random.Generator) -> Anatomy:
    """Organs of one patient, and how a frame differs: the probe moves by about a millimetre, vessels come and go.

    Args:
        patient: The same for every frame of a patient.
        frame: Of this frame.
    """
    wall = patient.uniform(3.0, 5.0)
    kidney_at = patient.uniform((11.0, 24.0), (15.0, 28.0)) + frame.normal(0, 1.0, 2)
    kidney = Ellipse(*kidney_at, patient.uniform(9.0, 10.5), patient.uniform(5.2, 6.2), patient.uniform(0.3, 0.7))
    bottom = patient.uniform(36.0, 40.0) + frame.normal(0, 0.7)
    diaphragm = Ellipse(patient.uniform(-8.0, -3.0), bottom - 60.0, 75.0, 60.0, patient.uniform(-0.1, 0.1))
    vessels, is_portal = [], []
    for _ in range(frame.integers(4, 8)):
        x, y = frame.uniform((-20.0, wall + 4.0), (6.0, 32.0))
        long, short = frame.uniform(1.5, 5.0), frame.uniform(0.5, 1.2)
        vessels.append(Ellipse(x, y, long, short, frame.uniform(-np.pi / 2, np.pi / 2)))
        is_portal.append(bool(frame.random() < 0.5))
    return Anatomy(wall, kidney, diaphragm, tuple(vessels), tuple(is_portal))


@lru_cache(maxsize=1)
def beam_coordinates() -> tuple[np.ndarray, np.ndarray]:
    """x and y of every sample, each shape (N_DEPTHS, N_BEAMS), mm; y = 0 where the middle beam leaves the probe."""
    radius = PROBE_RADIUS_MM + depths_mm()[:, None]
    angle = np.deg2rad(np.linspace(-HALF_ANGLE_DEG, HALF_ANGLE_DEG, N_BEAMS))
    return radius * np.sin(angle), radius * np.cos(angle) - PROBE_RADIUS_MM


def depths_mm() -> np.ndarray:
    """Depth of the samples of a beam below the probe's face, shape (N_DEPTHS,), mm."""
    return np.arange(N_DEPTHS) * (DEPTH_MM / (N_DEPTHS - 1))


def beam_distances_mm() -> np.ndarray:
    """Distance between neighbouring beams at each depth, shape (N_DEPTHS,), mm."""
    return (PROBE_RADIUS_MM + depths_mm()) * np.deg2rad(2 * HALF_ANGLE_DEG) / (N_BEAMS - 1)


def organ_map(anatomy: Anatomy) -> np.ndarray:
    """Organ of every sample, shape (N_DEPTHS, N_BEAMS), uint8; numbers as in :data:`ORGANS`, none is outside."""
    x, y = beam_coordinates()
    organs = np.full(x.shape, LIVER, dtype=np.uint8)
    for vessel, is_portal in zip(anatomy.vessels, anatomy.is_portal, strict=True):
        radius = vessel.radius(x, y)
        if is_portal:
            organs[(radius - 1) * vessel.short_mm < 0.5] = PORTAL_WALL
        organs[radius < 1] = VESSEL
    radius = anatomy.kidney.radius(x, y)
    organs[radius < 1] = KIDNEY
    organs[radius < 0.45] = SINUS
    past_mm = (anatomy.diaphragm.radius(x, y) - 1) * anatomy.diaphragm.short_mm
    organs[(past_mm > 0) & (organs != KIDNEY) & (organs != SINUS)] = BEYOND
    organs[(past_mm > 0) & (past_mm < 0.9) & (organs == BEYOND)] = DIAPHRAGM
    organs[np.broadcast_to(depths_mm()[:, None], x.shape) < anatomy.wall_mm] = WALL
    return organs


@lru_cache(maxsize=4)
def picture_coordinates(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the pixels of a picture lie among the samples.

    Args:
        size: Rows, and columns.
    Returns:
        Fractional indices of depth and beam, shape (2, size, size); and which pixels are in the sector, shape
        (size, size), bool.
    """
    pixel = FIELD_OF_VIEW_MM / size
    x = (np.arange(size) - (size - 1) / 2) * pixel
    top = PROBE_RADIUS_MM * np.cos(np.deg2rad(HALF_ANGLE_DEG)) - TOP_MM
    y = (np.arange(size) + 0.5) * pixel + top
    radius, angle = np.hypot(x[None], y[:, None]), np.arctan2(x[None], y[:, None])
    depth = (radius - PROBE_RADIUS_MM) / DEPTH_MM
    across = (np.rad2deg(angle) / HALF_ANGLE_DEG + 1) / 2
    inside = (depth >= 0) & (depth <= 1) & (across >= 0) & (across <= 1)
    return np.stack([depth * (N_DEPTHS - 1), across * (N_BEAMS - 1)]), inside


def organ_picture(organs: np.ndarray, size: int) -> np.ndarray:
    """An organ map as the picture shows it, shape (size, size), uint8, 0 outside the sector."""
    indices, inside = picture_coordinates(size)
    nearest = np.where(inside, np.round(indices), 0).astype(int)
    return np.where(inside, organs[nearest[0], nearest[1]], OUTSIDE).astype(np.uint8)
