"""A simulated abdomen: drawing one patient's anatomy is one function, laying it out another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .phantom_tissue import AIR_PPM, FAT_PPM, WATER_PPM, Layout, Region, Tissue

IRON_PPM_S = 0.011
"""Susceptibility that 1/s of R2* (1.5 T) from iron brings, ppm·s: 0.0254 mg/g dry a 1/s (Wood et al., Blood 2005,
10.1182/blood-2004-10-3982), a wet-to-dry ratio of 3.5 and 1.6 ppm per mg of ferritin iron in a millilitre."""

(AIR, SUBCUTANEOUS, VISCERAL, MUSCLE, LIVER, BLOOD, SPLEEN, MARROW, BONE, FLUID, LUNG, CONTENTS, GAS, KIDNEY, HEART) = (
    range(15)
)


@dataclass(frozen=True)
class LiverAnatomy:
    """Everything random about one simulated patient; the same values give the same abdomen. Lengths in mm."""

    liver_fat_fraction: float
    """0 to 1."""
    liver_r2_star_per_s: float
    """At 1.5 T, 1/s."""
    body_half_width: float
    """Half the width."""
    body_half_depth: float
    """Half the front-to-back depth."""
    outline_waves: tuple[tuple[float, float], ...]
    """Amplitude and phase of the outline's second, third … harmonic."""
    fat_thickness: float
    """Mean thickness of subcutaneous fat."""
    fat_waves: tuple[tuple[float, float], ...]
    """Relative amplitude and phase of the thickness's first, second … harmonic."""
    dome_height: float
    """Distance of the middle slice below the top of the right diaphragm."""
    right_lobe: tuple[float, float, float, float, float]
    """Centre x, y; half-axes x, y; tilt in radians."""
    left_lobe: tuple[float, float, float, float, float]
    """The same of the left lobe."""
    vessels: tuple[tuple[float, float, float, float, float, float, float], ...]
    """Start x, y, z, end x, y, z, radius at the start."""
    spleen: tuple[float, float, float, float, float]
    """Centre x, y; half-axes x, y; tilt in radians."""
    stomach: tuple[float, float, float, float]
    """Centre x, y; half-axes x, y."""
    stomach_air_level: float
    """Height of the air-fluid level as a part of the stomach's half-depth, -1 (front) to 1."""
    bowel_gas: tuple[tuple[float, float, float, float], ...]
    """Centre x, y, z and radius of gas bubbles."""
    spine_y: float
    """How far behind the centre the vertebra lies."""
    residual_ppm: tuple[float, float, float]
    """Offset and slopes the shim leaves, ppm over half the field of view."""


