"""Adapting AI-DEAL to a site's own scans: the losses need no labels, so unlabelled scans will do.

Whole patients are held out. Their residual, what the one-shot answer leaves of the signal unexplained, says whether the
adapted networks are better; the answer is refused publication if they are not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..errors import UnsuitableInputError
from ..io.study import MultiEchoStudy
from ..learning.device import DEVICES, choose_device
from ..learning.splits import split_by_patient
from ..learning.training_progress import TrainingProgress
from ..units import ppm_to_hz
from ..weights import Weights
from .ai_deal import AiDeal, weighted_least_squares
from .ai_deal_networks import ARCHITECTURE, AiDealNetworks
from .declared_acquisition import resolve_acquisition
from .fat_spectra import get_spectrum
from .field_candidates import assumed_r2_star
from .noise import noise_variance, signal_energy
from .pdff_options import PdffOptions
from .signal_model import design_matrix
from .slice_problem import slice_problems

SPECTRUM = "hamilton_2011"
"""Fat spectrum of the losses."""
STAGE, LEARNING_RATE = "D", 1e-4
"""Stage of the training that adapts, and its learning rate at the start: a third of that of the stage before it."""
CALIBRATION_SEED = 7
"""Of the simulated slices on which deviations are calibrated anew."""
FIELD_SHIFT_PPM, FIELD_SLOPE_PPM = 1.0, 0.5
"""Standard deviations of the constant and the slope by which the field of a drawn slice is changed."""
DROP_ECHOES = 0.3
"""Chance that a drawn slice loses echoes, down to four."""
METRIC = "unexplained signal on held-out patients"
"""What the validation measures: root mean square over tissue, as a fraction of the signal."""


@dataclass(frozen=True)
class AdaptOptions:
    """What can be asked of an adaptation.

    Raises:
        UnsuitableInputError: a value out of its range.
    """

    epochs: int = 20
    """How often every slice is seen."""
    max_minutes: float | None = None
    """Stop after so long and keep the checkpoint; None: no limit."""
    seed: int = 0
    """Of the split and of every draw."""
    device: str = "auto"
    """"cpu", "cuda", or "auto" for a GPU when there is one."""
    validation_fraction: float = 0.2
    """Share of the patients that is held out."""
    calibration_slices: int = 12
    """Simulated slices, acquired as the site's, on which one-shot deviations are calibrated anew; 0: none are claimed
    to hold."""

    def __post_init__(self):
        if not 1 <= self.epochs <= 10_000:
            raise UnsuitableInputError(f"An adaptation needs 1 to 10000 epochs; found {self.epochs}.")
        if not 0.05 <= self.validation_fraction <= 0.5:
            raise UnsuitableInputError(
                f"The share of held-out patients needs to be between 0.05 and 0.5; found {self.validation_fraction:g}."
            )
        if self.device not in DEVICES:
            raise UnsuitableInputError(f"The device needs to be auto, cpu or cuda; found {self.device!r}.")
        if not 0 <= self.calibration_slices <= 1000:
            raise UnsuitableInputError(
                f"A calibration needs 0 to 1000 simulated slices; found {self.calibration_slices}."
            )
        if self.max_minutes is not None and not self.max_minutes > 0:
            raise UnsuitableInputError(
                f"The minutes of an adaptation need to be above 0; found {self.max_minutes:g}. Leave them out for none."
            )


@dataclass(frozen=True)
class AdaptResult:
    """Adapted weights, and whether they are better."""

    weights: Weights
    """With a card that names what they were adapted to."""
    validation_before: float
    """:data:`METRIC` with the weights at the start."""
    validation_after: float
    """The same with the adapted ones."""
    is_better: bool
    """Whether it fell."""
    n_training_slices: int
    """Slices learnt from."""
    n_validation_slices: int
    """Slices held out."""


def adapt(
    studies: Sequence[MultiEchoStudy],
    *,
    start: Weights,
    folder: Path,
    options: AdaptOptions | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> AdaptResult:
    """Train the networks further on unlabelled studies.

    Args:
        studies: Complex-valued, of at least two patients.
        start: Weights to start from.
        folder: Keeps the checkpoint; called again with the same folder and input, it goes on from there.
        options: See :class:`AdaptOptions`.
        progress: Called once before, after each epoch, and once after; it may raise to stop.
    Raises:
        UnsuitableInputError: fewer than two patients with complex images, or no time for a single epoch.
    """
    from .ai_deal_training import Stage, train

    options = options or AdaptOptions()
    told = progress or (lambda report: None)
    usable = [study for study in studies if not study.is_magnitude_only]
    patients = [study.patient_id or study.case_id for study in usable]
    if len(set(patients)) < 2:
        raise UnsuitableInputError(
            f"Adapting needs complex scans of at least two patients, one of them held out; found {len(set(patients))}. "
            "Import more cases."
        )
    held_out = max(options.validation_fraction, 1 / len(set(patients)))
    parts = split_by_patient(patients, {"training": 1 - held_out, "validation": held_out}, options.seed)
    learnt, checked = ([ResolvedStudy.of(usable[k]) for k in parts[name]] for name in ("training", "validation"))
    n_slices = sum(study.signal.shape[3] for study in learnt)
    before = unexplained_signal(AiDeal(start), checked)
    told(TrainingProgress(STAGE, 0, options.epochs, None, before, METRIC, None))
    n_steps = options.epochs * n_slices
    device = choose_device(options.device)
    networks = AiDealNetworks.from_weights(start)
    deadline = _Deadline(options.max_minutes)

    def report(step):
        epoch = min(options.epochs, step.done * options.epochs // step.total)
        told(TrainingProgress(step.stage, epoch, options.epochs, step.loss, None, METRIC, step.eta_s))
        if step.done < step.total:
            deadline.check()

    train(
        networks,
        _Draw(learnt),
        (Stage(STAGE, n_steps, LEARNING_RATE),),
        seed=options.seed,
        device=device,
        folder=folder,
        report_every=n_slices,
        progress=report,
        data=_digest(start, learnt),
    )
    card = {
        **start.card,
        "architecture": ARCHITECTURE,
        "config": networks.config(),
        "trained_on": f"{start.card.get('trained_on', 'unknown')}; adapted without labels to {n_slices} slices of "
        f"{len(learnt)} studies of this site",
        "adaptation": {
            "options": asdict(options),
            "n_training_slices": n_slices,
            "n_validation_slices": sum(study.signal.shape[3] for study in checked),
            "metric": METRIC,
            "is_simulated": any(study.is_simulated for study in usable),
        },
    }
    weights = Weights(networks.tensors(), card)
    after = unexplained_signal(AiDeal(weights), checked)
    # What is not published needs no simulation; nor does it keep a claim that was made for other networks.
    n_calibrated = options.calibration_slices if after < before else 0
    card["calibration"] = _calibration(networks, card, learnt, options.seed, n_calibrated)
    card["adaptation"] |= {"validation_before": round(before, 6), "validation_after": round(after, 6)}
    told(TrainingProgress(STAGE, options.epochs, options.epochs, None, after, METRIC, 0.0))
    return AdaptResult(weights, before, after, after < before, n_slices, card["adaptation"]["n_validation_slices"])


def _calibration(networks, card, learnt, seed, n_slices):
    from .ai_deal_calibration import recalibrate_one_shot
    from .training_slices import SliceBank

    bank = SliceBank.simulate(n_slices, CALIBRATION_SEED) if n_slices else None
    protocols = [(study.field_strength_t, study.echo_times_s) for study in learnt]
    return recalibrate_one_shot(networks.tensors(), card, bank, protocols, n_slices, seed)


def _digest(start, studies):
    """Of the weights at the start and the studies learnt from."""
    digest = hashlib.sha256()
    for array in (*(start.tensors[name] for name in sorted(start.tensors)), *(study.signal for study in studies)):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


class _Deadline:
    """Raises when the time is over; the checkpoint is kept."""

    def __init__(self, max_minutes):
        import time

        self.clock = time.monotonic
        self.end = None if max_minutes is None else self.clock() + 60 * max_minutes

    def check(self):
        if self.end is not None and self.clock() > self.end:
            raise UnsuitableInputError(
                "The time for adapting is over before its last epoch; what was learnt is kept. Start it again to go on."
            )


@dataclass(frozen=True)
class ResolvedStudy:
    """A study in the model's sign of precession, its largest magnitude 1, with its noise."""

    signal: np.ndarray
    echo_times_s: np.ndarray
    field_strength_t: float
    noise_std: float
    study: MultiEchoStudy

    @classmethod
    def of(cls, study: MultiEchoStudy) -> ResolvedStudy:
        """Find the sign, the odd/even phase and the noise of a study."""
        if not study.signal.any():
            raise UnsuitableInputError(
                f"Adapting needs images with signal; every pixel of {study.case_id} is 0. Leave the case out."
            )
        study = study.with_fields(signal=study.signal / np.float32(np.abs(study.signal).max()))
        basis = design_matrix(study.echo_times_s, study.field_strength_t, get_spectrum(SPECTRUM))
        fixed = assumed_r2_star(study.echo_times_s, study.field_strength_t)
        study, _, _ = resolve_acquisition(study, basis, PdffOptions(spectrum=SPECTRUM), fixed)
        noise_std = float(np.sqrt(noise_variance(study, basis, fixed)))
        return cls(study.signal, study.echo_times_s, study.field_strength_t, noise_std, study)


