"""Simulated multi-echo studies whose answer is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..errors import UnsuitableInputError
from ..io.study import MultiEchoStudy
from ..units import ppm_to_hz
from .fat_spectra import get_spectrum
from .phantom_liver import draw_liver_anatomy, lay_out_liver
from .phantom_tissue import ROI_MARGIN_MM, WATER_PPM, Layout, Region
from .phantom_vials import lay_out_vials
from .signal_model import multi_echo_signal
from .susceptibility import dipole_field_ppm, shim_coefficients, shim_terms, surface_jump

KINDS = ("vials", "liver")
"""What :func:`make_phantom` can make."""
REFERENCE_FIELD_T = 1.5
"""Field at which the tissues' R2* is tabulated; R2* is taken as proportional to the field, tesla."""
SHIM_HALF_HEIGHT_MM = 75.0
"""How far from the middle slice the shim looks, mm."""


@dataclass(frozen=True)
class PhantomTruth:
    """What a perfect method would answer; every array has shape (x, y, z).

    A voxel averages 2 x 2 points in the plane. Where those hold different tissues its water and fat are their means,
    and its R2* and field are their means weighted by the signal, which is what a fit finds only while the four do not
    dephase.
    """

    pdff_percent: np.ndarray
    """Proton density fat fraction, percent; NaN where there is no signal."""
    r2_star_per_s: np.ndarray
    """R2*, 1/s; NaN where there is no signal."""
    field_map_hz: np.ndarray
    """Off-resonance, Hz."""
    water: np.ndarray
    """Water signal at TE = 0, units of the study."""
    fat: np.ndarray
    """Fat signal at TE = 0, units of the study."""
    body_mask: np.ndarray
    """True where at least half the voxel is tissue that gives signal: not air, lung or cortical bone."""
    liver_mask: np.ndarray
    """True where the whole voxel is liver, without vessels; empty for vials."""
    rois: dict[str, np.ndarray]
    """Name of a region -> its voxels, away from every edge."""
    noise_std: float
    """Standard deviation of the noise in the real and in the imaginary part, units of the study."""


def default_echo_times_s(field_strength_t: float) -> np.ndarray:
    """Six echoes as liver protocols have them: 1.3 + 2.1k ms up to 2 T, 1.2 + 1.0k ms above."""
    first, step = (1.3e-3, 2.1e-3) if field_strength_t <= 2 else (1.2e-3, 1.0e-3)
    return first + step * np.arange(6)


