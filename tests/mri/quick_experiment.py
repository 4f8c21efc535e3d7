"""Two quick methods to compare, and simulated studies that are made once, for the tests of the experiment."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from liver_models.errors import UnsuitableInputError
from liver_models.mri import pdff, pdff_options
from liver_models.mri.experiment import map_figures, plots, run, simulated, units
from liver_models.mri.experiment.options import PROTOCOLS, ExperimentOptions
from liver_models.mri.phantom import make_phantom

METHODS = ("shifted", "graph_cut")
"""Graph cut; and graph cut with one point more fat, which wants six echoes and states no deviation."""
REFUSAL = "The shifted method needs six echoes; this study has 3. Use graph_cut."
OPTIONS = {
    "methods": METHODS,
    "n_simulated": 2,
    "size": 64,
    "vial_snrs": (None, 50.0),
    "protocols": PROTOCOLS[:1],
    "has_critical_regions": False,
}
GRAPH_CUT = pdff.estimate
CODE_SHA256 = "c0de" * 16
CALLS = []
"""Method of every estimate since the list was emptied."""
MAPS, PHANTOMS = {}, {}


def estimate(study, *, method):
    """The methods of these tests; each signal is solved once."""
    CALLS.append(method)
    if method == "shifted" and study.echo_times_s.size != 6:
        raise UnsuitableInputError(REFUSAL)
    key = hash(study.signal.tobytes())
    if key not in MAPS:
        MAPS[key] = GRAPH_CUT(study, method="graph_cut")
    maps = MAPS[key]
    if method == "graph_cut":
        return maps
    nothing = np.full_like(maps.pdff_percent, np.nan)
    return replace(maps, method=method, pdff_percent=maps.pdff_percent + 1, pdff_std_percent=nothing)


def remembered_phantom(kind, **options):
    """Each phantom is simulated once."""
    key = repr((kind, sorted((k, np.asarray(v).tolist()) for k, v in options.items())))
    if key not in PHANTOMS:
        PHANTOMS[key] = make_phantom(kind, **options)
    return PHANTOMS[key]


@pytest.fixture(autouse=True, scope="module")
def small_methods():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pdff_options, "METHODS", METHODS)
        patch.setattr(units, "estimate", estimate)
        patch.setattr(run, "code_digest", lambda: CODE_SHA256)
        patch.setattr(simulated, "make_phantom", remembered_phantom)
        patch.setattr(run, "sensitivity_figure", cache(plots.sensitivity_figure))
        yield


@pytest.fixture
def unpainted(monkeypatch):
    """Figures are laid out but not painted, for tests of numbers."""
    for module in (plots, map_figures):
        monkeypatch.setattr(module, "png_of", lambda figure, is_simulated: b"")


def options(**changes) -> ExperimentOptions:
    return ExperimentOptions(**(OPTIONS | {"vial_snrs": (), "protocols": ()} | changes))
