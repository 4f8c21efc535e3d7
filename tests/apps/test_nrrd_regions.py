"""Regions that 3D Slicer saved as .nrrd are learnt from like any other."""

import shutil

import nrrd
import numpy as np
import pytest
from stored_labels import answer  # noqa: F401  Puts MONAI Label's stand-ins on the path.

from liver_apps.liver.lib.trainers.region_training import outlined
from liver_models.errors import UnsuitableInputError
from liver_models.io.reading import read_study
from liver_models.io.volumes import write_volume


@pytest.fixture
def site(tmp_path, studies):
    """A studies folder of its own with the small case."""
    shutil.copytree(studies / "files" / "simulated-vials", tmp_path / "files" / "simulated-vials")
    shutil.copy(studies / "simulated-vials.case.json", tmp_path)
    return tmp_path


def test_a_nrrd_region_teaches_what_the_same_nifti_region_does(site):
    source = site / "simulated-vials.case.json"
    study = read_study(source)
    labels = np.zeros(study.signal.shape[1:], np.uint8)
    labels[3:9, 2:6, 0], labels[4:7, 8:12, 1] = 1, 2
    path = site / "labels" / "final" / "simulated-vials.nii.gz"
    write_volume(path, labels, study.affine)
    as_nifti = outlined((source,), True, lambda told: None)
    path.unlink()
    with pytest.raises(UnsuitableInputError, match="has none under the tag final"):
        outlined((source,), True, lambda told: None)
    lps = np.diag([-1, -1, 1, 1]) @ study.affine
    header = {"space": "left-posterior-superior", "space directions": lps[:3, :3].T, "space origin": lps[:3, 3]}
    nrrd.write(str(path.with_name("simulated-vials.nrrd")), labels, header)
    as_nrrd = outlined((source,), True, lambda told: None)
    assert [example.region.sum() for example in as_nrrd] == [24, 12]
    for one, other in zip(as_nifti, as_nrrd, strict=True):
        np.testing.assert_array_equal(one.region, other.region)
        np.testing.assert_array_equal(one.image, other.image)
