"""What do the small latent diffusion models cost, what does their autoencoder lose, and are their labels right?

Fold 1 of the simulated frames. Processor seconds are printed beside wall seconds: they hardly depend on what else runs.
Whether labels are right is asked of a logistic regression on fixed random features, fitted on the training frames: its
area under the ROC curve on held-out patients' frames is what drawn images can be expected to reach.

    python benchmarks/latent_diffusion.py [--folder DIR] [--images 64]

With a folder, trained weights are kept there and taken from there.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from common import show
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from liver_models.learning.splits import cross_validation
from liver_models.synthesis.autoencoder import reconstruction_quality, speckle_contrast
from liver_models.synthesis.features import small_network
from liver_models.synthesis.generator import load_generator, train_generator
from liver_models.synthesis.ldm_options import N_MAP_CLASSES, LdmOptions
from liver_models.synthesis.semantic_maps import otsu_levels
from liver_models.synthesis.synthesise import answers_of
from liver_models.ultrasound.frames import apply_crops, centre_cut, draw_crops
from liver_models.ultrasound.phantom_nafld import simulate_nafld_frames
from liver_models.weights import load_weights, save_weights

SEED = 0
MODELS = {
    "ldm_semantic": ("ldm_semantic", {}),
    "ldm_semantic, map only": ("ldm_semantic", {"class_conditioned": False}),
    "ldm_class": ("ldm_class", {}),
}
"""Name -> kind and options."""


def timed(work):
    """What it returns, processor seconds and wall seconds."""
    processor, wall = time.process_time(), time.perf_counter()
    found = work()
    return found, round(time.process_time() - processor, 1), round(time.perf_counter() - wall, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", help="keeps trained weights")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="default: all")
    parser.add_argument("--images", type=int, default=64, help="drawn from each model")
    arguments = parser.parse_args()
    frames = simulate_nafld_frames(seed=SEED)
    train, held_out = (
        frames.subset(k) for k in cross_validation(frames.patient_ids, 5, SEED, list(frames.is_fatty))[0]
    )
    features, rng = small_network("cpu"), np.random.default_rng(SEED)

    def seen(part):
        return apply_crops(part.images, draw_crops(len(part), rng), 64)

    reader = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    reader.fit(features(seen(train)).features, train.is_fatty)
    real = seen(held_out)
    figures = {
        "data": "simulated frames",
        "reader_auc_held_out": round(roc_auc_score(held_out.is_fatty, _score(reader, features, real)), 3),
    }
    figures["otsu"] = _otsu(train.images[0])
    answers = answers_of(arguments.images // 2, arguments.images - arguments.images // 2)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments.folder or temporary)
        for name in arguments.models:
            kind, changed = MODELS[name]
            path, row = folder / f"{name.replace(', ', '-').replace(' ', '-')}.safetensors", {}
            if path.exists():
                weights = load_weights(path, "ldm")
            else:
                options = LdmOptions(seed=SEED, device="cpu", cache=str(folder), **changed)
                weights, *row["training_seconds_processor_wall"] = timed(
                    lambda kind=kind, options=options: train_generator(kind, train, options)
                )
                save_weights(path, weights.tensors, weights.card)
            generator = load_generator(weights)
            if set(generator.training_patients) & held_out.patients:
                raise SystemExit(f"{path.name} saw held-out patients; give another folder.")
            images, *seconds = timed(lambda generator=generator: generator.sample(answers, SEED))
            row["drawing_seconds_per_100_processor_wall"] = [round(100 * v / len(images), 1) for v in seconds]
            row["n_parameters"] = sum(p.numel() for p in generator.network.parameters())
            row["reader_auc"] = round(roc_auc_score(answers, _score(reader, features, images)), 3)
            row["speckle_contrast_ratio"] = round(speckle_contrast(images) / speckle_contrast(real), 3)
            figures[name] = row
        figures["autoencoder_held_out"] = reconstruction_quality(generator.autoencoder, centre_cut(held_out.images, 64))
    show("What do the small latent diffusion models cost, lose, and are their labels right?", figures)


def _otsu(image):
    """Processor seconds of either search for the four thresholds of a frame, and the variance between its classes."""
    from skimage.filters import threshold_multiotsu

    ours, seconds, _ = timed(lambda: [otsu_levels(image) for _ in range(100)][0])
    theirs, slow, _ = timed(lambda: threshold_multiotsu(image, N_MAP_CLASSES, nbins=256))

    def between(classes):
        parts = [image[classes == k].astype(float) for k in range(N_MAP_CLASSES)]
        return round(sum(one.size * (one.mean() - image.mean()) ** 2 for one in parts) / image.size, 4)

    found = [between(np.digitize(image, ours)), between(np.digitize(image, theirs, right=True))]
    return {"seconds_ours_scikit_image": [seconds / 100, slow], "variance_ours_scikit_image": found}


def _score(reader, features, images):
    return reader.decision_function(features(images).features)


if __name__ == "__main__":
    main()
