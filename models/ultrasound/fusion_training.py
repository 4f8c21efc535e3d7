"""Training of the models of fibrotic NASH: image networks by gradient descent, values by logistic regression.

Patients inside the training part, chosen by :mod:`..learning.splits`, stop the training and calibrate it: prior and
temperature of the log-odds, and the list from which conformal sets and intervals come. In ``paper`` mode the sampler
and the weights of the loss both favour the rare class, as the text has it, nothing is corrected, and ``validation`` may
be the very fold that is reported.

Every epoch draws from generators seeded by the training's seed and the epoch, so that a run that was stopped goes on to
the same bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from .. import __version__
from ..errors import UnsuitableInputError
from ..learning.calibrated_answer import AnswerCalibration
from ..learning.device import choose_device
from ..learning.probability_calibration import prior_corrected_logit
from ..learning.splits import split_by_patient
from ..learning.training_checkpoint import Checkpoint, arrays_of, digest_of
from ..learning.training_progress import TrainingProgress
from ..weights import Weights
from .fusion_data import Standard, changed, draw_changes, feature_names, features_of, prepare_pairs
from .fusion_networks import FusionNetwork
from .fusion_options import EPOCHS, IMAGE_SIZES, LEARNING_RATES, PATIENCE, VALUE_MODELS, FusionOptions
from .imagenet_weights import load_imagenet
from .subject import UltrasoundSubject

ARCHITECTURE = "reshy_net"
"""Name on the card of every model's weights."""
CHECKPOINT = "reshy_net_checkpoint"
"""Name on the card of a checkpoint."""
MIN_SUBJECTS, MIN_OF_A_CLASS = 8, 4
"""Subjects to train on, in all and of each class: both parts need both classes."""
IMAGE_DROPOUT, VALUE_DROPOUT = 0.15, 0.1
"""Chance that a pair loses a kind of image, and a subject a value, so that answers without them are learnt too."""
WEIGHT_DECAY = 1e-2
"""Of AdamW for small networks; the paper's Adam has none."""
REGULARISATION = 1.0
"""Inverse penalty of the logistic regressions, on standardised values."""
EVALUATED = 32
"""Pairs evaluated at once."""
METRIC = "negative log-likelihood of validation subjects"
"""What stops a training."""