def draw_liver_anatomy(
    rng: np.random.Generator,
    *,
    dome: bool = False,
    liver_fat_fraction: float | None = None,
    liver_r2_star_per_s: float | None = None,
) -> LiverAnatomy:
    """Draw one simulated patient.

    Args:
        rng: Where the randomness comes from; the same number of draws is made whatever the other arguments.
        dome: Put the middle slice through the liver's dome, between the lung bases.
        liver_fat_fraction: 0 to 1 instead of a drawn one (half the livers below 8 %, up to 40 %).
        liver_r2_star_per_s: At 1.5 T, 1/s, instead of a drawn one (25 to 60).
    """

    def around(middle, spread):
        return float(middle + spread * rng.uniform(-1, 1))

    drawn_fat = float(rng.uniform(0, 0.08) if rng.uniform() < 0.5 else rng.uniform(0.08, 0.40))
    drawn_rate = float(rng.uniform(25, 60))
    width, depth = around(163, 13), around(116, 11)
    fat = float(rng.uniform(9, 26))
    inner_x, inner_y = width - fat - 12, depth - fat - 12
    vessels = []
    hub = (-10.0, 30.0)
    for angle in np.linspace(2.35, 4.1, 5) + rng.uniform(-0.15, 0.15, 5):
        z = rng.uniform(-14, 14)
        reach = rng.uniform(75, 110)
        end = (hub[0] + reach * np.cos(angle), hub[1] + reach * np.sin(angle), z + rng.uniform(-22, 22))
        start = (hub[0] + 14 * np.cos(angle), hub[1] + 14 * np.sin(angle), z)
        vessels.append((*start, *end, rng.uniform(3.0, 5.5)))
        for side in (-1, 1):
            part = rng.uniform(0.35, 0.7)
            fork = tuple(s + part * (e - s) for s, e in zip(start, end, strict=True))
            twig = angle + side * rng.uniform(0.4, 0.9)
            length = rng.uniform(25, 50)
            tip = (fork[0] + length * np.cos(twig), fork[1] + length * np.sin(twig), fork[2] + rng.uniform(-18, 18))
            vessels.append((*fork, *tip, rng.uniform(1.8, 3.2)))
    colon = tuple(
        (around(x, 10), around(y, 8), around(z, 18), float(rng.uniform(8, 16)))
        for x, y, z in ((0.68 * inner_x, -0.25 * inner_y, -25), (0.3 * inner_x, -0.75 * inner_y, -35))
    )
    return LiverAnatomy(
        liver_fat_fraction=drawn_fat if liver_fat_fraction is None else liver_fat_fraction,
        liver_r2_star_per_s=drawn_rate if liver_r2_star_per_s is None else liver_r2_star_per_s,
        body_half_width=width,
        body_half_depth=depth,
        outline_waves=tuple((float(rng.normal(0, 2.5 / n)), float(rng.uniform(0, 2 * np.pi))) for n in range(2, 7)),
        fat_thickness=fat,
        fat_waves=tuple((float(rng.uniform(0, 0.3 / n)), float(rng.uniform(0, 2 * np.pi))) for n in range(1, 5)),
        dome_height=around(30, 7) if dome else around(88, 12),
        right_lobe=(
            around(-0.45 * inner_x, 5),
            around(2, 5),
            0.56 * inner_x,
            around(0.86 * inner_y, 4),
            around(0.1, 0.15),
        ),
        left_lobe=(
            around(0.02 * inner_x, 8),
            around(-0.5 * inner_y, 5),
            around(0.44 * inner_x, 6),
            0.36 * inner_y,
            around(-0.1, 0.15),
        ),
        vessels=tuple(tuple(float(v) for v in vessel) for vessel in vessels),
        spleen=(around(0.78 * inner_x, 4), around(0.3 * inner_y, 6), around(24, 4), around(46, 8), around(-0.25, 0.15)),
        stomach=(around(0.5 * inner_x, 6), around(-0.18 * inner_y, 6), around(40, 6), around(34, 5)),
        stomach_air_level=around(-0.35, 0.3),
        bowel_gas=colon,
        spine_y=around(0.72 * inner_y, 3),
        residual_ppm=(around(0, 0.2), around(0, 0.25), around(0, 0.25)),
    )


def lay_out_liver(anatomy: LiverAnatomy, slice_thickness_mm: float) -> Layout:
    """The drawn patient as tissues in space.

    Args:
        anatomy: From :func:`draw_liver_anatomy`.
        slice_thickness_mm: Distance of the slices, mm.
    """
    iron_ppm = IRON_PPM_S * max(anatomy.liver_r2_star_per_s - 25.0, 0.0)
    fat = anatomy.liver_fat_fraction
    liver_ppm = WATER_PPM * (1 - fat) + FAT_PPM * fat + iron_ppm
    tissues = (
        Tissue("air", 0.0, 0.0, 0.0, AIR_PPM, is_body=False),
        Tissue("subcutaneous fat", 1.25, 0.93, 32.0, FAT_PPM),
        Tissue("visceral fat", 1.15, 0.90, 34.0, FAT_PPM),
        Tissue("muscle", 0.80, 0.02, 30.0, WATER_PPM),
        Tissue("liver", 1.00, fat, anatomy.liver_r2_star_per_s, liver_ppm),
        Tissue("blood", 1.10, 0.0, 13.0, -8.95),
        Tissue("spleen", 1.05, 0.0, 24.0, WATER_PPM),
        Tissue("marrow", 0.75, 0.45, 85.0, -8.6),
        Tissue("cortical bone", 0.04, 0.0, 400.0, -9.6, is_body=False),
        Tissue("fluid", 1.35, 0.0, 4.0, WATER_PPM),
        Tissue("lung", 0.05, 0.0, 120.0, -2.5, is_body=False),
        Tissue("stomach contents", 1.20, 0.02, 10.0, WATER_PPM),
        Tissue("gas", 0.0, 0.0, 0.0, AIR_PPM, is_body=False),
        Tissue("kidney", 1.15, 0.0, 18.0, WATER_PPM),
        Tissue("myocardium", 0.95, 0.0, 27.0, WATER_PPM),
    )
    return Layout(
        tissues=tissues,
        label_at=lambda x, y, z: _label(anatomy, x, y, z),
        field_of_view_mm=384.0,
        slice_thickness_mm=slice_thickness_mm,
        field_extent_mm=288.0,
        margin_mm=60.0,
        field_spacing_mm=3.0,
        residual_ppm=anatomy.residual_ppm,
        regions=(
            Region("right_lobe", LIVER, (-np.inf, -40.0), 9.0),
            Region("left_lobe", LIVER, (-15.0, np.inf), 9.0),
            Region("spleen", SPLEEN, radius_mm=9.0),
            Region("muscle", MUSCLE, radius_mm=7.0),
            Region("subcutaneous_fat", SUBCUTANEOUS, radius_mm=7.0),
        ),
        reference_label=LIVER,
    )


