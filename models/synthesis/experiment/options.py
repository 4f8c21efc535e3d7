"""What the experiment on NAFLD compares, and what the paper reports of the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...errors import UnsuitableInputError
from ...learning.device import DEVICES
from ...ultrasound.frames import FRAME_SIZES
from ..kinds import KINDS

REAL, GEOMETRIC = "none", "geometric"
"""Training on real images only, and with cropped and turned copies of them."""
DATA = (REAL, GEOMETRIC, *KINDS)
"""What real images are mixed with."""
DATA_LABELS = {
    REAL: "real only",
    GEOMETRIC: "geometric",
    "ldm_semantic": "semantic LDM",
    "ldm_class": "class LDM",
    "stacked_gan": "stacked GAN",
}
"""Data -> its name in headings."""
MODELS = ("small", "resnet50", "efficientnet_b0", "efficientnet_v2_s")
"""Networks that may be compared."""
PAPER_MODELS = MODELS[1:]
"""Those of the paper."""
VARIANTS = ("default", "all_frozen", "all_unfrozen", "oversampled")
"""Ways to train of the paper's supplement; AUC per fold and per patient are told of each."""
FREEZING = ("all_frozen", "all_unfrozen")
"""Those that differ from the default only where a network starts from ImageNet."""
MAIN_RATE = 1.5
"""Mixing rate at which the paper reports the greatest gain."""
OVERSAMPLED_SEEDS = 5
"""Of the paper's oversampled variant."""
PAPER_SOURCE = "Hardy R et al., Sci Rep 2023, 10.1038/s41598-023-48062-z"
PAPER_AUC = {
    ("resnet50", REAL, 0.0): 0.861,
    ("resnet50", "ldm_semantic", 1.5): 0.882,
    ("efficientnet_b0", REAL, 0.0): 0.871,
    ("efficientnet_b0", "ldm_semantic", 1.5): 0.884,
    ("efficientnet_v2_s", REAL, 0.0): 0.864,
    ("efficientnet_v2_s", "ldm_semantic", 1.5): 0.879,
}
"""Model, data and rate -> the paper's image AUC, mean of 25 seeds, on measured images."""
PAPER_IMAGES = {
    ("ldm_semantic", False): {"is": 1.79, "fid": 104.83},
    ("ldm_semantic", True): {"is": 1.81, "fid": 72.95},
    ("ldm_class", False): {"is": 1.84, "fid": 104.29},
    ("ldm_class", True): {"is": 1.89, "fid": 69.77},
}
"""Data and class -> the paper's figures with both classes balanced, by Inception, on measured images."""
SMALL_GENERATOR = {"stacked_gan": {"steps": 500}}
"""Options of generators in the size "small", where 30 minutes on two cores have to hold everything."""
SMALL_SAMPLER = {"ldm_semantic": {"steps": 10}, "ldm_class": {"steps": 10}}
"""Of how images are drawn: a third of the steps, at a kernel distance inside the interval of all of them."""
_RATES = {"small": (0.0, MAIN_RATE), "paper": (0.0, 0.5, 1.0, MAIN_RATE, 2.0)}
_SEEDS = {"small": 2, "paper": 25}
_VARIANTS = {"small": VARIANTS[:1], "paper": VARIANTS}
_MODELS = {"small": MODELS[:1], "paper": PAPER_MODELS}