def make_phantom(
    kind: str,
    *,
    snr: float | None,
    field_strength_t: float = 1.5,
    echo_times_s: np.ndarray | None = None,
    seed: int = 0,
    n_slices: int = 1,
    size: int = 192,
    slice_thickness_mm: float = 6.0,
    dome: bool = False,
    pdff_percent: float | None = None,
    r2_star_per_s: float | None = None,
    background: str = "water",
    spectrum: str = "hamilton_2011",
    bipolar_phase_rad: float = 0.0,
    precession: int = 1,
    oblique_deg: float = 0.0,
) -> tuple[MultiEchoStudy, PhantomTruth]:
    """Simulate a study of vials or of an abdomen, and tell its answer.

    The field is that of the tissues' susceptibility (air, lung and iron included) in a B0 along world z, less a
    second-order shim, plus a random offset and slope; it is set in ppm, so it grows with the field strength.

    Args:
        kind: "vials" (seven, FF 0 to 100 %) or "liver".
        snr: Mean |W + F| of the liver (vials: of all that gives signal) over the noise of one channel, real or
            imaginary; None: no noise.
        field_strength_t: Tesla. R2* is proportional to it.
        echo_times_s: Shape (n_echoes,), seconds; None: :func:`default_echo_times_s`.
        seed: Anatomy, coil and noise; the same seed gives the same study, and the same anatomy whatever the SNR.
        n_slices: Slices of one anatomy, stacked along z.
        size: Voxels along x and along y; the field of view stays (384 mm liver, 192 mm vials).
        slice_thickness_mm: Distance of the slices, mm; each is a thin cut through the anatomy.
        dome: Liver only: through the dome, with the lung bases around it.
        pdff_percent: Liver only: its fat fraction instead of a drawn one, percent.
        r2_star_per_s: Liver only: its R2* at 1.5 T instead of a drawn one, 1/s; 300 is iron overload.
        background: Vials only: "water" or "air" around them.
        spectrum: Name of the fat spectrum.
        bipolar_phase_rad: Phase that the second, fourth … echo gains, as opposite readouts leave it, radians.
        precession: -1 stores the complex conjugate, as scanners of the other convention do.
        oblique_deg: Tilt of the slices about the first image axis, degrees; the field follows it.
    Returns:
        The study (``is_simulated``), and what a perfect method would answer.
    Raises:
        UnsuitableInputError: unknown kind or spectrum, or a value out of its range.
    """
    _check(kind, snr, n_slices, size, background, precession, pdff_percent, r2_star_per_s)
    _check_finite(seed=seed, bipolar_phase_rad=bipolar_phase_rad, oblique_deg=oblique_deg)
    if kind != "liver" and (dome or pdff_percent is not None or r2_star_per_s is not None):
        raise UnsuitableInputError(
            f"The dome and the liver's PDFF and R2* are for the liver phantom; found them for {kind}. Leave them out."
        )
    anatomy_rng, coil_rng, noise_rng = (np.random.default_rng([seed, stream]) for stream in range(3))
    if kind == "liver":
        fraction = None if pdff_percent is None else pdff_percent / 100
        anatomy = draw_liver_anatomy(
            anatomy_rng, dome=dome, liver_fat_fraction=fraction, liver_r2_star_per_s=r2_star_per_s
        )
        layout = lay_out_liver(anatomy, slice_thickness_mm)
    else:
        layout = lay_out_vials(background, slice_thickness_mm, tuple(anatomy_rng.uniform(-0.3, 0.3, 3)))
    times = default_echo_times_s(field_strength_t) if echo_times_s is None else np.asarray(echo_times_s, np.float64)
    affine = _affine(kind, layout, size, n_slices, oblique_deg)
    planes = _Planes(layout, size, n_slices)
    field_ppm = _field_ppm(layout, affine, planes)
    truth, clean = _acquire(layout, planes, field_ppm, coil_rng, times, field_strength_t, get_spectrum(spectrum))
    signal = clean * np.where(np.arange(times.size) % 2, np.exp(1j * bipolar_phase_rad), 1)[:, None, None, None]
    labels = planes.pure_labels
    liver_mask = (labels == layout.reference_label) if layout.reference_label else np.zeros(labels.shape, bool)
    body_mask = truth.pop("body_mask")
    reference = (truth["water"] + truth["fat"])[liver_mask if liver_mask.any() else body_mask]
    noise_std = 0.0 if snr is None else float(reference.mean() / snr)
    if noise_std:
        noise = noise_rng.standard_normal((2, *signal.shape), dtype=np.float32)
        signal = signal + noise_std * (noise[0] + 1j * noise[1])
    if precession == -1:
        signal = signal.conj()
    study = MultiEchoStudy(
        signal=np.ascontiguousarray(signal, dtype=np.complex64),
        echo_times_s=times,
        field_strength_t=float(field_strength_t),
        affine=affine,
        unusable_mask=np.zeros(signal.shape[1:], bool),
        precession=precession,
        is_bipolar=bipolar_phase_rad != 0,
        case_id=f"simulated-{kind}{'-dome' if dome else ''}-{field_strength_t:g}t-{seed}",
        is_simulated=True,
    )
    rois = {region.name: _roi(region, labels, planes) for region in layout.regions}
    return study, PhantomTruth(
        **truth,
        body_mask=body_mask,
        liver_mask=liver_mask,
        rois={name: mask for name, mask in rois.items() if mask.any()},
        noise_std=noise_std,
    )


def _check(kind, snr, n_slices, size, background, precession, pdff_percent, r2_star_per_s):
    if kind not in KINDS:
        raise UnsuitableInputError(f"The kind of phantom needs to be one of {', '.join(KINDS)}; found {kind!r}.")
    if snr is not None and not snr > 0:
        raise UnsuitableInputError(f"The SNR needs to be above 0; found {snr:g}. Leave it out for no noise.")
    if n_slices < 1 or size < 16:
        raise UnsuitableInputError(
            f"A phantom needs at least 1 slice of 16 x 16 voxels; found {n_slices} of {size} x {size}."
        )
    if background not in ("water", "air"):
        raise UnsuitableInputError(f"The vials' background needs to be water or air; found {background!r}.")
    if precession not in (1, -1):
        raise UnsuitableInputError(f"The precession needs to be +1 or -1; found {precession!r}.")
    if pdff_percent is not None and not 0 <= pdff_percent <= 100:
        raise UnsuitableInputError(f"The liver's PDFF needs to be between 0 and 100 %; found {pdff_percent:g}.")
    if r2_star_per_s is not None and not r2_star_per_s >= 0:
        raise UnsuitableInputError(f"The liver's R2* needs to be 0 or above; found {r2_star_per_s:g} 1/s.")


def _check_finite(*, seed: int, **values: float) -> None:
    if seed < 0:
        raise UnsuitableInputError(f"The seed needs to be 0 or above; found {seed}.")
    for name, value in values.items():
        if not np.isfinite(value):
            raise UnsuitableInputError(f"The option {name} needs to be a finite number; found {value:g}.")