def train_fusion(
    subjects: Sequence[UltrasoundSubject],
    options: FusionOptions,
    *,
    validation: Sequence[UltrasoundSubject] | None = None,
    folder: Path | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> Weights:
    """Train one model.

    Args:
        subjects: With known answers.
        options: See :class:`.FusionOptions`.
        validation: Subjects that stop and calibrate the training instead of patients of ``subjects``; to report on
            them is optimistic.
        folder: Keeps a checkpoint each epoch; called again with the same input it goes on from there.
        progress: Called before the first and after each epoch; it may raise to stop.
    Returns:
        Weights of the architecture :data:`ARCHITECTURE`, with their card.
    Raises:
        UnsuitableInputError: too few subjects, one class only, images that nobody has, or no time for all epochs.
    """
    subjects = list(subjects)
    labels = _checked_labels(subjects)
    if validation is None:
        patients = [subject.patient_id for subject in subjects]
        shares = {"training": 1 - options.validation_fraction, "validation": options.validation_fraction}
        parts = split_by_patient(patients, shares, options.seed, labels)
        learnt, checked = ([subjects[k] for k in parts[name]] for name in ("training", "validation"))
    else:
        learnt, checked = subjects, list(validation)
    names = feature_names(options.model)
    standard = Standard.of(features_of(learnt, names)) if names else Standard.of(np.empty((0, 0)))
    card = _card(options, learnt, checked, names, standard)
    if options.model in VALUE_MODELS:
        tensors, curve = _fit_values(learnt, names, standard), []
    else:
        tensors, curve = _Run(options, learnt, checked, names, standard).train(folder, progress)
    card["curve"] = curve
    n_true = sum(subject.is_fibrotic_nash for subject in learnt)
    is_balanced = options.mode == "default" and options.model not in VALUE_MODELS
    odds_ratio = (len(learnt) - n_true) / n_true if is_balanced else 1.0
    card["calibration"] = AnswerCalibration(float(odds_ratio)).to_card()
    return _calibrated(Weights(tensors, card), checked, options)


def _checked_labels(subjects) -> list[bool]:
    labels = [subject.is_fibrotic_nash for subject in subjects]
    if any(label is None for label in labels):
        raise UnsuitableInputError(
            f"Training needs the answer of every subject; {sum(label is None for label in labels)} of {len(labels)} "
            "have "
            "none. Label them, or leave them out."
        )
    n_true = sum(labels)
    if len(labels) < MIN_SUBJECTS or min(n_true, len(labels) - n_true) < MIN_OF_A_CLASS:
        raise UnsuitableInputError(
            f"Training needs at least {MIN_SUBJECTS} subjects, {MIN_OF_A_CLASS} of each class; found {n_true} with "
            "fibrotic "
            f"NASH and {len(labels) - n_true} without. Label more cases."
        )
    return [bool(label) for label in labels]


def _card(options: FusionOptions, learnt, checked, names, standard) -> dict:
    n_simulated = sum(subject.is_simulated for subject in [*learnt, *checked])
    n = len(learnt) + len(checked)
    kind = "simulated subjects only" if n_simulated == n else f"{n} subjects, {n_simulated} of them simulated"
    return {
        "name": f"Fibrotic NASH, {options.model}",
        "architecture": ARCHITECTURE,
        "config": {
            "model": options.model,
            "mode": options.mode,
            "size": options.size,
            "features": list(names),
            "median": [float(v) for v in standard.median],
            "mean": [float(v) for v in standard.mean],
            "std": [float(v) for v in standard.std],
        },
        "version": __version__,
        "trained_on": f"{kind}: {len({s.patient_id for s in learnt})} patients to learn from, "
        f"{len({s.patient_id for s in checked})} to stop and calibrate",
        "is_trained_on_simulated_data": n_simulated > 0,
        "n_training_subjects": len(learnt),
        "n_validation_subjects": len(checked),
        "options": {k: v for k, v in asdict(options).items() if k not in ("device", "imagenet", "max_minutes")},
        "started_from": "ImageNet" if options.imagenet else "nothing",
        "use": "Research tool, not a medical device. Probability of fibrotic NASH from the inputs it names.",
    }


def _fit_values(learnt, names, standard, is_balanced=False) -> dict[str, np.ndarray]:
    from sklearn.linear_model import LogisticRegression

    x, weight = standard.apply(features_of(learnt, names)), "balanced" if is_balanced else None
    model = LogisticRegression(C=REGULARISATION, class_weight=weight, max_iter=1000)
    fit = model.fit(x, [s.is_fibrotic_nash for s in learnt])
    return {"coefficient": fit.coef_[0].astype(np.float32), "intercept": fit.intercept_.astype(np.float32)}


def _calibrated(weights: Weights, checked, options: FusionOptions) -> Weights:
    """Temperature, and what intervals and conformal sets are made of, on the card."""
    from .fusion import predict_logits

    labels = [bool(subject.is_fibrotic_nash) for subject in checked]
    odds_ratio = weights.card["calibration"]["odds_ratio"]
    logits, has_temperature = predict_logits(checked, weights), options.mode == "default"
    found = AnswerCalibration.fit(logits, labels, options.seed, odds_ratio, has_temperature)
    weights.card["calibration"] = found.to_card()
    return weights


class _Run:
    """One training of an image network."""

    def __init__(self, options: FusionOptions, learnt, checked, names, standard):
        self.options, self.device = options, choose_device(options.device)
        size, is_paper = IMAGE_SIZES[options.size], options.mode == "paper"
        self.sets = [
            _Prepared(prepare_pairs(part, options.images, size, is_paper), part, names, standard)
            for part in (learnt, checked)
        ]
        for kind in options.images:
            if not self.sets[0].pairs.present[kind].any():
                raise UnsuitableInputError(
                    f"The model '{options.model}' needs {kind} images; no training subject has one. Choose another "
                    "model, or "
                    "import them."
                )
        with torch.random.fork_rng():
            torch.manual_seed(options.seed)
            self.network = FusionNetwork(options, len(names))
        if names and not is_paper:
            fitted = _fit_values(learnt, names, standard, is_balanced=True)
            with torch.no_grad():
                self.network.linear.weight.copy_(torch.from_numpy(fitted["coefficient"])[None])
                self.network.linear.bias.copy_(torch.from_numpy(fitted["intercept"]))
        for branch in self.network.branches.values() if options.imagenet else ():
            load_imagenet(branch, options.imagenet, options.imagenet_sha256)
            if options.n_frozen_stages:
                branch.freeze(options.n_frozen_stages)
        self.network.to(self.device)
        rate = options.learning_rate or LEARNING_RATES[options.size]
        trained = [p for p in self.network.parameters() if p.requires_grad]
        if options.mode == "paper" or options.size == "full":
            self.optimiser = torch.optim.Adam(trained, rate)
        else:
            self.optimiser = torch.optim.AdamW(trained, rate, weight_decay=WEIGHT_DECAY)
        self.n_epochs = options.epochs or EPOCHS[options.size]
        self.patience = options.patience or PATIENCE[options.size]

    def train(self, folder, progress):
        """Tensors of the best epoch and the curve."""
        checkpoint = Checkpoint(folder, CHECKPOINT, self._config(), self.network, self.optimiser)
        state = checkpoint.load(worst=float("inf"))
        started, first = time.monotonic(), state.epoch
        told = progress or (lambda report: None)
        if state.epoch == 0:
            state.best_metric = self._validation_loss()
        told(TrainingProgress("training", state.epoch, self.n_epochs, None, state.best_metric, METRIC, None))
        while state.epoch < self.n_epochs and state.epoch - state.best_epoch < self.patience:
            with torch.random.fork_rng():
                torch.manual_seed(self.options.seed * 100_003 + state.epoch)
                loss = self._epoch(state.epoch)
            metric = self._validation_loss()
            state.epoch += 1
            state.curve.append({"epoch": state.epoch, "loss": round(loss, 5), "validation": round(metric, 5)})
            if metric < state.best_metric:
                state.best_metric, state.best_epoch, state.best = metric, state.epoch, arrays_of(self.network)
            checkpoint.write(state)
            pace = (time.monotonic() - started) / (state.epoch - first)
            eta = pace * (self.n_epochs - state.epoch)
            told(TrainingProgress("training", state.epoch, self.n_epochs, loss, metric, METRIC, eta))
            limit = self.options.max_minutes
            if limit is not None and time.monotonic() - started > 60 * limit and state.epoch < self.n_epochs:
                raise UnsuitableInputError(
                    "The time for training is over before its last epoch; what was learnt is kept. Start it again to "
                    "go on."
                )
        return state.best, state.curve

    def _config(self) -> dict:
        """What a checkpoint of another training would not share."""
        kept = {k: v for k, v in asdict(self.options).items() if k not in ("device", "max_minutes", "epochs")}
        return {"options": kept, "data": digest_of(array for one in self.sets for array in one.arrays())}

    def _epoch(self, epoch) -> float:
        prepared, losses = self.sets[0], []
        generator = torch.Generator().manual_seed(self.options.seed * 100_003 + epoch)
        weights = prepared.sampling_weights()
        order = torch.multinomial(weights, len(prepared.pairs), replacement=True, generator=generator)
        self.network.train()
        for batch in order.split(self.options.batch_size):
            loss = self.loss(batch, generator)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            losses.append(float(loss.detach()) * len(batch))
        return sum(losses) / len(order)

    def loss(self, batch, generator) -> torch.Tensor:
        """Mean loss of one batch of training pairs, changed at random."""
        prepared, is_paper = self.sets[0], self.options.mode == "paper"
        images, present, clinical, labels = prepared.batch(batch, self.device)
        changes = draw_changes(len(batch), generator)
        images = {kind: changed(image, kind, changes) for kind, image in images.items()}
        if not is_paper:
            present, clinical = _dropped(present, clinical, generator)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
            logits = self.network(images, present, clinical)
        weight = prepared.class_weights(labels) if is_paper else None
        return functional.binary_cross_entropy_with_logits(logits.float(), labels, weight)

    def _validation_loss(self) -> float:
        """Mean negative log-likelihood of subjects, the balanced sampling undone."""
        prepared, learnt = self.sets[1], self.sets[0].subject_labels
        logits = evaluate(self.network, prepared, self.device)
        if self.options.mode == "default":
            logits = prior_corrected_logit(logits, (~learnt).sum() / learnt.sum())
        mean = np.bincount(prepared.pairs.subject, logits) / np.bincount(prepared.pairs.subject)
        return float(np.logaddexp(0, np.where(prepared.subject_labels, -1, 1) * mean).mean())


class _Prepared:
    """Pairs with their subjects' values and answers."""

    def __init__(self, pairs, subjects, names, standard):
        self.pairs = pairs
        self.subject_labels = np.array([bool(subject.is_fibrotic_nash) for subject in subjects])
        values = standard.apply(features_of(subjects, names)) if names else None
        self.clinical = None if values is None else torch.from_numpy(values[pairs.subject])
        self.labels = torch.from_numpy(self.subject_labels[pairs.subject]).float()

    def arrays(self) -> list[np.ndarray]:
        """All that is learnt from and stopped by: images, which are there, whose they are, answers, values."""
        pairs = self.pairs
        arrays = [*pairs.images.values(), *pairs.present.values(), pairs.subject, self.subject_labels]
        return arrays if self.clinical is None else [*arrays, self.clinical.numpy()]

    def batch(self, index, device):
        """Images, which are there, values and answers of some pairs."""
        k = index.numpy()
        images = {kind: torch.from_numpy(v[k]).to(device).float() for kind, v in self.pairs.images.items()}
        present = {kind: torch.from_numpy(v[k]).to(device) for kind, v in self.pairs.present.items()}
        clinical = None if self.clinical is None else self.clinical[index].to(device)
        return images, present, clinical, self.labels[index].to(device)

    def sampling_weights(self) -> torch.Tensor:
        """Both classes equally often, and subjects equally often whatever their number of images."""
        n_pairs = np.bincount(self.pairs.subject)[self.pairs.subject]
        is_true = self.subject_labels
        n_class = np.where(is_true, is_true.sum(), (~is_true).sum())[self.pairs.subject]
        return torch.from_numpy(1.0 / (n_pairs * n_class))

    def class_weights(self, labels) -> torch.Tensor:
        """The paper's w_c = N/2N_c."""
        n, n_true = self.subject_labels.size, self.subject_labels.sum()
        return torch.where(labels > 0, n / (2 * n_true), n / (2 * (n - n_true)))


def evaluate(network: FusionNetwork, prepared: _Prepared, device: str = "cpu") -> np.ndarray:
    """Log-odds of every pair as the network gives them, shape (n_pairs,)."""
    network.eval()
    with torch.inference_mode():
        found = [
            network(*prepared.batch(batch, device)[:3]).float().cpu()
            for batch in torch.arange(len(prepared.pairs)).split(EVALUATED)
        ]
    return torch.cat(found).double().numpy()


def _dropped(present, clinical, generator):
    """Some images and values taken away."""
    if len(present) > 1 or clinical is not None:
        n = len(next(iter(present.values())))
        lost = {kind: torch.rand(n, generator=generator) < IMAGE_DROPOUT for kind in present}
        present = {kind: there & ~lost[kind].to(there.device) for kind, there in present.items()}
    if clinical is not None:
        n_values = clinical.shape[1] // 2
        gone = (torch.rand(len(clinical), n_values, generator=generator) < VALUE_DROPOUT).to(clinical.device)
        values, flags = clinical[:, :n_values], clinical[:, n_values:]
        clinical = torch.cat([torch.where(gone, torch.zeros_like(values), values), flags.maximum(gone.float())], dim=1)
    return present, clinical