@dataclass(frozen=True)
class NafldExperimentOptions:
    """What is computed.

    Raises:
        UnsuitableInputError: a value that is not known or out of range, naming those that are.
    """

    size: str = "small"
    """"small": narrow networks at 64 x 64; "paper": the paper's at 256 x 256."""
    data: tuple[str, ...] = DATA
    """Of :data:`DATA`; real only is always among them."""
    rates: tuple[float, ...] | None = None
    """Mixing rates of every data; None: 0 and 1.5, or all five in the size "paper"."""
    models: tuple[str, ...] | None = None
    """Of :data:`MODELS`; None: small, or the paper's. The first is trained in every way, the others on real images
    and with the first generator at the main rate."""
    variants: tuple[str, ...] | None = None
    """Of :data:`VARIANTS`; None: default, or in the size "paper" all that the first model can be trained in."""
    n_seeds: int | None = None
    """Trainings of each kind; None: 2, or the paper's 25."""
    n_folds: int = 5
    """Of the cross-validation by patient."""
    seed: int = 0
    """Of folds, generators, trainings, resampling and simulated patients."""
    simulated: tuple[int, int, int] = (17, 38, 10)
    """Healthy and fatty patients and frames of each, when no cases are given; the public set's numbers."""
    is_filtered: bool = False
    """Keep of the generated images those that a model fitted inside the fold finds plausible."""
    generator: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Kind -> options of its training that differ from its own."""
    sampler: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Kind -> how images are drawn, where it differs, such as {"guidance": 1.2}."""
    classifier: dict[str, Any] = field(default_factory=dict)
    """Options of the classifiers that differ from their own."""
    imagenet: dict[str, str] = field(default_factory=dict)
    """Model -> SHA-256 of the ImageNet weights it starts from; models left out start from nothing."""
    n_resamples: int = 2000
    """Of patients, for intervals."""
    device: str = "cpu"
    """"cpu", "cuda" or "auto"."""

    def __post_init__(self):
        for name, known in (("data", DATA), ("models", MODELS), ("variants", VARIANTS)):
            _check_names(name, getattr(self, name), known)
        if self.size not in FRAME_SIZES or self.device not in DEVICES:
            raise UnsuitableInputError(
                f"An experiment needs a size of {', '.join(FRAME_SIZES)} and a device of {', '.join(DEVICES)}; found "
                f"{self.size!r} and {self.device!r}."
            )
        freezing = [one for one in self.variants or () if one in FREEZING]
        if freezing and self.all_models[0] not in self.imagenet:
            raise UnsuitableInputError(
                f"The variant {freezing[0]} needs a network that starts from ImageNet; {self.all_models[0]} starts "
                f"from nothing here. Give --imagenet {self.all_models[0]}=FILE,SHA256, or leave the variant out."
            )
        if self.rates is not None and not (self.rates and all(0 <= rate <= 10 for rate in self.rates)):
            raise UnsuitableInputError(
                f"Mixing rates need to be from 0 to 10; found {', '.join(f'{r:g}' for r in self.rates) or 'none'}. "
                "Correct --rates."
            )
        seeds = 1 if self.n_seeds is None else self.n_seeds
        if not 2 <= self.n_folds <= 20 or not 1 <= seeds <= 1000 or self.seed < 0 or self.n_resamples < 1:
            raise UnsuitableInputError(
                "An experiment needs 2 to 20 folds, 1 to 1000 seeds, a first seed of 0 or above and at least one "
                f"resample; found {self.n_folds}, {seeds}, {self.seed} and {self.n_resamples}."
            )

    def generator_of(self, kind: str) -> dict[str, Any]:
        """Options of a generator's training."""
        return {**(SMALL_GENERATOR.get(kind, {}) if self.size == "small" else {}), **self.generator.get(kind, {})}

    def sampler_of(self, kind: str) -> dict[str, Any]:
        """How a generator's images are drawn; empty: its own way."""
        return {**(SMALL_SAMPLER.get(kind, {}) if self.size == "small" else {}), **self.sampler.get(kind, {})}

    @property
    def kinds(self) -> tuple[str, ...]:
        """Generators that are trained, in the order of the tables."""
        return tuple(kind for kind in DATA if kind in self.data and kind in KINDS)

    @property
    def leading(self) -> str | None:
        """The data that further models are tried with: the first generator, else geometric."""
        mixed = [one for one in (*KINDS, GEOMETRIC) if one in self.data]
        return mixed[0] if mixed else None

    @property
    def all_models(self) -> tuple[str, ...]:
        """Models in the order of the tables."""
        return self.models or _MODELS[self.size]

    @property
    def all_variants(self) -> tuple[str, ...]:
        """Ways to train in the order of the tables."""
        if self.variants is not None:
            return self.variants
        known = _VARIANTS[self.size]
        return known if self.all_models[0] in self.imagenet else tuple(one for one in known if one not in FREEZING)

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """Seeds of the trainings."""
        return tuple(self.seed + k for k in range(self.n_seeds or _SEEDS[self.size]))

    @property
    def main_rate(self) -> float:
        """The rate of headline and further models: the paper's best, or the highest asked for."""
        rates = self.all_rates
        return MAIN_RATE if MAIN_RATE in rates else max(rates)

    @property
    def all_rates(self) -> tuple[float, ...]:
        """Rates at which every data is mixed in, increasing."""
        return tuple(sorted({0.0, *(self.rates if self.rates is not None else _RATES[self.size])}))


@dataclass(frozen=True)
class Arm:
    """One way of training: what is compared."""

    data: str
    """Of :data:`DATA`."""
    rate: float
    """Mixed-in images for each real one."""
    model: str
    """Of :data:`MODELS`."""
    variant: str
    """Of :data:`VARIANTS`."""

    @property
    def baseline(self) -> Arm:
        """The same on real images only."""
        return Arm(REAL, 0.0, self.model, self.variant)

    @property
    def name(self) -> str:
        """For names of files."""
        return f"{self.model}_{self.variant}_{self.data}_r{self.rate:g}"


def arms_of(options: NafldExperimentOptions) -> dict[Arm, tuple[int, ...]]:
    """Every way of training, with its seeds, in the order of the tables."""
    first, *others = options.all_models
    mixed = [one for one in DATA if one in options.data and one != REAL]
    found: dict[Arm, tuple[int, ...]] = {}
    for variant in options.all_variants:
        seeds = options.all_seeds[:OVERSAMPLED_SEEDS] if variant == "oversampled" else options.all_seeds
        found[Arm(REAL, 0.0, first, variant)] = seeds
        for data in mixed:
            for rate in sorted({*options.all_rates} - {0.0}):
                found[Arm(data, rate, first, variant)] = seeds
    for model in others:
        found[Arm(REAL, 0.0, model, options.all_variants[0])] = options.all_seeds
        if options.leading and options.main_rate > 0:
            arm = Arm(options.leading, options.main_rate, model, options.all_variants[0])
            found[arm] = options.all_seeds
    return found


def _check_names(what, found, known):
    if found is None:
        return
    for one in found:
        if one not in known:
            raise UnsuitableInputError(
                f"An experiment needs {what} among {', '.join(known)}; found {one!r}. Correct --{what}."
            )
    if not found or len(set(found)) < len(found):
        raise UnsuitableInputError(
            f"An experiment needs each of {what} once, and at least one; found {', '.join(found) or 'none'}."
        )
