"""Options of the two latent diffusion models, and the two configurations they come in.

``paper`` has the values of the text, and the authors' likely base configuration where it is silent. ``small`` is made
for two cores; why its numbers are what they are is in ``docs/decisions/0016-small-latent-diffusion.md``.

Source: Hardy R et al., Sci Rep 2023, 10.1038/s41598-023-48062-z (Latent diffusion models); Rombach R et al., CVPR 2022,
10.1109/CVPR52688.2022.01042 (base configurations: semantic synthesis with VQ-f4, class-conditional with VQ-f8).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..errors import UnsuitableInputError
from ..learning.device import DEVICES

SIZES = ("small", "paper")
"""Configurations."""
LDM_KINDS = ("ldm_semantic", "ldm_class")
"""Conditioned on semantic maps, and on the class alone."""
N_MAP_CLASSES = 5
"""Of a semantic map: four thresholds."""
N_TRAIN_TIMESTEPS = 1000
"""Noise levels of training."""


@dataclass(frozen=True)
class AutoencoderSize:
    """Shape of an autoencoder and how it is trained."""

    family: str
    """kl (latents are normal variables) or vq (latents are quantised)."""
    latent_channels: int
    """Of the latent image."""
    factor: int
    """Pixels a latent's side stands for."""
    patch: int
    """Side of the blocks of pixels that are made channels before the first layer; 1: none."""
    channels: tuple[int, ...]
    """Of each level; one halving between two levels."""
    layers: int
    """Residual blocks a level."""
    n_codes: int
    """Of a vq codebook; 0: kl."""
    steps: int
    """Of training."""
    batch: int
    """Crops a step."""
    learning_rate: float
    """Highest of the schedule."""


@dataclass(frozen=True)
class LdmSize:
    """Everything a configuration of one kind settles."""

    channels: tuple[int, ...]
    """Of each level of the UNet."""
    layers: int
    """Residual blocks a level."""
    attention: tuple[bool, ...]
    """Which levels have attention."""
    heads: tuple[int, ...]
    """Of attention, of each level."""
    norm_groups: int
    """Of the group normalisation."""
    class_embedding: int
    """Width of the class embedding."""
    is_class_conditioned: bool
    """Whether the UNet is told the class; always so for ldm_class."""
    steps: int
    """Of training."""
    batch: int
    """Crops a step."""
    learning_rate: float
    """After the warm-up; a cosine takes it to 0."""
    warmup: int
    """Steps to the full rate."""
    weight_decay: float
    """Of AdamW."""
    ema: float
    """Highest decay of the mean of the weights."""
    beta_end: float
    """Last of the scaled-linear betas; the first is .0015."""
    loss: str
    """l1 or l2."""
    prediction: str
    """epsilon or v_prediction."""
    min_snr: float | None
    """Bound of min-SNR weighting; None: none."""
    is_balanced: bool
    """Whether both classes are learnt from equally often, whatever their numbers of frames."""
    autoencoder: AutoencoderSize
    """Whose latents are learnt."""
    block: int
    """Images that are drawn together; it fixes the arithmetic, so that an image does not depend on its neighbours."""


BETA_START = 0.0015
"""First of the scaled-linear betas."""

_VQ = {"family": "vq", "patch": 1, "layers": 2, "steps": 20_000, "batch": 8, "learning_rate": 1e-4}
_SMALL_AUTOENCODER = AutoencoderSize(
    family="kl",
    latent_channels=3,
    factor=4,
    patch=2,
    channels=(32, 64),
    layers=1,
    n_codes=0,
    steps=400,
    batch=4,
    learning_rate=2e-3,
)
"""Shared by both kinds, so that a fold trains it once."""
_PAPER = {"steps": 20_000, "batch": 32, "learning_rate": 2.4e-4, "warmup": 100, "weight_decay": 0.01, "ema": 0.9999}
_PAPER |= {"layers": 2, "norm_groups": 32, "class_embedding": 512, "prediction": "epsilon", "min_snr": None, "block": 8}
_PAPER |= {"is_balanced": False}
_SMALL = {"learning_rate": 1e-3, "warmup": 40, "weight_decay": 0.01, "ema": 0.99, "loss": "l2", "min_snr": 5.0}
_SMALL |= {"layers": 1, "norm_groups": 16, "class_embedding": 64, "prediction": "v_prediction", "block": 32}
_SMALL |= {"is_class_conditioned": True, "is_balanced": True, "batch": 16}

