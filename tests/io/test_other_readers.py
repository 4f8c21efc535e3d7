"""Against other readers: dcm2niix agrees with ours; MONAI and ITK stack echoes and components into one wrong volume."""

import shutil
import subprocess

import nibabel as nib
import numpy as np
import pytest
from make_studies import GEOMETRIES, at_same_places, make_study

from liver_models.io.export import write_dicom
from liver_models.io.reading import read_study


@pytest.mark.system
@pytest.mark.parametrize("parts", ["magnitude_phase", "real_imaginary"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_dcm2niix_finds_the_same_values_at_the_same_places(tmp_path, parts, geometry):
    program = shutil.which("dcm2niix")
    if program is None:
        pytest.skip("dcm2niix is not installed")
    shape, affine = GEOMETRIES[geometry]
    write_dicom(make_study(shape, affine), tmp_path / "in", parts=parts)
    (tmp_path / "out").mkdir()
    command = [program, "-b", "y", "-z", "y", "-f", "study", "-o", str(tmp_path / "out"), str(tmp_path / "in")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    ours = read_study(tmp_path / "in")
    compared = 0
    for path in sorted((tmp_path / "out").glob("*.nii.gz")):
        echo, part = _echo_and_part(path.name)
        image = nib.load(path)
        values = np.asarray(image.dataobj, dtype=np.float32)
        expected = {"ph": np.angle, "real": np.real, "imaginary": np.imag}.get(part, np.abs)(ours.signal[echo])
        other = type(ours).from_echoes(
            np.stack([values] * 3), np.array([1, 2, 3]) * 1e-3, field_strength_t=3, affine=image.affine
        )
        found = at_same_places(other, ours)[0].real
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-3 * np.abs(expected).max())
        compared += 1
    assert compared == 12


def _echo_and_part(name: str) -> tuple[int, str]:
    words = name.removesuffix(".nii.gz").split("_")[1:]
    echoes = [int(word[1:]) - 1 for word in words if word[0] == "e" and word[1:].isdigit()]
    parts = [word for word in words if word in ("ph", "real", "imaginary")]
    return (echoes or [0])[0], (parts or ["mag"])[0]


@pytest.mark.slow
def test_our_reader_separates_what_monai_and_itk_stack(tmp_path):
    itk = pytest.importorskip("itk")
    from monai.transforms import LoadImage

    study = make_study(shape=(8, 6, 3))
    write_dicom(study, tmp_path)
    ours = read_study(tmp_path)
    assert ours.signal.shape == (6, 8, 6, 3)
    assert np.abs(at_same_places(ours, study) - study.signal).max() < 2e-4 * np.abs(study.signal).max()

    names = itk.GDCMSeriesFileNames.New()
    names.SetDirectory(str(tmp_path))
    files = names.GetFileNames(names.GetSeriesUIDs()[0])
    stacked = itk.imread(list(files), pixel_type=itk.F)
    assert stacked.shape == (3 * 6 * 2, 6, 8)

    monai = LoadImage(image_only=True)(str(tmp_path))
    assert monai.shape == (8, 6, 3 * 6 * 2)
