"""What every test may use: simulated studies, stand-in maps, the folder of public cases."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

DATA_VARIABLE = "LIVERLABEL_DATA"


def pytest_report_header() -> str:
    try:
        import liver_models
    except ImportError:
        return "liver_models: not here; the tests of the Slicer extension need none of it"
    return f"liver_models: {Path(liver_models.__file__).parent}"


def pytest_collection_modifyitems(items):
    if os.environ.get(DATA_VARIABLE):
        return
    absent = pytest.mark.skip(reason=f"public cases: set {DATA_VARIABLE} to the folder that holds them")
    for item in items:
        if "real" in item.keywords:
            item.add_marker(absent)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of public cases; skips when there is none."""
    folder = os.environ.get(DATA_VARIABLE)
    if not folder:
        pytest.skip(f"public cases: set {DATA_VARIABLE} to the folder that holds them")
    return Path(folder)


@pytest.fixture(scope="session")
def small_liver():
    """A simulated oblique liver of two slices, 96 x 96, SNR 50, and its truth."""
    from liver_models.mri.phantom import make_phantom

    return make_phantom("liver", snr=50, seed=3, size=96, n_slices=2, oblique_deg=20)


@pytest.fixture(scope="session")
def maps_of():
    """A function (study, truth) -> maps as an unbiased method with 1 point of noise would give them."""
    from liver_models.mri.maps import PdffMaps

    def make(study, truth, *, pdff_std: float = 1.0, seed: int = 0) -> PdffMaps:
        valid = truth.body_mask
        rng = np.random.default_rng(seed)

        def masked(values):
            return np.where(valid, values, np.nan).astype(np.float32)

        return PdffMaps(
            pdff_percent=masked(truth.pdff_percent + pdff_std * rng.standard_normal(valid.shape)),
            pdff_std_percent=masked(np.full(valid.shape, pdff_std)),
            r2_star_per_s=masked(truth.r2_star_per_s),
            r2_star_std_per_s=masked(np.full(valid.shape, 2.0)),
            field_map_hz=masked(truth.field_map_hz),
            field_map_std_hz=masked(np.full(valid.shape, 0.5)),
            water=masked(truth.water),
            fat=masked(truth.fat),
            swap_probability=masked(np.full(valid.shape, 0.01)),
            valid_mask=valid,
            method="stand_in",
            spectrum="hamilton_2011",
            settings={"precession": 1, "noise_std": np.float32(truth.noise_std), "not_a_number": float("nan")},
        )

    return make
