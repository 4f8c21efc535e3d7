"""How much sooner are images drawn than by the text's sampler, and are they as good?

One network is drawn from twice in one run, from the same noise: by a plain loop of diffusers' DDIM scheduler with 500
steps and guidance, as its examples write it, and by our default sampler. The kernel distance of both to frames of
patients whom the generator did not see is printed with the interval of the plain loop's.

    python benchmarks/sampling.py [--weights FILE] [--images 64]

Without weights a small generator is trained first on simulated frames; it takes about a minute and a half.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np
import torch
from common import show

from liver_models.learning.splits import cross_validation
from liver_models.synthesis.autoencoder import to_images
from liver_models.synthesis.features import small_network
from liver_models.synthesis.generator import load_generator, train_generator
from liver_models.synthesis.ldm_network import UNKNOWN, Condition, labels_of
from liver_models.synthesis.ldm_options import BETA_START, N_TRAIN_TIMESTEPS, LdmOptions
from liver_models.synthesis.samplers import GUIDANCE, noise_of
from liver_models.synthesis.set_distances import kernel_distance
from liver_models.synthesis.synthesise import answers_of
from liver_models.ultrasound.frames import apply_crops, draw_crops
from liver_models.ultrasound.phantom_nafld import simulate_nafld_frames
from liver_models.weights import load_weights

PLAIN_STEPS = 500
SEED = 0
LEAST_RATIO = 10


@torch.no_grad()
def plain_loop(generator, is_fatty: np.ndarray) -> np.ndarray:
    """diffusers' DDIM with guidance, one batch."""
    from diffusers import DDIMScheduler

    size, side = generator.size, generator.latent_side
    scheduler = DDIMScheduler(
        num_train_timesteps=N_TRAIN_TIMESTEPS,
        beta_start=BETA_START,
        beta_end=size.beta_end,
        beta_schedule="scaled_linear",
        prediction_type=size.prediction,
        clip_sample=False,
    )
    scheduler.set_timesteps(PLAIN_STEPS)
    latents = noise_of(SEED, range(len(is_fatty)), (size.autoencoder.latent_channels, side, side))
    labels = labels_of(is_fatty)
    both = Condition(torch.cat([torch.full_like(labels, UNKNOWN), labels]))
    for t in scheduler.timesteps:
        untold, told = generator.network(torch.cat([latents] * 2), t, both).chunk(2)
        latents = scheduler.step(untold + GUIDANCE * (told - untold), t, latents).prev_sample
    mean, scale = (torch.tensor(generator.latents[key])[:, None, None] for key in ("mean", "scale"))
    return to_images(generator.autoencoder.decode(latents / scale + mean))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", help="of a small ldm_class trained on fold 1 of the simulated frames, seed 0")
    parser.add_argument("--images", type=int, default=64)
    arguments = parser.parse_args()
    frames = simulate_nafld_frames(seed=SEED)
    train, held_out = cross_validation(frames.patient_ids, 5, SEED, list(frames.is_fatty))[0]
    if arguments.weights:
        weights = load_weights(arguments.weights, "ldm")
    else:
        weights = train_generator("ldm_class", frames.subset(train), LdmOptions(seed=SEED, device="cpu"))
    generator = load_generator(weights)
    real = frames.subset(held_out)
    if set(generator.training_patients) & real.patients:
        raise SystemExit("The generator saw held-out patients; train it on fold 1 with seed 0.")
    n = arguments.images
    is_fatty = answers_of(n - round(n * real.is_fatty.mean()), round(n * real.is_fatty.mean()))
    generator.size = replace(generator.size, block=min(n, generator.size.block))  # No image is drawn for nothing.
    seconds, drawn = {}, {}
    for name, draw in (("plain", plain_loop), ("ours", lambda model, answers: model.sample(answers, SEED))):
        started = time.perf_counter()
        drawn[name] = draw(generator, is_fatty)
        seconds[name] = time.perf_counter() - started
    network = small_network("cpu")
    crops = draw_crops(len(real), np.random.default_rng(SEED))
    true = network(apply_crops(real.images, crops, generator.side)).features
    distances = {name: kernel_distance(true, network(x).features, real.patient_ids) for name, x in drawn.items()}
    plain, ours = distances["plain"], distances["ours"]
    show(
        "How much sooner are images drawn than by a plain DDIM-500 loop of the same network, and are they as good?",
        {
            "data": "simulated frames",
            "n_images": n,
            "n_held_out_frames": len(real),
            "features": network.name,
            "sampler": dict(generator.sampler()),
            "plain_seconds": round(seconds["plain"], 2),
            "our_seconds": round(seconds["ours"], 2),
            "ratio": round(seconds["plain"] / seconds["ours"], 1),
            "is_ratio_reached": seconds["plain"] >= LEAST_RATIO * seconds["ours"],
            "plain_kid": plain.value,
            "plain_kid_95": [plain.low, plain.high],
            "our_kid": ours.value,
            "our_kid_95": [ours.low, ours.high],
            "is_our_kid_inside": bool(plain.low <= ours.value <= plain.high),
            "mean_grey_difference": float(np.abs(drawn["plain"].astype(int) - drawn["ours"]).mean()),
        },
    )


if __name__ == "__main__":
    main()
