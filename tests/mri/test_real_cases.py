"""Public measured cases read as their anatomy says."""

from __future__ import annotations

import numpy as np
import pytest

from liver_models.io.reading import read_study
from liver_models.mri.pdff import estimate

pytestmark = pytest.mark.real


MOST_SPLEEN_AS_FAT = {"graph_cut": 0.08, "ai_deal": 0.12}
"""Share of the spleen boxes, which hold none; AI-DEAL solves each slice alone and leaves a corner swapped."""


@pytest.fixture(scope="module", params=MOST_SPLEEN_AS_FAT)
def dome(real_data, request):
    """Maps of a liver dome at 1.5 T, four echoes, that water-fat tools are known to swap at spleen and lung base."""
    return estimate(read_study(real_data / "mri" / "ismrm2012_12.mat"), method=request.param)


def test_a_healthy_liver_reads_about_one_percent(dome):
    liver = dome.pdff_percent[40:120, 45:95, 0]
    assert 0.0 < np.nanmedian(liver) < 2.5
    assert (np.isnan(liver) | (liver > 50)).mean() < 0.005
    assert 20 < np.nanmedian(dome.r2_star_per_s[40:120, 45:95, 0]) < 35


def test_the_spleen_is_not_taken_for_fat(dome):
    for spleen in (dome.pdff_percent[55:105, 165:205, 0], dome.pdff_percent[70:105, 160:200, 1]):
        assert (np.isnan(spleen) | (spleen > 50)).mean() < MOST_SPLEEN_AS_FAT[dome.method]


def test_vials_read_with_alternating_readouts_keep_their_fat(real_data):
    maps = estimate(read_study(real_data / "mri" / "bydder_phantom_16echo_bipolar.mat"))
    assert "odd_even_phase" in maps.settings
    vials = [
        np.nanmedian(maps.pdff_percent[x - 8 : x + 9, y - 8 : y + 9, 0]) for x, y in ((75, 35), (88, 91), (40, 68))
    ]
    assert vials == pytest.approx([0.0, 2.6, 25.0], abs=1.0)


def test_the_conjugate_sign_that_a_file_declares_fits(real_data):
    maps = estimate(read_study(real_data / "mri" / "b0nice_99.mat"))
    assert maps.settings["precession"] == {
        "sign": -1,
        "basis": "given",
        "evidence_ratio": maps.settings["precession"]["evidence_ratio"],
    }
    assert maps.settings["precession"]["evidence_ratio"] > 1
