"""Public multi-echo files read as their description says (see SOURCES.md beside them)."""

import os
from pathlib import Path

import numpy as np
import pytest

from liver_models.io.reading import read_study

pytestmark = pytest.mark.real

CASES = {
    "ismrm2012_12": ((4, 157, 256, 3), 1.5, 1),
    "ismrm2012_16": ((5, 160, 208, 3), 1.494, 1),
    "bydder_invivo": ((6, 235, 221, 1), 0.3456, None),
    "bydder_phantom_16echo_bipolar": ((16, 128, 128, 1), 1.5, None),
    "b0nice_99": ((6, 256, 256, 1), 3.0, -1),
}


@pytest.mark.parametrize("name", CASES)
def test_a_public_file_reads_with_its_field_echoes_and_precession(name):
    data = os.environ.get("LIVERLABEL_DATA")
    if not data:
        pytest.skip("LIVERLABEL_DATA is not set: the public cases are not at hand")
    path = Path(data) / "mri" / f"{name}.mat"
    if not path.is_file():
        pytest.skip(f"{name}.mat is not in LIVERLABEL_DATA")
    study = read_study(path)
    shape, field_strength_t, precession = CASES[name]
    assert study.signal.shape == shape
    assert study.field_strength_t == pytest.approx(field_strength_t, rel=1e-3)
    assert study.precession == precession
    assert study.is_bipolar is None
    assert not study.is_magnitude_only and not study.is_simulated
    assert np.all(np.diff(study.echo_times_s) > 5e-4)
    assert study.case_id == name
