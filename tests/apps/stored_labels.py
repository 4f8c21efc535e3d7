"""What the tests of the datastore store and compare."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import nibabel as nib
import numpy as np

from liver_apps import entry

entry.make_stand_ins_importable()

from liver_apps.liver.lib.index import INDEX_NAME  # noqa: E402

CASES = ("one", "two", "three")


def answer(value, reader="") -> bytes:
    content = {"schema": "liverlabel.class_label", "schema_version": 1, "case_id": "one", "task": "fibrotic_nash"}
    return json.dumps({**content, "value": value, "reader": reader, "source": ""}).encode()


def region(shift: int, spacing: float = 2.0) -> bytes:
    """A block of 8 x 8 x 4 voxels, oblique and anisotropic, moved along x."""
    mask = np.zeros((24, 16, 6), np.uint8)
    mask[4 + shift : 12 + shift, 4:12, 1:5] = 1
    affine = np.array([[1.4, 0.5, 0, -3], [-0.5, 1.4, 0, 7], [0, 0, spacing, 1], [0, 0, 0, 1.0]])
    return gzip.compress(nib.Nifti1Image(mask, affine).to_bytes(), mtime=0)


def told(store) -> tuple:
    infos = {case: store.get_image_info(case) for case in store.list_images()}
    labels = [replace(item, info_mtime_ns=0) for case in store.list_images() for item in store.labels_of(case)]
    return store.json(), store.status(), infos, labels


def index_files(folder):
    return sorted(folder.glob(f"{INDEX_NAME}*"))


def deleted(folder):
    for path in index_files(folder):
        path.unlink()
