"""Pictures of real cases: PDFF by graph cut and by AI-DEAL, its uncertainties, and where its fallback decided."""

from __future__ import annotations

import matplotlib
import numpy as np

from liver_models.mri.ai_deal import AiDeal
from liver_models.mri.declared_acquisition import resolve_acquisition
from liver_models.mri.fat_spectra import get_spectrum
from liver_models.mri.field_candidates import assumed_r2_star
from liver_models.mri.map_pictures import choose_view
from liver_models.mri.noise import noise_variance
from liver_models.mri.pdff_options import PdffOptions
from liver_models.mri.signal_model import design_matrix
from liver_models.mri.slice_problem import slice_problems
from liver_models.mri.swap_safety import check_field

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

PANELS = (
    ("graph_cut", "pdff_percent", "PDFF by graph cut", "%", (0, 100), "viridis"),
    ("ai_deal", "pdff_percent", "PDFF by AI-DEAL", "%", (0, 100), "viridis"),
    ("ai_deal", "pdff_std_percent", "its stated deviation", "percentage points", (0, 10), "magma"),
    ("ai_deal", "swap_probability", "its swap probability", "probability", (0, 1), "inferno"),
)
"""Method, map, title, unit, window and colours of each column."""


def fallback_mask(study):
    """Voxels whose basin AI-DEAL's fallback decides, shape (x, y, z)."""
    study = study.with_fields(signal=study.signal / np.abs(study.signal).max())
    basis = design_matrix(study.echo_times_s, study.field_strength_t, get_spectrum(PdffOptions().spectrum))
    fixed = assumed_r2_star(study.echo_times_s, study.field_strength_t)
    study, _, _ = resolve_acquisition(study, basis, PdffOptions(), fixed)
    ai_deal, out = AiDeal(), np.zeros(study.signal.shape[1:], bool)
    for z, problem in enumerate(slice_problems(study, basis, noise_variance(study, basis, fixed), fixed)):
        if problem.mask.any():
            out[problem.mask, z] = check_field(ai_deal.answer(problem), problem).by_fallback
    return out


def picture(name, study, answers, path):
    """One row a slice, one column a map; what the fallback decided is outlined on AI-DEAL's PDFF."""
    decided = fallback_mask(study)
    view = choose_view(decided.shape, study.affine, is_orientation_known=study.is_orientation_known)
    n_slices = decided.shape[view.slice_axis]
    down, across = view.plane(decided, 0).shape
    height = 3.6 * down * view.pixel_mm[1] / (across * view.pixel_mm[0])
    figure, axes = plt.subplots(
        n_slices, len(PANELS), figsize=(4.1 * len(PANELS), height * n_slices + 0.9), squeeze=False, layout="constrained"
    )
    for z, row in enumerate(axes):
        for axis, (method, field, title, unit, window, colours) in zip(row, PANELS, strict=True):
            axis.set_facecolor("#20262e")
            image = axis.imshow(
                view.plane(getattr(answers[method], field), z),
                cmap=colours,
                vmin=window[0],
                vmax=window[1],
                aspect=view.pixel_mm[1] / view.pixel_mm[0],
                interpolation="nearest",
            )
            axis.set(title=f"{title}, slice {z}", xticks=[], yticks=[])
            figure.colorbar(image, ax=axis, label=unit, shrink=0.8)
            outline = view.plane(decided, z)
            if (method, field) == PANELS[1][:2] and outline.any():
                axis.contour(outline, levels=[0.5], colors="#ff4d4d", linewidths=0.7)
    share = 100 * answers["ai_deal"].settings["fallback_fraction"]
    figure.suptitle(f"{name}: red outline = decided by AI-DEAL's fallback ({share:.2f} % of the tissue)")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
