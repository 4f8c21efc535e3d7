"""A single file that is stored is read alone, whatever lies beside it in the studies folder."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from remote_studies import write_ultrasound

from liver_apps import entry
from liver_models.segmentation.region_reading import read_region_case

entry.make_stand_ins_importable()

from liver_apps.liver.lib.nash_job import predict_nash  # noqa: E402


@pytest.fixture
def stored(tmp_path) -> list[Path]:
    """Two pictures of one patient, of different sizes, in one folder."""
    paths = []
    for number in (1, 2):
        write_ultrasound(tmp_path / "source", number, n_images=1)
        picture = pydicom.dcmread(tmp_path / "source" / "8.dcm")
        picture.PatientID = "one-patient"
        if number == 2:
            picture.Rows, picture.PixelData = 40, picture.PixelData[: 40 * 64]
        paths.append(tmp_path / f"picture-{number}.dcm")
        picture.save_as(paths[-1])
    (tmp_path / "source" / "8.dcm").unlink()
    return paths


def test_the_liver_is_outlined_on_the_file_itself(stored):
    for path, rows in zip(stored, (48, 40), strict=True):
        image, pixels = read_region_case(path).images[0], pydicom.dcmread(path).pixel_array
        assert image.shape == (rows, 64)
        assert np.array_equal(image[image > 0], pixels[image > 0]) and (image > 0).mean() > 0.5


def test_nash_is_answered_from_the_file_itself(stored, tmp_path):
    for path, rows in zip(stored, (48, 40), strict=True):
        result = predict_nash(path, None, {}, tmp_path, tmp_path / "no-weights", progress=lambda *_: None)
        grad_cam = nib.Nifti1Image.from_bytes(gzip.decompress((tmp_path / "grad_cam.nii.gz").read_bytes()))
        assert grad_cam.shape == (64, rows, 1) and result["case_id"] == path.stem
