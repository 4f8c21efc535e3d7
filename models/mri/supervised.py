"""Maps from the compared networks, which learned from labels: what each accepts, and what it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields

import numpy as np

from ..errors import UnsuitableInputError
from ..io.study import MultiEchoStudy
from ..learning.device import choose_device
from ..weights import Weights, check_shapes, load_weights, pretrained_path
from .fat_spectra import get_spectrum
from .least_squares import fat_fraction, solve_water_fat
from .signal_model import design_matrix

TITLES = {"u_net": "U-Net", "mdwf_net": "MDWF-Net", "vet_net": "VET-Net"}
"""Name of a method, and of its weights -> what its authors call it."""
ECHO_TIME_TOLERANCE_S = 5e-5
"""How far an echo may lie from that of the training: fat turns by 0.07 rad in this time at 1.5 T."""
FIELD_TOLERANCE = 0.02
"""The same for the field strength, relative."""
_INSTEAD = "Take the method graph_cut, which accepts any three or more echoes."


@dataclass(frozen=True)
class SupervisedConfig:
    """What a compared network is built from, and the scans it is for; ``config`` of its card."""

    widths: tuple[int, ...]
    """Channels at each level of the U-Net, full resolution first."""
    n_echoes: int
    """Echoes of a scan."""
    field_strength_t: float
    """Tesla."""
    echo_times_s: tuple[float, ...] | None = None
    """The only echo times, seconds; None: any within the two ranges that follow."""
    first_echo_s: tuple[float, float] | None = None
    """Earliest and latest first echo of the training, seconds."""
    echo_spacing_s: tuple[float, float] | None = None
    """Shortest and longest echo spacing of the training, seconds."""
    is_phase_relative: bool = False
    """Phases are taken relative to the first echo. Coil and transmit phase, which say nothing, need not be learned."""

    @classmethod
    def from_card(cls, card: dict) -> SupervisedConfig:
        """As :meth:`to_card` wrote it.

        Raises:
            UnsuitableInputError: it is that of another network.
        """
        if set(card) != {f.name for f in fields(cls)}:
            raise UnsuitableInputError(
                f"A compared method needs weights of {', '.join(TITLES)}; these are of another network. "
                "Give other weights."
            )
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in card.items()})

    def to_card(self) -> dict:
        """JSON-ready."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class SupervisedMaps:
    """What a compared network says; every array has shape (x, y, z), float32. It states no uncertainty."""

    water: np.ndarray
    """Magnitude of the water signal at TE = 0, units of the study."""
    fat: np.ndarray
    """Magnitude of the fat signal at TE = 0, units of the study."""
    pdff_percent: np.ndarray
    """Percent; NaN without signal. |F|/(|W|+|F|), or Re(F/(W+F)) where water and fat are complex (VET-Net)."""
    r2_star_per_s: np.ndarray
    """R2*, 1/s; NaN everywhere if the network does not estimate it."""
    field_map_hz: np.ndarray
    """Off-resonance, Hz; NaN everywhere if the network does not estimate it."""
    warnings: tuple[str, ...] = ()
    """Sentences the reader should see beside the numbers."""


