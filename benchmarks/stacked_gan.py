"""How long does a small stacked GAN train, how alike and how real are its images, and what do the changes do for it?

Simulated patients, one fold of five: the generator is trained on four fifths of them. Its images are compared with the
training frames and with the held-out patients' frames, and both of these with each other (the floor). *source ranges*
are the changes of 10.48550/arXiv.2006.10738; ours move grey levels less. *brightness_spread* is the spread of images'
mean grey levels as a share of that of training frames. Figures of features are of the small network
with fixed random filters.
"""

from __future__ import annotations

import argparse
from time import perf_counter, process_time

import numpy as np
import torch
from common import show

from liver_models.learning.splits import cross_validation
from liver_models.synthesis import diff_augment
from liver_models.synthesis.features import small_network
from liver_models.synthesis.gan_options import MODES, VARIANTS, GanOptions
from liver_models.synthesis.generator import load_generator, train_generator
from liver_models.synthesis.set_distances import kernel_distance, mean_pairwise_distance
from liver_models.ultrasound.frames import centre_cut
from liver_models.ultrasound.phantom_nafld import simulate_nafld_frames

QUESTION = "How long does a small stacked GAN train, and how alike and real are its images (simulated patients)?"
RANGES = {"ours": None, "source ranges": (0.5, (0.5, 1.5), 0.5), "none": None}
"""Changes -> brightness, contrast and cutout; None: as the library has them."""
OURS = (diff_augment.BRIGHTNESS, diff_augment.CONTRAST, diff_augment.CUTOUT)


def figures_of(variant, changes, mode, learnt, held_out, steps):
    """One training and what its images are like."""
    diff_augment.BRIGHTNESS, diff_augment.CONTRAST, diff_augment.CUTOUT = RANGES[changes] or OURS
    options = GanOptions(variant=variant, mode=mode, diff_augment=changes != "none", steps=steps)
    started, used = perf_counter(), process_time()
    weights = train_generator("stacked_gan", learnt, options)
    found = {"variant": variant, "changes": changes, "mode": mode, "training_s": round(perf_counter() - started, 1)}
    found["training_processor_s"] = round(process_time() - used, 1)
    generator, started = load_generator(weights), perf_counter()
    generator.sample(np.arange(100) % 2 == 0, seed=1)
    found["seconds_per_100_images"] = round(perf_counter() - started, 2)
    network = small_network()
    for name, value in (("healthy", False), ("fatty", True)):
        parts = [frames.subset(np.flatnonzero(frames.is_fatty == value)) for frames in (learnt, held_out)]
        images = generator.sample(np.full(200, value), seed=2)
        made = network(images).features
        true = centre_cut(parts[0].images, generator.side)
        real = [network(centre_cut(part.images, generator.side)).features for part in parts]
        people = [part.patient_ids for part in parts]
        found[name] = {
            "diversity": round(mean_pairwise_distance(made) / mean_pairwise_distance(real[0], people[0]), 3),
            "brightness_spread": round(float(images.mean((1, 2)).std() / true.mean((1, 2)).std()), 3),
            "distance_to_training": _kid(made, real[0], None, people[0]),
            "distance_to_held_out": _kid(made, real[1], None, people[1]),
            "floor": _kid(real[0], real[1], *people),
        }
    return found


def _kid(first, second, first_people, second_people):
    return round(kernel_distance(first, second, first_people, second_people, n_resamples=0).value, 5)


def main():
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--healthy", type=int, default=17, help="patients")
    parser.add_argument("--fatty", type=int, default=38, help="patients")
    parser.add_argument("--frames", type=int, default=10, help="of each patient")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=["dcgan_stacked"])
    parser.add_argument("--changes", nargs="+", choices=tuple(RANGES), default=list(RANGES))
    parser.add_argument("--modes", nargs="+", choices=MODES, default=["default"], help="paper: Stage II draws anew")
    parser.add_argument("--steps", type=int, help="of each stage")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    frames = simulate_nafld_frames(arguments.healthy, arguments.fatty, arguments.frames)
    parts = cross_validation(frames.patient_ids, 5, 0, frames.is_fatty)[0]
    learnt, held_out = (frames.subset(part) for part in parts)
    rows = [
        figures_of(variant, changes, mode, learnt, held_out, arguments.steps)
        for variant in arguments.variants
        for changes in arguments.changes
        for mode in arguments.modes
    ]
    show(QUESTION, {"data": "simulated", "n_threads": arguments.threads, "trainings": rows})


if __name__ == "__main__":
    main()