def _ellipse(x, y, cx, cy, ax, ay, tilt=0.0):
    """Negative inside, about the distance in mm to an ellipse's edge."""
    c, s = np.cos(tilt), np.sin(tilt)
    u, v = (x - cx) * c + (y - cy) * s, (y - cy) * c - (x - cx) * s
    return (np.hypot(u / ax, v / ay) - 1.0) * min(ax, ay)


def _smooth_min(a, b, k):
    """Union of two shapes with a fillet of k mm."""
    h = np.clip(0.5 + 0.5 * (b - a) / k, 0, 1)
    return b + (a - b) * h - k * h * (1 - h)


def _tube(x, y, z, tube):
    """Negative inside a tube that thins to half its radius."""
    start, end, radius = np.array(tube[:3]), np.array(tube[3:6]), tube[6]
    axis = end - start
    along = np.clip(
        ((x - start[0]) * axis[0] + (y - start[1]) * axis[1] + (z - start[2]) * axis[2]) / (axis @ axis), 0, 1
    )
    squared = (x - start[0] - along * axis[0]) ** 2 + (y - start[1] - along * axis[1]) ** 2
    squared = squared + (z - start[2] - along * axis[2]) ** 2
    return np.sqrt(squared) - radius * (1 - 0.5 * along)


def _overlap(axis, start, end, radius) -> slice:
    """Where one axis of an open grid passes a tube."""
    low, high = np.searchsorted(axis.ravel(), (min(start, end) - radius, max(start, end) + radius))
    return slice(int(low), int(high))


def _waves(angle, waves, first):
    return sum(a * np.cos(n * angle + p) for n, (a, p) in enumerate(waves, start=first))


def _diaphragm(p: LiverAnatomy, x, y):
    """Height of the diaphragm above each point of the plane, mm; lung above, belly below."""
    right = p.dome_height - ((x - p.right_lobe[0] - 6) ** 2 + 1.1 * (y - 5) ** 2) / 175
    left = p.dome_height - 14 - ((x - 80) ** 2 + 1.2 * (y - 5) ** 2) / 150
    middle = p.dome_height - 26 - ((x - 10) ** 2 + (y + 20) ** 2) / 500
    return -_smooth_min(_smooth_min(-right, -left, 12.0), -middle, 12.0)