def estimate_supervised(
    study: MultiEchoStudy,
    method: str,
    weights: Weights | None = None,
    *,
    spectrum: str = "hamilton_2011",
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> SupervisedMaps:
    """Maps of a study, slice by slice.

    Each slice is divided by its maximum, as those of the training were. VET-Net gives field and R2* only; water and fat
    follow by least squares.

    Args:
        study: In the model's sign of precession unless it declares -1, without odd/even phase.
        method: One of :data:`TITLES`.
        weights: Of that method; None: those of the package.
        spectrum: Name of the fat spectrum of the least squares.
        device: One of :data:`..learning.device.DEVICES`.
        progress: Called as progress(done, total); it may raise to stop.
    Raises:
        UnsuitableInputError: a protocol the network was not trained on, magnitudes only, or other weights.
    """
    weights = load_weights(pretrained_path(method), method) if weights is None else weights
    if weights.card["architecture"] != method:
        raise UnsuitableInputError(
            f"The method {method} needs its own weights; these are of '{weights.card['architecture']}'. "
            "Give other weights."
        )
    warnings = check_protocol(study, method, weights.card["config"])
    network = load_network(weights, device)
    basis = design_matrix(study.echo_times_s, study.field_strength_t, get_spectrum(spectrum))
    signal = np.conj(study.signal) if study.precession == -1 else study.signal
    shape = signal.shape[1:]
    maps = {name: np.full(shape, np.nan, np.float32) for name in SupervisedMaps.__annotations__ if name != "warnings"}
    for z in range(shape[2]):
        found = estimate_slice(network, signal[..., z], study.echo_times_s, study.field_strength_t, basis)
        for name, values in found.items():
            maps[name][..., z] = values
        if progress:
            progress(z + 1, shape[2])
    return SupervisedMaps(**maps, warnings=warnings)


def estimate_slice(network, signal, echo_times_s, field_strength_t, basis) -> dict[str, np.ndarray]:
    """Maps of one slice, those of :class:`SupervisedMaps` that the network knows; shape (x, y), float32.

    Args:
        network: Of :func:`load_network`.
        signal: Complex, shape (n_echoes, x, y).
        echo_times_s: Shape (n_echoes,).
        field_strength_t: Tesla.
        basis: [1, a(t)], shape (n_echoes, 2).
    """
    scale = np.float32(np.abs(signal).max())
    if scale == 0:
        return {name: np.zeros(signal.shape[1:], np.float32) for name in ("water", "fat")}
    likeness = np.float32(field_strength_t / network.config.field_strength_t)
    maps = _apply(network, signal / scale, echo_times_s * likeness)
    for name in {"r2_star_per_s", "field_map_hz"} & set(maps):
        maps[name] *= likeness
    if "water" in maps:
        water, fat = (maps[name] * scale for name in ("water", "fat"))
        with np.errstate(invalid="ignore"):
            pdff = fat / (water + fat)
    else:
        rate, field = maps["r2_star_per_s"].ravel(), maps["field_map_hz"].ravel()
        found = solve_water_fat(signal.reshape(len(signal), -1), echo_times_s, basis, field, rate)
        water, fat = (values.reshape(signal.shape[1:]) for values in found)
        pdff = fat_fraction(water, fat)
    return maps | {"water": np.abs(water), "fat": np.abs(fat), "pdff_percent": 100 * pdff}


def _apply(network, signal, echo_times_s):
    import torch

    from .supervised_networks import MAP_SCALES

    device = next(network.parameters()).device
    echoes = torch.from_numpy(as_channels(signal, network.config.is_phase_relative)[None]).to(device)
    times = torch.tensor(np.asarray(echo_times_s, np.float32)[None], device=device)
    with torch.inference_mode():
        found = network(echoes, times)[0].float().cpu().numpy()
    return {name: values * np.float32(MAP_SCALES[name]) for name, values in zip(network.MAPS, found, strict=True)}


def as_channels(signal: np.ndarray, is_phase_relative: bool) -> np.ndarray:
    """What a network reads of a complex signal of shape (n_echoes, x, y).

    Args:
        is_phase_relative: Take phases relative to the first echo, in each voxel.
    Returns:
        Real and imaginary part, shape (n_echoes, 2, x, y), float32.
    """
    if is_phase_relative:
        signal = signal * np.exp(-1j * np.angle(signal[:1]))
    return np.stack([signal.real, signal.imag], axis=1).astype(np.float32)


def check_protocol(study: MultiEchoStudy, method: str, config: dict) -> tuple[str, ...]:
    """Refuse a study that a network was not trained for; returns what to warn of.

    A signal at field B with echoes t is one at B' with echoes t·B/B', its field and R2* being B'/B as large: so
    VET-Net, which takes any echo times, takes any field strength.

    Args:
        config: Of the card of the method's weights.
    """
    config = SupervisedConfig.from_card(config)
    title, times = TITLES[method], study.echo_times_s
    if study.is_magnitude_only:
        raise UnsuitableInputError(
            f"{title} needs complex images; this study has magnitudes only. Export phase, or real and imaginary."
        )
    likeness = study.field_strength_t / config.field_strength_t
    if config.echo_times_s is not None:
        trained = np.array(config.echo_times_s)
        is_same = abs(likeness - 1) <= FIELD_TOLERANCE and times.shape == trained.shape
        if not is_same or np.abs(times - trained).max() > ECHO_TIME_TOLERANCE_S:
            raise UnsuitableInputError(
                f"{title} needs the protocol it was trained on, {config.field_strength_t:g} T with echoes at "
                f"{_in_ms(trained)} ms; this study has {study.field_strength_t:g} T with {_in_ms(times)} ms. {_INSTEAD}"
            )
        return ()
    if times.size != config.n_echoes:
        raise UnsuitableInputError(
            f"{title} needs {config.n_echoes} echoes, as it was trained on; this study has {times.size}. {_INSTEAD}"
        )
    warnings = []
    ranges = {
        "a first echo": (times[:1], config.first_echo_s),
        "echo spacings": (np.diff(times), config.echo_spacing_s),
    }
    for what, (found, trained) in ranges.items():
        low, high = (bound / likeness for bound in trained)
        if found.min() < low - ECHO_TIME_TOLERANCE_S or found.max() > high + ECHO_TIME_TOLERANCE_S:
            warnings.append(
                f"{title} was trained with {what} of {low * 1e3:.2g} to {high * 1e3:.2g} ms at "
                f"{study.field_strength_t:g} T; this study has {_in_ms(found)} ms. Its maps may be wrong."
            )
    return tuple(warnings)


def _in_ms(times_s) -> str:
    return ", ".join(f"{t * 1e3:.4g}" for t in times_s)


def load_network(weights: Weights, device: str = "auto"):
    """The network of a compared method with its ``config``, ready to estimate.

    Raises:
        UnsuitableInputError: weights of something else, or of another shape; a device that is not there.
    """
    import torch

    from .supervised_networks import make_network

    network = make_network(weights.card["architecture"], SupervisedConfig.from_card(weights.card["config"]))
    check_shapes(weights, {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()})
    network.load_state_dict({name: torch.from_numpy(np.array(tensor)) for name, tensor in weights.tensors.items()})
    return network.to(choose_device(device)).eval()
