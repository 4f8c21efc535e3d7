"""What can be chosen for a measurement of fat, by the server's names, and how an answer is summed up in words."""

from __future__ import annotations

import numpy as np

from .results import Answer, PdffAnswer

METHODS = {
    "ai_deal": "AI-DEAL: networks and physics, refined",
    "ai_deal_one_shot": "AI-DEAL in one pass: faster, not refined",
    "graph_cut": "Graph cut: no network",
    "u_net": "U-Net, for comparison: no uncertainty",
    "mdwf_net": "MDWF-Net, for comparison: no uncertainty",
    "vet_net": "VET-Net, for comparison: no uncertainty",
}
"""Name -> text; the first is the default."""
SPECTRA = {
    "hamilton_2011": "Liver fat, six peaks (Hamilton 2011)",
    "hamilton_2011_nine": "Liver fat, nine peaks (Hamilton 2011)",
    "ren_2008": "Marrow and adipose fat, nine peaks (Ren 2008)",
    "single_peak": "One peak (biased; for comparison)",
}
"""Name -> text; the first is the default."""
SIMULATED = "Simulated: computed signals, not a patient."
QUANTITIES = {"pdff_percent": "pdff_std_percent", "r2_star_per_s": "r2_star_std_per_s"}
"""Maps that are measured in regions -> their standard deviations."""
STD_MAPS = {**QUANTITIES, "field_map_hz": "field_map_std_hz"}
"""Maps whose uncertain voxels can be hidden -> their standard deviations."""
CHOICES = (
    "pdff_percent",
    "r2_star_per_s",
    "field_map_hz",
    "pdff_std_percent",
    "r2_star_std_per_s",
    "field_map_std_hz",
    "water",
    "fat",
    "swap_probability",
)
"""Maps in the order they are offered; the mask of estimated voxels is what is transparent in each."""


def result_facts(answer: PdffAnswer, spectrum: str) -> dict[str, str]:
    """What is said of a measurement, label -> text.

    Args:
        answer: Of the server.
        spectrum: Name of the fat spectrum that was asked for.
    """
    share = answer.n_valid_voxels / answer.n_voxels if answer.n_voxels else 0.0
    return {
        "Method": METHODS.get(answer.method, answer.method),
        "Fat spectrum": SPECTRA.get(spectrum, spectrum),
        "Model": answer.model,
        "Voxels with an estimate": f"{answer.n_valid_voxels} of {answer.n_voxels} ({share:.0%})",
    }


def has_values(answer: Answer, name: str) -> bool:
    """Whether an answer holds a map with at least one estimate."""
    return name in answer.maps and bool(np.isfinite(answer.maps[name].array).any())
