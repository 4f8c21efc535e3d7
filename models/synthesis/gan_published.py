"""What the paper on the stacked GAN reports, to be shown beside our figures and never as ours.

Its features are an ImageNet Inception's, its images Byra's: no figure of another network or of simulated frames can be
compared with these.

Source: Che H et al., 10.1007/978-3-030-87583-1_18, Tables 1 and 2.
"""

from __future__ import annotations

from dataclasses import dataclass

from .gan_options import VARIANTS

SOURCE = "Che H et al., 10.1007/978-3-030-87583-1_18"
"""Of every figure here."""
VARIANT_NAMES = dict(
    zip(
        VARIANTS,
        (
            "DCGAN",
            "DCGAN + Stage-II",
            "DCGAN + SN",
            "DCGAN + SN + Stage-II",
            "DCGAN + SN + SA",
            "DCGAN + SN + SA + Stage-II",
        ),
        strict=True,
    )
)
"""Variant -> what tables call it; the paper writes "ours" for Stage-II."""


@dataclass(frozen=True)
class PublishedFidelity:
    """A row of Table 1: 400 images of each class, fatty (the paper's "abnormal") first."""

    inception_score: tuple[float, float]
    """Fatty, healthy."""
    inception_score_std: tuple[float, float]
    """As printed after ±."""
    fid: tuple[float, float]
    """Fatty, healthy."""


@dataclass(frozen=True)
class PublishedClassification:
    """A row of Table 2: EfficientNet on 70 healthy and 70 fatty images, mean of five splits by patient, percent."""

    accuracy_percent: float
    """Of 140 images."""
    precision_percent: float
    """As the paper averages it."""
    recall_percent: float
    """Equal to the accuracy in every row, so the mean over both classes."""
    f1_percent: float
    """As the paper averages it."""


TABLE_1 = {
    "dcgan": PublishedFidelity((1.32, 1.28), (0.02, 0.01), (113.87, 161.76)),
    "dcgan_stacked": PublishedFidelity((1.55, 1.48), (0.08, 0.05), (100.05, 99.53)),
    "dcgan_sn": PublishedFidelity((1.09, 1.34), (0.01, 0.06), (170.68, 247.76)),
    "dcgan_sn_stacked": PublishedFidelity((1.67, 1.50), (0.08, 0.05), (156.55, 110.17)),
    "dcgan_sn_sa": PublishedFidelity((1.42, 1.38), (0.03, 0.03), (160.19, 259.19)),
    "dcgan_sn_sa_stacked": PublishedFidelity((1.51, 1.51), (0.07, 0.06), (108.39, 103.07)),
}
"""Variant -> its row."""
REAL_ONLY = "none"
"""Name of Table 2's first row, the original dataset; that of a data kind without synthetic images."""
TABLE_2 = {
    REAL_ONLY: PublishedClassification(82.14, 82.47, 82.14, 82.10),
    "dcgan": PublishedClassification(84.29, 84.31, 84.29, 84.29),
    "dcgan_stacked": PublishedClassification(85.71, 87.68, 85.71, 85.53),
    "dcgan_sn": PublishedClassification(74.29, 76.00, 74.29, 73.85),
    "dcgan_sn_stacked": PublishedClassification(78.57, 79.17, 78.57, 78.46),
    "dcgan_sn_sa": PublishedClassification(80.71, 80.77, 80.71, 80.71),
    "dcgan_sn_sa_stacked": PublishedClassification(82.86, 82.88, 82.86, 82.85),
}
"""Variant, or :data:`REAL_ONLY` -> its row. Behind it: 310 fatty and 100 healthy real images, 190 and 400 made."""
