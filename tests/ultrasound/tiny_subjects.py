"""Tiny subjects whose answer is written into every input: a bright blob, stiff tissue, a high enzyme."""

from __future__ import annotations

import numpy as np

from liver_models.ultrasound.subject import ImagePair, UltrasoundSubject

SIZE = 48


def tiny_subject(k: int, is_true: bool, *, n_pairs: int = 1, seed: int = 0, kinds=("b_mode", "swe", "clinical")):
    """One subject; its blob is on the right when the answer is yes, on the left when it is no."""
    rng = np.random.default_rng([seed, k])
    pairs = []
    for _ in range(n_pairs):
        b_mode = rng.integers(20, 80, (SIZE, SIZE + 8)).astype(np.uint8)
        b_mode[12:36, 8:20] = 200 if is_true else 40
        stiffness = (rng.normal(9 if is_true else 4, 0.3, (SIZE, SIZE))).astype(np.float32)
        stiffness[:6] = np.nan
        rgb = np.repeat(np.nan_to_num(stiffness * 12)[None], 3, axis=0).astype(np.uint8)
        pair = {"b_mode": b_mode} if "b_mode" in kinds else {}
        pair |= {"stiffness_kpa": stiffness, "swe_rgb": rgb} if "swe" in kinds else {}
        if pair:
            pairs.append(ImagePair(**pair))
    clinical = {"alt_u_per_l": float(np.exp(rng.normal(4.5 if is_true else 3.7, 0.2))), "weight_g": rng.normal(500, 50)}
    return UltrasoundSubject(
        case_id=f"case-{k}",
        patient_id=f"patient-{k}",
        pairs=tuple(pairs),
        clinical=clinical if "clinical" in kinds else {},
        is_fibrotic_nash=bool(is_true),
        is_simulated=True,
    )


def tiny_cohort(n: int = 24, seed: int = 0, **options) -> list[UltrasoundSubject]:
    """Every third is positive."""
    return [tiny_subject(k, k % 3 == 0, seed=seed, **options) for k in range(n)]
