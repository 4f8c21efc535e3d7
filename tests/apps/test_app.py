"""The app inside MONAI Label, without our server in front."""

from __future__ import annotations

import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from liver_apps import entry
from liver_apps.liver.lib.failures import UnknownNameError
from liver_models.errors import UnsuitableInputError
from liver_models.mri.maps import VOLUME_FIELDS

CASE = "simulated-vials"


@pytest.fixture
def liver(studies, tmp_path):
    """The app as a launcher of somebody else's loads it, on a copy of the studies."""
    entry.make_stand_ins_importable()
    from monailabel.interfaces.utils.app import app_instance, clear_cache

    from liver_apps import launcher

    copied = tmp_path / "studies"
    shutil.copytree(studies, copied, ignore=shutil.ignore_patterns("labels", ".liverlabel-*"))
    clear_cache()
    app = app_instance(app_dir=str(launcher.PACKAGED_APP), studies=str(copied), conf={"a": "b"})
    yield app
    app.datastore().close()
    app.worker.close()
    clear_cache()


def test_it_works_unguarded_and_says_so(liver, phantom, caplog):
    from monailabel.interfaces.utils.app import app_instance, clear_cache

    answer = liver.infer({"model": "pdff", "image": CASE})
    image = nib.load(answer["file"])
    np.testing.assert_allclose(image.affine, phantom[0].affine, atol=1e-4)
    assert answer["params"]["is_simulated"] is True
    clear_cache()
    app_instance(app_dir=liver.app_dir, studies=liver.studies, conf={"a": "b"}).datastore().close()
    assert "no token is asked and stock routes are open" in caplog.text


def test_it_takes_no_path_for_a_case(liver, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.nii.gz").write_bytes(b"x")
    for image in ("here.nii.gz", str(tmp_path / "here.nii.gz"), "nobody", ""):
        with pytest.raises(UnknownNameError, match="There is no case"):
            liver.infer({"model": "pdff", "image": image})


def test_a_lost_index_is_made_again_with_every_map(liver):
    from liver_apps.liver.lib.datastore import LiverDatastore

    liver.datastore().save_maps(CASE, {name: b"x" for name in VOLUME_FIELDS}, {})
    liver.datastore().close()
    for path in liver.datastore().folder.glob(".liverlabel-index.sqlite*"):
        path.unlink()
    again = LiverDatastore(liver.studies)
    assert set(VOLUME_FIELDS) <= set(again.get_labels_by_image_id(CASE))
    assert set(again.list_images()) == {CASE, "simulated-larger", "plain"}
    again.close()


def test_storing_maps_of_a_case_that_went_away_says_so(liver):
    with pytest.raises(UnknownNameError, match="its maps were not stored"):
        liver.datastore().save_maps("gone", {"pdff_percent": b"x"}, {})


def test_a_map_that_cannot_be_written_leaves_the_former_one(liver, monkeypatch):
    import os

    store = liver.datastore()
    store.save_maps(CASE, {"pdff_percent": b"former"}, {})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(UnsuitableInputError, match="No space left|full"):
            store.save_maps(CASE, {"pdff_percent": b"newer"}, {})
    file = store.label_file(CASE, "pdff_percent")
    assert file.read_bytes() == b"former" and [path.name for path in file.parent.glob("[!.]*")] == [file.name]
    assert not list(file.parent.rglob(".writing-*"))


def test_the_listing_in_stock_form_names_every_tag(liver):
    store = liver.datastore()
    store.save_maps(CASE, {"water": b"x"}, {"model": "pdff"})
    assert json.loads(json.dumps(store.json()))["objects"][CASE]["labels"]["water"]["info"]["model"] == "pdff"
