"""Training of the classifier of fatty liver on real frames, with synthetic or geometric images mixed in.

A training has a fixed number of steps and its last state is kept, as in the paper. By default patients inside the
training part calibrate it: prior, temperature, and the list from which conformal sets and intervals come. In ``paper``
mode every patient is learnt from and nothing is calibrated.

Every step draws from generators seeded by the training's seed and the step, so that a run that was stopped goes on to
the same bytes.

Source: Hardy R et al., Sci Rep 2023, 10.1038/s41598-023-48062-z; SPECS section 2.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from .. import __version__
from ..errors import UnsuitableInputError
from ..io.synthetic_set import check_fold
from ..learning.calibrated_answer import AnswerCalibration
from ..learning.device import choose_device
from ..learning.splits import split_by_patient
from ..learning.training_checkpoint import Checkpoint, arrays_of
from ..learning.training_progress import TrainingProgress
from ..weights import Weights
from .frames import FrameSet, apply_crops, centre_cut, draw_crops, sides_of
from .nafld_mixing import chosen_synthetic, geometric_frames, n_mixed
from .nafld_networks import NafldNetwork, load_imagenet
from .nafld_options import NafldOptions

ARCHITECTURE = "nafld"
"""Name on the card of every model's weights."""
CHECKPOINT = "nafld_checkpoint"
"""Name on the card of a checkpoint."""
MIN_PATIENTS = {"default": 4, "paper": 2}
"""Mode -> patients of each class: both parts of the default mode need both classes."""
WEIGHT_DECAY = 0.01
"""Of AdamW."""
STEPS_A_REPORT = {"small": 25, "paper": 100}
"""Size -> steps between reports, each with its checkpoint."""
EVALUATED = 64
"""Frames evaluated at once."""
METRIC = "none: the last step is kept"
_ORDER, _CROPS, _TORCH, _PARTS = 201, 202, 203, 204
"""What a seed is for."""
_ATTEMPTS = 100
"""Splits that are drawn until both parts have both classes."""