def _label(p: LiverAnatomy, x, y, z) -> np.ndarray:
    """Tissue at each point of an open grid; later structures lie over earlier ones."""
    x, y, z = (np.asarray(c, dtype=np.float32) for c in (x, y, z))
    angle = np.arctan2(y, x).astype(np.float32)
    # Outline: a superellipse with gentle waves; the wall follows it inwards.
    radius = (np.abs(x / p.body_half_width) ** 2.4 + np.abs(y / p.body_half_depth) ** 2.4) ** (1 / 2.4)
    length = np.hypot(x, y)
    edge = length / np.maximum(radius, 1e-3) + _waves(angle, p.outline_waves, 2)
    depth = edge - length
    thickness = p.fat_thickness * (1 + _waves(angle, p.fat_waves, 1)) + 5 * np.sin(angle) ** 2 * (y > 0)
    wall = 11 + 4 * (y > 0) * np.abs(np.sin(angle))
    rib = (np.cos(14 * angle + 0.02 * z) > 0.55) & (np.abs(angle + np.pi / 2) > 0.5)
    cavity = thickness + wall - depth

    shape = np.broadcast_shapes(x.shape, y.shape, z.shape)
    label = np.zeros(shape, np.uint8)

    def paint(where, tissue):
        label[np.broadcast_to(where, shape)] = tissue

    paint(depth > 0, SUBCUTANEOUS)
    paint(depth > thickness, MUSCLE)
    in_rib = rib & (np.abs(depth - thickness - 6) < 4.5)
    paint(in_rib, BONE)
    paint(rib & (np.abs(depth - thickness - 6) < 2.8) & (np.cos(14 * angle + 0.02 * z) > 0.7), MARROW)
    inside = cavity < 0
    paint(inside, VISCERAL)

    height = _diaphragm(p, x, y)
    belly = inside & (z < height - 2)
    paint(inside & (np.abs(z - height + 1) < 1.5), MUSCLE)

    stomach = _ellipse(x, y, *p.stomach) + 0.002 * (z - 5) ** 2
    paint(belly & (stomach < 0), MUSCLE)
    paint(belly & (stomach < -4), CONTENTS)
    level = p.stomach[1] + p.stomach_air_level * p.stomach[3]
    paint(belly & (stomach < -4) & (y < level), GAS)
    for cx, cy, cz, r in p.bowel_gas:
        bubble = np.sqrt((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) - r
        paint(belly & (bubble < 3), MUSCLE)
        paint(belly & (bubble < 0), GAS)

    spleen = _ellipse(x, y, *p.spleen) + 0.006 * (z - 8) ** 2
    hollow = _ellipse(x, y, p.spleen[0] - 30, p.spleen[1] - 14, 24, 34)
    paint(belly & (spleen < 0) & (hollow > 0), SPLEEN)
    for side in (-1, 1):
        kidney = _ellipse(x, y, side * 58, p.spine_y - 18, 26, 30) + 0.010 * (z + 62) ** 2
        sinus = _ellipse(x, y, side * 46, p.spine_y - 20, 10, 9) + 0.012 * (z + 62) ** 2
        paint(belly & (kidney < 0), KIDNEY)
        paint(belly & (sinus < 0), VISCERAL)

    right = _ellipse(x, y, *p.right_lobe) + 0.0035 * np.minimum(z, 0) ** 2
    left = _ellipse(x, y, *p.left_lobe) + 0.004 * (z - 12) ** 2
    liver = belly & (_smooth_min(right, left, 22.0) < 0) & (cavity < -2)
    paint(liver, LIVER)
    paint(liver & (np.abs(x - p.left_lobe[0] + 8 - 0.25 * (y + 40)) < 1.6) & (y < -28) & (z < 20), VISCERAL)
    for tube in p.vessels:
        box = tuple(_overlap(axis, tube[n], tube[n + 3], tube[6]) for n, axis in enumerate((x, y, z)))
        part = label[box]
        near = _tube(x[box[0]], y[:, box[1]], z[:, :, box[2]], tube) < 0
        part[near & (part == LIVER)] = BLOOD

    # Spine, great vessels, and what lies above the diaphragm.
    chest = inside & (z > height)
    paint(chest, LUNG)
    mediastinum = _ellipse(x, y, 10, 0.3 * p.spine_y, 42, 0.75 * p.body_half_depth)
    paint(chest & (mediastinum < 0), VISCERAL)
    heart = _ellipse(x, y, 26, -32, 52, 42, 0.5) + 0.002 * (z - p.dome_height) ** 2
    paint(chest & (heart < 4), VISCERAL)
    paint(chest & (heart < 0), HEART)
    for cx, cy in ((34, -24), (4, -38)):
        paint(chest & (_ellipse(x, y, cx, cy, 19, 15, 0.5) < 0), BLOOD)
    spine = _ellipse(x, y, 0, p.spine_y, 23, 18)
    paint(_ellipse(x, y, 0, p.spine_y + 24, 34, 15) < 0, MUSCLE)
    for side in (-1, 1):
        paint((_ellipse(x, y, side * 34, p.spine_y + 20, 26, 17) < 0) & (depth > thickness), MUSCLE)
    paint(spine < 0, BONE)
    disc = np.abs((z + 6) % 34 - 17) > 13.5
    paint((spine < -1.8) & ~disc, MARROW)
    paint((spine < -1.8) & disc, FLUID)
    arch = _ellipse(x, y, 0, p.spine_y + 27, 14, 13)
    paint(arch < 0, BONE)
    paint(_ellipse(x, y, 0, p.spine_y + 26, 9, 9) < 0, FLUID)
    process = _ellipse(x, y, 0, p.spine_y + 44, 4.5, 9)
    paint((process < 0) & (depth > thickness), MARROW)
    paint(_ellipse(x, y, 10, p.spine_y - 28, 10.5, 10.5) < 0, BLOOD)
    paint((_ellipse(x, y, -18, p.spine_y - 33, 13, 10) < 0) & ~(chest & (z > p.dome_height)), BLOOD)
    return label