@dataclass(frozen=True)
class _Acquired:
    signal: np.ndarray
    echo_times_s: np.ndarray
    field_strength_t: float
    noise_std: float


class _Draw:
    """A slice of the studies, turned, its field and echoes changed; what is changed stays true to the physics."""

    def __init__(self, studies):
        self.studies = studies
        self.places = [(k, z) for k, study in enumerate(studies) for z in range(study.signal.shape[3])]

    def __call__(self, rng: np.random.Generator) -> _Acquired:
        k, z = self.places[rng.integers(len(self.places))]
        study = self.studies[k]
        signal, times = study.signal[..., z], study.echo_times_s
        if times.size > 4 and rng.random() < DROP_ECHOES:
            kept = np.sort(rng.permutation(times.size)[: rng.integers(4, times.size)])
            signal, times = signal[kept], times[kept]
        signal = np.rot90(signal, int(rng.integers(4)), axes=(1, 2))
        signal = signal[:, ::-1] if rng.random() < 0.5 else signal
        x, y = np.meshgrid(*(np.linspace(-1, 1, n) for n in signal.shape[1:]), indexing="ij")
        ppm = rng.normal(0, FIELD_SHIFT_PPM) + rng.normal(0, FIELD_SLOPE_PPM) * x + rng.normal(0, FIELD_SLOPE_PPM) * y
        field_hz = ppm_to_hz(ppm, study.field_strength_t)
        turned = signal * np.exp(2j * np.pi * times[:, None, None] * field_hz)
        return _Acquired(np.ascontiguousarray(turned, np.complex64), times, study.field_strength_t, study.noise_std)


def unexplained_signal(ai_deal: AiDeal, studies: Sequence[ResolvedStudy]) -> float:
    """Root mean square of what the one-shot answer leaves, as a fraction of the signal, over the tissue voxels."""
    shares = []
    for study in studies:
        basis = design_matrix(study.echo_times_s, study.field_strength_t, get_spectrum(SPECTRUM))
        fixed = assumed_r2_star(study.echo_times_s, study.field_strength_t)
        for problem in slice_problems(study.study, basis, study.noise_std**2, fixed):
            if problem.mask.any():
                answer = ai_deal.answer(problem)
                fit, _ = weighted_least_squares(problem.voxels, study.echo_times_s, basis, answer, problem.variance)
                share = fit.residual / signal_energy(problem.voxels)
                shares.append(np.clip(share, 0, 1))
    return float(np.sqrt(np.concatenate(shares).mean()))