class _Planes:
    """The image planes at twice their resolution, as labels and coordinates."""

    def __init__(self, layout: Layout, size: int, n_slices: int):
        self.pixel_mm = layout.field_of_view_mm / size
        fine = (np.arange(2 * size) + 0.5 - size) * self.pixel_mm / 2
        self.x, self.y = fine[:, None, None], fine[None, :, None]
        self.z = ((np.arange(n_slices) - (n_slices - 1) / 2) * layout.slice_thickness_mm)[None, None, :]
        self.labels = layout.label_at(self.x, self.y, self.z)
        blocks = self.blocks(self.labels)
        is_pure = (blocks == blocks[:, :1, :, :1]).all(axis=(1, 3))
        self.pure_labels = np.where(is_pure, blocks[:, 0, :, 0], 255)
        """Label of each voxel that holds one tissue only, 255 elsewhere; shape (x, y, z)."""

    @staticmethod
    def blocks(fine: np.ndarray) -> np.ndarray:
        """Points grouped by voxel: shape (x, 2, y, 2, z)."""
        return fine.reshape(fine.shape[0] // 2, 2, fine.shape[1] // 2, 2, *fine.shape[2:])

    def average(self, fine: np.ndarray) -> np.ndarray:
        """Mean of the four points of each voxel; shape (x, y, z)."""
        return self.blocks(fine).mean(axis=(1, 3))


def _affine(kind: str, layout: Layout, size: int, n_slices: int, oblique_deg: float) -> np.ndarray:
    """Voxels to RAS millimetres: axial for the liver, coronal for the vials, which stand upright across B0."""
    pixel = layout.field_of_view_mm / size
    axes = np.diag([-1.0, -1.0, 1.0])
    if kind == "vials":
        axes = np.array([[-1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])
    angle = np.deg2rad(oblique_deg)
    tilt = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine = np.eye(4)
    affine[:3, :3] = tilt @ axes @ np.diag([pixel, pixel, layout.slice_thickness_mm])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array([size, size, n_slices]) - 1) / 2)
    return affine


def _field_ppm(layout: Layout, affine: np.ndarray, planes: _Planes) -> np.ndarray:
    """Shimmed field at the fine points of the image planes, ppm; shape (2x, 2y, z)."""
    spacing = layout.field_spacing_mm
    height = max(layout.field_extent_mm, 2 * np.abs(planes.z).max() + 96)
    n_plane = int(round((layout.field_of_view_mm + 2 * layout.margin_mm) / spacing))
    n_height = int(np.ceil(height / spacing / 16) * 16)
    axis = (np.arange(n_plane) - (n_plane - 1) / 2) * spacing
    z = (np.arange(n_height) - (n_height - 1) / 2) * spacing
    labels = layout.label_at(axis[:, None, None], axis[None, :, None], z[None, None, :])
    values = np.array([tissue.susceptibility_ppm for tissue in layout.tissues], np.float32)
    b0 = np.linalg.inv(affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)) @ np.array([0.0, 0.0, 1.0])
    coarse = ndimage.gaussian_filter(values[labels], 0.5)
    field = dipole_field_ppm(coarse, (spacing,) * 3, b0)

    half = layout.field_of_view_mm / 2
    is_body = np.array([tissue.is_body for tissue in layout.tissues])
    shimmed = is_body[labels] & (np.abs(z) < SHIM_HALF_HEIGHT_MM)
    where = tuple(index[::8] for index in np.nonzero(shimmed))
    coefficients = shim_coefficients(field[where], (axis[where[0]] / half, axis[where[1]] / half, z[where[2]] / half))
    coefficients[:3] -= layout.residual_ppm

    out = np.empty(planes.labels.shape, np.float32)
    near = np.abs(z) < np.abs(planes.z).max() + 6 * spacing
    slab = coarse[:, :, near] - WATER_PPM
    jump = surface_jump(slab, b0)
    # Across a surface the field jumps; only what is continuous is interpolated, so that tissue keeps its field to its
    # last voxel.
    splines = ndimage.spline_filter(field[:, :, near] - slab * jump, order=3, mode="nearest")
    local = values[planes.labels] - np.float32(WATER_PPM)
    u = np.broadcast_to((planes.x[:, :, 0] - axis[0]) / spacing, out.shape[:2])
    v = np.broadcast_to((planes.y[:, :, 0] - axis[0]) / spacing, out.shape[:2])
    for k, height_mm in enumerate(planes.z[0, 0]):
        w = np.full(u.shape, (height_mm - z[near][0]) / spacing)
        at = (
            np.broadcast_to(planes.x[:, :, 0] / half, u.shape),
            np.broadcast_to(planes.y[:, :, 0] / half, u.shape),
            np.full(u.shape, height_mm / half),
        )
        shim = (shim_terms(at) @ coefficients).reshape(u.shape)
        continuous = ndimage.map_coordinates(splines, (u, v, w), order=3, prefilter=False, mode="nearest")
        factor = ndimage.map_coordinates(jump, (u, v, w), order=1, mode="nearest")
        out[:, :, k] = continuous + local[:, :, k] * factor - shim
    return out


