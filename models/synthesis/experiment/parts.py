"""The parts that units are computed with, each behind one function of plain arguments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...io.synthetic_set import SyntheticManifest, read_manifest
from ...learning.splits import cross_validation
from ...ultrasound.answer_maps import laid_on
from ...ultrasound.frames import FrameSet, centre_cut
from ...ultrasound.fusion_data import Box
from ...ultrasound.nafld import NafldModel, predict_logits
from ...ultrasound.nafld_baselines import measured_frames
from ...ultrasound.nafld_mixing import read_synthetic
from ...ultrasound.nafld_options import NafldOptions
from ...ultrasound.nafld_training import train_nafld
from ...ultrasound.phantom_nafld import simulate_nafld_cohort
from ...weights import Weights
from ..gan_options import GanOptions
from ..generator import frames_as_made, train_generator
from ..ldm_options import AutoencoderSize, LdmOptions
from .gan_plan import split_of_repeat


def simulate_frames(
    n_healthy: int, n_fatty: int, n_frames: int, seed: int, size: str
) -> tuple[FrameSet, dict[str, np.ndarray]]:
    """Frames of simulated patients, and what is measured in the true regions of each."""
    return measured_frames(simulate_nafld_cohort(n_healthy, n_fatty, n_frames, seed, size))


def split_of(frames: FrameSet, split: list) -> tuple[np.ndarray, np.ndarray]:
    """Training and held-out frames that a unit's parameter names: a fold, or a repeated random split."""
    if split[0] == "folds":
        _, n_folds, seed, fold = split
        return cross_validation(frames.patient_ids, n_folds, seed, [bool(one) for one in frames.is_fatty])[fold]
    _, seed, repeat = split
    return split_of_repeat(frames, seed, repeat)


def kept_autoencoder(
    frames: FrameSet, size: str, seed: int, device: str, shape: Mapping[str, Any], folder: Path
) -> None:
    """Train an autoencoder that diffusion models of these frames share; it lies in the folder."""
    from ..autoencoder import trained_autoencoder

    settled = AutoencoderSize(**{**shape, "channels": tuple(shape["channels"])})
    options = LdmOptions(size=size, seed=seed, device=device)
    trained_autoencoder(frames.images, settled, options, digest=frames.digest(), folder=folder)


def trained_generator(
    kind: str,
    frames: FrameSet,
    size: str,
    seed: int,
    device: str,
    options: Mapping[str, Any],
    folder: Path,
    autoencoders: Path | None,
) -> Weights:
    """A generator of these frames; it goes on from what the folder holds, and takes its autoencoder from another."""
    if kind == "stacked_gan":
        asked: Any = GanOptions(size=size, seed=seed, device=device, **options)
    else:
        cache = None if autoencoders is None else str(autoencoders)
        asked = LdmOptions(size=size, seed=seed, device=device, cache=cache, **options)
    return train_generator(kind, frames, asked, folder=folder)


def drawn_set(
    weights: Weights,
    frames: FrameSet,
    n_healthy: int,
    n_fatty: int,
    seed: int,
    device: str,
    sampler: Mapping[str, Any],
    out: Path,
) -> SyntheticManifest:
    """A synthetic set of a generator, compared with what it learnt from; goes on where it stopped."""
    from ..samplers import SamplerOptions
    from ..synthesise import synthesise

    return synthesise(
        weights,
        n_healthy,
        n_fatty,
        seed,
        out,
        sampler=SamplerOptions(**sampler) if sampler else None,
        audit=lambda images, answers: memorised(images, frames),
    )


def memorised(images: np.ndarray, frames: FrameSet) -> dict:
    """Which images copy a training frame, JSON-ready."""
    from ..features import small_network
    from ..memorisation import audit_memorisation

    return audit_memorisation(images, frames, small_network()).to_json()


def read_set(folder: Path) -> tuple[FrameSet, SyntheticManifest]:
    """Images of a set as frames of nobody, and what is known of them."""
    return read_synthetic([folder])[0], read_manifest(folder)


def classified(
    learnt: FrameSet,
    held_out: FrameSet,
    synthetic: FrameSet | None,
    seen_patients: tuple[str, ...] | None,
    options: Mapping[str, Any],
    folder: Path,
) -> tuple[np.ndarray, Weights]:
    """Log-odds of held-out frames by a network trained on all others, as the paper trains, and its weights.

    A generator saw every training patient, so that nobody is left to calibrate inside the fold: the log-odds are those
    of the network.
    """
    weights = train_nafld(
        learnt,
        NafldOptions(mode="paper", **options),
        synthetic=synthetic,
        seen_patients=seen_patients,
        validation=held_out,
        folder=folder,
    )
    return predict_logits(held_out, weights), weights


def fatty_probability(weights: Weights, images: np.ndarray) -> np.ndarray:
    """What a classifier says of images, shape (n,)."""
    model = NafldModel(weights)
    return 1 / (1 + np.exp(-model.calibration.calibrated(model.raw_logits(images))))


def explained(weights: Weights, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradient SHAP and Grad-CAM of images by a classifier, shape (n, side, side) each."""
    side = images.shape[1]
    whole = Box(0, 0, side, side)
    maps = NafldModel(weights).maps(images)
    cams = np.stack([laid_on(cam, whole, (side, side)) for cam, _ in maps])
    return np.stack([shap for _, shap in maps]).astype(np.float32), cams.astype(np.float32)


def judged(
    images: np.ndarray,
    kind: str,
    learnt: FrameSet,
    held_out: FrameSet,
    classifier: Weights,
    n_resamples: int,
    seed: int,
) -> dict:
    """Fidelity of images against held-out frames as their kind shows them, beside the real-real floor, JSON-ready."""
    from ..features import Classifier, small_network
    from ..fidelity import judge_fidelity

    real = [frames_as_made(frames, kind, images.shape[1], seed) for frames in (learnt, held_out)]
    about = Classifier("our classifier of real frames", lambda shown: fatty_probability(classifier, shown))
    return judge_fidelity(images, *real, small_network(), about, n_resamples=min(n_resamples, 500), seed=seed).to_json()


def nearest_training(images: np.ndarray, frames: FrameSet) -> np.ndarray:
    """Index of the training frame nearest to each image in features, shape (n,)."""
    from ..features import small_network

    network = small_network()
    made, real = (network(one).features for one in (images, centre_cut(frames.images, images.shape[1])))
    return np.array([int(np.argmin(np.linalg.norm(real - one, axis=1))) for one in made], int)


def plausible(images: FrameSet, kind: str, learnt: FrameSet, n_healthy: int, n_fatty: int) -> tuple[np.ndarray, int]:
    """The plausible images of each class, in the order they were drawn, by a filter fitted to training frames.

    Returns:
        Increasing indices, as many as asked for: where too few pass, those that fail by least follow. And how many of
        all images passed.
    """
    from ..features import small_network
    from ..plausibility import fit_plausibility

    real = frames_as_made(learnt, kind, images.side, seed=0)
    found = fit_plausibility(real, small_network())(images.images, images.is_fatty)
    passed = np.zeros(len(images), bool)
    passed[found.kept] = True
    kept = []
    for answer, n in ((False, n_healthy), (True, n_fatty)):
        places = np.flatnonzero(images.is_fatty == answer)
        order = np.lexsort((np.where(passed[places], 0, found.distance[places]), ~passed[places]))
        kept.append(places[order[:n]])
    return np.sort(np.concatenate(kept)), int(passed.sum())
