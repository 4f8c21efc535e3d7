"""A public case goes through the server as a client would send it."""

from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import pytest


@pytest.mark.real
def test_a_real_liver_that_is_uploaded_comes_back_as_maps(server, real_data):
    path = real_data / "mri" / "ismrm2012_12.mat"
    reply = server.send("POST", "/liver/infer/pdff", [("files", path.name, path.read_bytes())])
    assert reply.status == 200, reply.body[:2000]
    parts = reply.parts()
    assert parts["reply"]["is_simulated"] is False
    values = np.asarray(nib.Nifti1Image.from_bytes(gzip.decompress(parts["pdff_percent"])).dataobj)
    valid = np.asarray(nib.Nifti1Image.from_bytes(gzip.decompress(parts["valid_mask"])).dataobj) > 0
    assert valid.mean() > 0.05
    assert np.isfinite(values[valid]).all() and np.isnan(values[~valid]).all()