CONFIGURATIONS: dict[tuple[str, str], LdmSize] = {
    ("paper", "ldm_semantic"): LdmSize(
        channels=(128, 512, 1024),
        attention=(False, False, False),
        heads=(8, 8, 8),
        is_class_conditioned=False,
        beta_end=0.0205,
        loss="l1",
        autoencoder=AutoencoderSize(latent_channels=3, factor=4, channels=(128, 256, 512), n_codes=8192, **_VQ),
        **_PAPER,
    ),
    ("paper", "ldm_class"): LdmSize(
        channels=(256, 512, 1024),
        attention=(True, True, True),
        heads=(8, 16, 32),
        is_class_conditioned=True,
        beta_end=0.0195,
        loss="l2",
        autoencoder=AutoencoderSize(latent_channels=4, factor=8, channels=(128, 256, 256, 512), n_codes=16384, **_VQ),
        **_PAPER,
    ),
    ("small", "ldm_semantic"): LdmSize(
        channels=(32, 64, 96),
        attention=(False, False, True),
        heads=(1, 2, 3),
        steps=400,
        beta_end=0.0205,
        autoencoder=_SMALL_AUTOENCODER,
        **_SMALL,
    ),
    ("small", "ldm_class"): LdmSize(
        channels=(32, 64, 96),
        attention=(False, True, True),
        heads=(1, 2, 3),
        steps=400,
        beta_end=0.0195,
        autoencoder=_SMALL_AUTOENCODER,
        **_SMALL,
    ),
}
"""(size, kind) -> configuration."""


@dataclass(frozen=True)
class LdmOptions:
    """How a latent diffusion model is trained."""

    size: str = "small"
    """small or paper."""
    seed: int = 0
    """Of the first weights and of every draw."""
    steps: int | None = None
    """Of training; None: the configuration's."""
    autoencoder_steps: int | None = None
    """Of the autoencoder's training; None: the configuration's."""
    batch_size: int | None = None
    """Crops a step; None: the configuration's."""
    guidance_dropout: float = 0.1
    """Chance that the UNet is not told what to draw, so that guidance has something to compare with."""
    min_snr: str = "default"
    """default (the configuration's), on (5) or off."""
    class_conditioned: bool | None = None
    """Whether ldm_semantic is told the class besides the map; None: the configuration's."""
    autoencoder: str | None = None
    """Folder of a trained autoencoder in diffusers' format, frozen; None: one is trained on the same frames."""
    cache: str | None = None
    """Folder of trained autoencoders that generators of one fold share; None: beside the checkpoint."""
    device: str = "auto"
    """Of :data:`..learning.device.DEVICES`."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Values of :class:`LdmSize` to change, such as channels of a tiny network."""

    def __post_init__(self):
        for name, value, known in (("size", self.size, SIZES), ("device", self.device, DEVICES)):
            if value not in known:
                raise UnsuitableInputError(f"The {name} needs to be one of {', '.join(known)}; found {value!r}.")
        if self.min_snr not in ("default", "on", "off"):
            raise UnsuitableInputError(f"min_snr needs to be default, on or off; found {self.min_snr!r}.")
        for name, most in (("steps", 1_000_000), ("autoencoder_steps", 1_000_000), ("batch_size", 1024)):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= most:
                raise UnsuitableInputError(f"A training needs {name} from 1 to {most}; found {value}.")
        if self.seed < 0:
            raise UnsuitableInputError(f"A seed needs to be 0 or above; found {self.seed}.")
        if not 0 <= self.guidance_dropout < 1:
            raise UnsuitableInputError(
                f"The guidance dropout needs to be 0 to below 1; found {self.guidance_dropout:g}. The text's is 0.1."
            )
        unknown = sorted(set(self.overrides) - {one.name for one in fields(LdmSize)})
        if unknown:
            raise UnsuitableInputError(f"A configuration has no value '{unknown[0]}'. Leave it out.")

    def configuration(self, kind: str) -> LdmSize:
        """What is trained, with every option applied."""
        base = CONFIGURATIONS[self.size, kind]
        changed = dict(self.overrides)
        if self.steps is not None:
            changed["steps"] = self.steps
        if self.batch_size is not None:
            changed["batch"] = self.batch_size
        if self.min_snr != "default":
            changed["min_snr"] = 5.0 if self.min_snr == "on" else None
        if self.class_conditioned is not None and kind == "ldm_semantic":
            changed["is_class_conditioned"] = self.class_conditioned
        if self.autoencoder_steps is not None:
            changed["autoencoder"] = {
                **asdict(changed.get("autoencoder", base.autoencoder)),
                "steps": self.autoencoder_steps,
            }
        return configuration_from({**asdict(base), **changed})


def configuration_from(values: Mapping[str, Any]) -> LdmSize:
    """A configuration as a card holds it.

    Raises:
        UnsuitableInputError: values that are missing or unknown.
    """
    try:
        autoencoder = values["autoencoder"]
        if not isinstance(autoencoder, AutoencoderSize):
            autoencoder = AutoencoderSize(**{**autoencoder, "channels": tuple(autoencoder["channels"])})
        lists = {key: tuple(values[key]) for key in ("channels", "attention", "heads")}
        return LdmSize(**{**values, **lists, "autoencoder": autoencoder})
    except (KeyError, TypeError) as error:
        raise UnsuitableInputError(
            f"A latent diffusion model needs the configuration on its card; it does not fit: {error}. Train again."
        ) from error