def train_nafld(
    frames: FrameSet,
    options: NafldOptions,
    *,
    synthetic: FrameSet | None = None,
    seen_patients: Collection[str] | None = None,
    validation: FrameSet | None = None,
    folder: Path | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> Weights:
    """Train one classifier.

    Args:
        frames: Real ones of the training patients, of the prepared side of the size.
        options: See :class:`.NafldOptions`.
        synthetic: Images of the side that networks see, of which as many are mixed in as the mixing rate says.
        seen_patients: Everybody whose images their generator saw; needed with them.
        validation: Frames of other patients that calibrate the training instead of some of ``frames``; to report on
            them is optimistic. In ``paper`` mode they only have to be unknown to the generator.
        folder: Keeps a checkpoint; called again with the same input it goes on from there.
        progress: Called before the first and after some steps; it may raise to stop.
    Returns:
        Weights of the architecture :data:`ARCHITECTURE`, with their card.
    Raises:
        UnsuitableInputError: too few patients of a class, frames of another side, images to mix in that are missing,
            of another side, or by a generator that saw others than those learnt from; or no time for all steps.
    """
    check_training_frames(frames, options)
    learnt, checked = _parts(frames, options, seen_patients if synthetic is not None else None, validation)
    mixed = _mixed(learnt, options, synthetic, seen_patients, checked if checked is not None else validation)
    run = _Run(options, learnt, mixed)
    tensors, curve = run.train(folder, progress)
    card = _card(options, learnt, mixed, checked, synthetic is not None) | {"curve": curve}
    tensors["mean_frame"] = np.round(centre_cut(learnt.images, run.side).mean(axis=0)).astype(np.uint8)
    card["calibration"] = AnswerCalibration(run.odds_ratio if options.mode == "default" else 1.0).to_card()
    weights = Weights(tensors, card)
    return weights if checked is None else _calibrated(weights, checked, options)


def training_parts(
    frames: FrameSet, options: NafldOptions, seen_patients: Collection[str] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the frames that are learnt from and of those that calibrate, by patient.

    Args:
        frames: Of the training patients.
        options: With the share and the seed.
        seen_patients: Whose images a generator saw: they do not calibrate.
    Returns:
        Increasing; the second is empty in ``paper`` mode.
    Raises:
        UnsuitableInputError: no patients of both classes are left to calibrate, or to learn from.
    """
    everyone = np.arange(len(frames))
    if options.mode == "paper":
        return everyone, everyone[:0]
    free = np.array([patient not in seen_patients for patient in frames.patient_ids], bool)
    answers = frames.is_fatty[free]
    if not answers.any() or answers.all():
        raise UnsuitableInputError(
            "Calibration needs patients of both classes that the generator did not see; found "
            f"{len(frames.subset(np.flatnonzero(free)).patients)} patient(s) of {'one class' if free.any() else 'none'}"
            ". Train a generator on fewer patients, or take the mode paper, which calibrates nothing."
        )
    free = np.flatnonzero(free)
    n_free = len(frames.subset(free).patients)
    share = options.validation_fraction * len(frames.patients) / n_free
    if share >= 1 - 1 / n_free:
        return np.setdiff1d(everyone, free), free
    patients, shares = [frames.patient_ids[k] for k in free], {"learnt": 1 - share, "checked": share}
    for attempt in range(_ATTEMPTS):
        # A split of a few patients is within two of each class, which may be nobody.
        seed = [options.seed, _PARTS, attempt] if attempt else options.seed
        checked = free[split_by_patient(patients, shares, seed, answers.tolist())["checked"]]
        learnt = np.setdiff1d(everyone, checked)
        if all(0 < frames.is_fatty[part].sum() < part.size for part in (learnt, checked)):
            return learnt, checked
    raise UnsuitableInputError(
        f"Calibration needs patients of both classes; {options.validation_fraction:g} of {len(frames.patients)} "
        "patients leaves one class in a part. Add patients, or take a larger share."
    )


def _parts(frames, options, seen_patients, validation) -> tuple[FrameSet, FrameSet | None]:
    """What is learnt from, and what calibrates."""
    if validation is not None:
        both = sorted(frames.patients & validation.patients)
        if both:
            raise UnsuitableInputError(
                f"Validation needs patients of its own; '{both[0]}' is trained on, too. Split by patient."
            )
        return frames, None if options.mode == "paper" else validation
    learnt, checked = training_parts(frames, options, seen_patients or ())
    return frames.subset(learnt), frames.subset(checked) if checked.size else None


def check_training_frames(frames: FrameSet, options: NafldOptions) -> None:
    """Refuse frames that a training cannot use.

    Raises:
        UnsuitableInputError: frames of another side, a patient with two answers, or too few patients of a class.
    """
    prepared = sides_of(options.size)[0]
    if frames.side != prepared:
        raise UnsuitableInputError(
            f"Training at the size '{options.size}' needs frames of {prepared} x {prepared} pixels; found "
            f"{frames.side}. Prepare them at this size."
        )
    answers = {}
    for patient, is_fatty in zip(frames.patient_ids, frames.is_fatty, strict=True):
        if answers.setdefault(patient, bool(is_fatty)) != is_fatty:
            raise UnsuitableInputError(
                f"Training needs one answer a patient; '{patient}' has frames of both classes. Correct the answers."
            )
    n_fatty, least = sum(answers.values()), MIN_PATIENTS[options.mode]
    if min(n_fatty, len(answers) - n_fatty) < least:
        raise UnsuitableInputError(
            f"Training needs at least {least} patients of each class; found {n_fatty} with fatty liver and "
            f"{len(answers) - n_fatty} without. Label more cases."
        )


def _mixed(learnt, options, synthetic, seen_patients, held_out) -> FrameSet | None:
    """Images that are mixed in, of the side that networks see."""
    n = n_mixed(len(learnt), options.mixing_rate)
    if synthetic is None:
        if options.augment == "geometric":
            return geometric_frames(learnt, n, options.seed, options.size) if n else None
        if n:
            raise UnsuitableInputError(
                f"A mixing rate of {options.mixing_rate:g} needs images to mix in; found none. Give synthetic images, "
                "or take the augmentation 'geometric'."
            )
        return None
    if options.augment != "none":
        raise UnsuitableInputError(
            "A training needs one kind of images to mix in; found synthetic ones and the augmentation "
            f"'{options.augment}'. Leave one out."
        )
    if seen_patients is None:
        raise UnsuitableInputError(
            "Synthetic images need the patients whose images their generator saw; found none named. Read them from the "
            "set's manifest."
        )
    check_fold(seen_patients, learnt.patients, held_out.patients if held_out is not None else ())
    seen = sides_of(options.size)[1]
    if synthetic.side != seen:
        raise UnsuitableInputError(
            f"Synthetic images need {seen} x {seen} pixels at the size '{options.size}'; found {synthetic.side}. Draw "
            "them by a generator of this size."
        )
    return chosen_synthetic(synthetic, n, options.seed) if n else None


def _card(options: NafldOptions, learnt, mixed, checked, is_synthetic) -> dict:
    parts = [learnt] + ([checked] if checked is not None else [])
    n = sum(len(part.patients) for part in parts)
    is_simulated = any(part.is_simulated for part in parts)
    kind = "simulated patients" if is_simulated else "patients"
    about = f"{n} {kind}: {len(learnt.patients)} to learn from, {n - len(learnt.patients)} to calibrate"
    if mixed is not None:
        about += f"; {len(mixed)} {'synthetic' if is_synthetic else 'geometrically changed'} images mixed in"
    return {
        "name": f"Fatty liver (NAFLD), {options.model}",
        "architecture": ARCHITECTURE,
        "config": {"model": options.model, "mode": options.mode, "size": options.size},
        "version": __version__,
        "trained_on": about,
        "is_trained_on_simulated_data": is_simulated or bool(mixed is not None and mixed.is_simulated),
        "n_training_patients": len(learnt.patients),
        "n_training_frames": len(learnt),
        "n_mixed_in": 0 if mixed is None else len(mixed),
        "n_calibration_patients": n - len(learnt.patients),
        "options": {k: v for k, v in asdict(options).items() if k not in ("device", "imagenet", "max_minutes")},
        "started_from": "ImageNet" if options.imagenet else "nothing",
        "use": "Research tool, not a medical device. Probability of fatty liver from B-mode frames.",
    }


def _calibrated(weights: Weights, checked: FrameSet, options: NafldOptions) -> Weights:
    """Temperature, and what intervals and conformal sets are made of, on the card."""
    from .nafld import by_patient, predict_logits

    logits, labels = by_patient(checked, predict_logits(checked, weights))[:2]
    found = AnswerCalibration.fit(logits, labels, options.seed, weights.card["calibration"]["odds_ratio"])
    weights.card["calibration"] = found.to_card()
    return weights


class _Run:
    """One training of a network."""

    def __init__(self, options: NafldOptions, learnt: FrameSet, mixed: FrameSet | None):
        self.options, self.learnt, self.mixed = options, learnt, mixed
        self.device, self.side = choose_device(options.device), sides_of(options.size)[1]
        with torch.random.fork_rng():
            torch.manual_seed(options.seed)
            self.network = NafldNetwork(options.model)
        if options.imagenet:
            load_imagenet(self.network, options.imagenet, options.imagenet_sha256)
        self.network.freeze(options.frozen)
        self.network.to(self.device)
        trained = [p for p in self.network.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(trained, options.rate, weight_decay=WEIGHT_DECAY)
        self.drawn = _drawn(learnt, options.is_oversampled, options.seed)
        labels = np.concatenate([learnt.is_fatty[self.drawn], *([mixed.is_fatty] if mixed is not None else [])])
        n, n_true = labels.size, int(labels.sum())
        self.class_weights = (n / (2 * (n - n_true)), n / (2 * n_true)) if options.has_class_weights else (1.0, 1.0)
        answers = dict(zip(learnt.patient_ids, learnt.is_fatty.tolist(), strict=True))
        real = sum(answers.values()) / len(answers)  # Of patients, whom answers are on, however many frames each has.
        odds = 1.0 if options.has_class_weights else n_true / (n - n_true)
        self.odds_ratio = float(odds * (1 - real) / real)

    def train(self, folder, progress):
        """Tensors after the last step, and the curve."""
        chunk, n_steps = STEPS_A_REPORT[self.options.size], self.options.n_steps
        checkpoint = Checkpoint(folder, CHECKPOINT, self._config(), self.network, self.optimiser)
        state = checkpoint.load(worst=0.0)
        state.best = {}
        started, first = time.monotonic(), state.epoch
        told = progress or (lambda report: None)
        told(TrainingProgress("training", state.epoch, n_steps, None, None, METRIC, None))
        self.network.train()
        while state.epoch < n_steps:
            end = min(state.epoch + chunk, n_steps)
            loss = float(np.mean([self._step(k) for k in range(state.epoch, end)]))
            state.epoch = end
            state.curve.append({"step": end, "loss": round(loss, 5)})
            checkpoint.write(state)
            eta = (time.monotonic() - started) / (end - first) * (n_steps - end)
            told(TrainingProgress("training", end, n_steps, loss, None, METRIC, eta))
            limit = self.options.max_minutes
            if limit is not None and time.monotonic() - started > 60 * limit and end < n_steps:
                raise UnsuitableInputError(
                    "The time for training is over before its last step; what was learnt is kept. Start it again to "
                    "go on."
                )
        return arrays_of(self.network), state.curve

    def _config(self) -> dict:
        """What a checkpoint of another training would not share."""
        kept = {k: v for k, v in asdict(self.options).items() if k not in ("device", "max_minutes")}
        return {
            "options": kept,
            "frames": self.learnt.digest(),
            "mixed_in": None if self.mixed is None else self.mixed.digest(),
        }

    def _step(self, step: int) -> float:
        images, labels = self.batch(step)
        x = torch.from_numpy(images).to(self.device).float()[:, None] / 127.5 - 1
        y = torch.from_numpy(labels.astype(np.float32)).to(self.device)
        weight = torch.where(y > 0, self.class_weights[1], self.class_weights[0])
        rate = self.options.rate * _share_of_rate(self.options, step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with torch.random.fork_rng():
            torch.manual_seed(int(np.random.SeedSequence([self.options.seed, _TORCH, step]).generate_state(1)[0]))
            with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
                logits = self.network(x)
            loss = functional.binary_cross_entropy_with_logits(logits.float(), y, weight)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
        return float(loss.detach())

    def batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Images, shape (n, side, side), uint8, and answers of one step: real frames cropped at random, others as is.

        Every image is used once before one is used again, in another order each time.
        """
        size, seed = self.options.batch_size, self.options.seed
        n_real = self.drawn.size
        n = n_real + (0 if self.mixed is None else len(self.mixed))
        places = np.arange(step * size, (step + 1) * size)
        rounds = {k: np.random.default_rng([seed, _ORDER, k]).permutation(n) for k in np.unique(places // n)}
        chosen = np.array([rounds[place // n][place % n] for place in places])
        is_real = chosen < n_real
        images = np.empty((size, self.side, self.side), np.uint8)
        labels = np.empty(size, bool)
        real = self.drawn[chosen[is_real]]
        crops = draw_crops(real.size, np.random.default_rng([seed, _CROPS, step]))
        if real.size:
            images[is_real] = apply_crops(self.learnt.images[real], crops, self.side)
            labels[is_real] = self.learnt.is_fatty[real]
        if not is_real.all():
            others = chosen[~is_real] - n_real
            images[~is_real], labels[~is_real] = self.mixed.images[others], self.mixed.is_fatty[others]
        return images, labels


def _drawn(learnt: FrameSet, is_oversampled: bool, seed: int) -> np.ndarray:
    """Indices of real frames, those of the rarer class several times where it is oversampled."""
    everyone = np.arange(len(learnt))
    if not is_oversampled:
        return everyone
    fatty, healthy = np.flatnonzero(learnt.is_fatty), np.flatnonzero(~learnt.is_fatty)
    rarer = min(fatty, healthy, key=len)
    n_more = abs(fatty.size - healthy.size)
    rng = np.random.default_rng([seed, _ORDER])
    more = np.concatenate([rng.permutation(rarer) for _ in range(-(-n_more // rarer.size))] or [rarer[:0]])[:n_more]
    return np.concatenate([everyone, more])


def _share_of_rate(options: NafldOptions, step: int) -> float:
    """The paper's rate is constant; the small network's falls to 0 by a cosine."""
    return 1.0 if options.model != "small" else 0.5 * (1 + np.cos(np.pi * step / options.n_steps))