def _smooth(rng: np.random.Generator, planes: _Planes, wavelength_mm: float, n_waves: int = 6) -> np.ndarray:
    """A smooth random function of the fine points with mean 0 and standard deviation about 1."""
    total = np.zeros(planes.labels.shape, np.float32)
    for direction, phase in zip(rng.normal(0, 1, (n_waves, 3)), rng.uniform(0, 2 * np.pi, n_waves), strict=True):
        k = direction * (2 * np.pi / wavelength_mm / np.sqrt(3))
        total += np.cos(k[0] * planes.x + k[1] * planes.y + k[2] * planes.z + phase).astype(np.float32)
    return total * np.float32(np.sqrt(2 / n_waves))


def _acquire(layout, planes, field_ppm, rng, times, field_strength_t, spectrum):
    """Truth maps and the noise-free signal: each voxel is the mean of its four points' complex signals."""
    table = np.array([(t.density, t.fat_fraction, t.r2_star_per_s, t.is_body) for t in layout.tissues], np.float32)
    density, fraction, rate, is_body = np.moveaxis(table[planes.labels], -1, 0)
    density = 1000 * density * (1 + 0.02 * _smooth(rng, planes, 40.0)) * (1 + 0.12 * _smooth(rng, planes, 500.0, 3))
    if layout.reference_label:
        mixed = (fraction > 0) & (fraction < 1)
        fraction = np.clip(np.where(mixed, fraction + 0.004 * _smooth(rng, planes, 60.0), fraction), 0, 1)
    rate = rate * np.float32(field_strength_t / REFERENCE_FIELD_T)
    phase = rng.uniform(-np.pi, np.pi) + 0.8 * _smooth(rng, planes, 400.0)
    field_hz = ppm_to_hz(field_ppm, field_strength_t)
    water, fat = density * (1 - fraction), density * fraction

    n_x, n_y, n_z = planes.pure_labels.shape
    signal = np.empty((times.size, n_x, n_y, n_z), np.complex64)
    for k in range(n_z):
        coil = np.exp(1j * phase[:, :, k])
        fine = multi_echo_signal(
            water[:, :, k] * coil,
            fat[:, :, k] * coil,
            field_hz[:, :, k],
            rate[:, :, k],
            times,
            field_strength_t,
            spectrum,
        )
        signal[:, :, :, k] = fine.reshape(times.size, n_x, 2, n_y, 2).mean(axis=(2, 4))

    mean_water, mean_fat, mean_density = planes.average(water), planes.average(fat), planes.average(density)
    has_signal = mean_density > 0
    safe = np.where(has_signal, mean_density, 1)
    truth = {
        "pdff_percent": np.where(has_signal, 100 * mean_fat / safe, np.nan),
        "r2_star_per_s": np.where(has_signal, planes.average(rate * density) / safe, np.nan),
        "field_map_hz": np.where(has_signal, planes.average(field_hz * density) / safe, planes.average(field_hz)),
        "water": mean_water,
        "fat": mean_fat,
    }
    truth = {name: value.astype(np.float32) for name, value in truth.items()}
    truth["body_mask"] = planes.average(is_body) >= 0.5
    return truth, signal


def _roi(region: Region, labels: np.ndarray, planes: _Planes) -> np.ndarray:
    """Voxels of a region, at least the margin away from its tissue's edge; slice by slice."""
    x = planes.average(np.broadcast_to(planes.x, planes.labels.shape))
    y = planes.average(np.broadcast_to(planes.y, planes.labels.shape))
    roi = np.zeros(labels.shape, bool)
    for k in range(labels.shape[2]):
        tissue = labels[:, :, k] == region.label
        depth = ndimage.distance_transform_edt(tissue, sampling=planes.pixel_mm)
        allowed = (x[:, :, k] > region.x_range_mm[0]) & (x[:, :, k] < region.x_range_mm[1])
        core = (depth > ROI_MARGIN_MM) & allowed
        if core.any() and region.radius_mm is not None:
            deepest = np.unravel_index(np.argmax(np.where(core, depth, 0)), core.shape)
            distance = np.hypot(x[:, :, k] - x[deepest][k], y[:, :, k] - y[deepest][k])
            core &= distance <= region.radius_mm
        roi[:, :, k] = core
    return roi
