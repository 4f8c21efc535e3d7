"""What an experiment compares, and the settings of its simulated parts."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ...errors import UnsuitableInputError

REFERENCES = ("graph_cut", "truth")
"""What a method is compared with."""
MEASURED, SIMULATED = "measured", "simulated"
"""The two kinds of data; no number of this experiment is taken over both."""
N_SIMULATED = 12
"""Simulated livers when no case is given."""
LIVER_SNR = 50.0
"""Mean liver signal over the noise of one channel in the simulated livers."""
MAX_LIVER_PDFF_PERCENT = 45.0
"""Simulated livers hold 0 % to this much fat."""
VIAL_SNRS = (None, 10.0, 20.0, 30.0, 50.0, 70.0, 100.0)
"""Noise series of the simulated vials; None: no noise."""
TABLE_SNRS = (None, 50.0)
"""Members of the series that are also listed vial by vial."""
LABELS = {
    "graph_cut": "Graph cut",
    "ai_deal": "AI-DEAL",
    "ai_deal_one_shot": "AI-DEAL one-shot",
    "u_net": "U-Net",
    "mdwf_net": "MDWF-Net",
    "vet_net": "VET-Net",
}
"""Method -> its name in headings."""


@dataclass(frozen=True)
class Protocol:
    """One way to sample the echoes."""

    name: str
    """How it is called in tables; a file-safe identifier."""
    field_strength_t: float
    """Tesla."""
    echo_times_ms: tuple[float, ...]
    """Milliseconds."""


def _equal(n_echoes, first_ms, step_ms):
    return tuple(round(first_ms + step_ms * k, 3) for k in range(n_echoes))


PROTOCOLS = (
    Protocol("3-echoes", 1.5, _equal(3, 1.3, 2.1)),
    Protocol("4-echoes", 1.5, _equal(4, 1.3, 2.1)),
    Protocol("6-echoes-paper", 1.5, _equal(6, 1.3, 2.1)),
    Protocol("6-echoes-short", 1.5, _equal(6, 1.05, 1.65)),
    Protocol("6-echoes-unequal", 1.5, (1.3, 3.1, 5.8, 7.2, 9.9, 11.6)),
    Protocol("8-echoes", 1.5, _equal(8, 1.2, 1.6)),
    Protocol("12-echoes", 1.5, _equal(12, 1.1, 1.2)),
    Protocol("6-echoes-3t", 3.0, _equal(6, 1.2, 1.0)),
    Protocol("6-echoes-unequal-3t", 3.0, (1.1, 2.3, 3.1, 4.7, 5.2, 6.9)),
)
"""The echo protocols; the third is the paper's (Table 1)."""


@dataclass(frozen=True)
class ExperimentOptions:
    """What is computed.

    Raises:
        UnsuitableInputError: a value that is not known or out of range, naming those that are.
    """

    methods: tuple[str, ...]
    """Methods to compare, in the order of the tables."""
    n_simulated: int = N_SIMULATED
    """Simulated livers; 0 leaves out every simulated part."""
    reference: str | None = None
    """One of :data:`REFERENCES`; None: the truth where it is known, graph cut elsewhere."""
    seed: int = 0
    """Which simulated livers, vials and noise."""
    size: int = 192
    """Voxels across the simulated images."""
    vial_snrs: tuple[float | None, ...] = VIAL_SNRS
    """Noise series of the vials; empty: none."""
    protocols: tuple[Protocol, ...] = field(default=PROTOCOLS)
    """Echo protocols; empty: none."""
    has_critical_regions: bool = True
    """Also a simulated dome and lower abdomen."""

    def __post_init__(self):
        from ..pdff_options import METHODS

        for method in self.methods:
            if method not in METHODS:
                raise UnsuitableInputError(
                    f"An experiment needs methods among {', '.join(METHODS)}; found {method!r}. Correct --methods."
                )
        if not self.methods or len(set(self.methods)) < len(self.methods):
            raise UnsuitableInputError(
                f"An experiment needs each method once, and at least one; found {', '.join(self.methods) or 'none'}."
            )
        if self.reference not in (None, *REFERENCES):
            raise UnsuitableInputError(
                f"The reference needs to be one of {', '.join(REFERENCES)}; found {self.reference!r}."
            )
        if self.n_simulated < 0 or self.seed < 0:
            raise UnsuitableInputError(
                f"The number of simulated livers and the seed need to be 0 or above; found {self.n_simulated} and "
                f"{self.seed}."
            )
        if not 32 <= self.size <= 512:
            raise UnsuitableInputError(f"Simulated images need 32 to 512 voxels across; found {self.size}.")


def label(method: str) -> str:
    """A method's name in headings."""
    return LABELS.get(method, method.replace("_", " "))


def seed_of(*words: int) -> int:
    """One seed made of several numbers, so that no two parts share their noise."""
    return int(np.random.SeedSequence(words).generate_state(1)[0])
