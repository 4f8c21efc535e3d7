"""MONAI Label's own client talks to the server, token included."""

from __future__ import annotations

import warnings

import nibabel as nib
import numpy as np
import pytest

CASE = "simulated-vials"


@pytest.fixture
def stock(server, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from liver_apps.entry import make_stand_ins_importable

        make_stand_ins_importable()
        from monailabel.client import MONAILabelClient
    client = MONAILabelClient(server.address, tmpdir=str(tmp_path))
    client.update_auth(client.auth_token("any name", server.token))
    return client


def test_it_is_asked_to_log_in_and_takes_the_token_as_password(server, stock):
    from monailabel.client.client import MONAILabelClient, MONAILabelClientException

    assert stock.auth_enabled() and stock.auth_valid_token()
    stranger = MONAILabelClient(server.address)
    assert not stranger.auth_valid_token()
    with pytest.raises(MONAILabelClientException):
        stranger.auth_token("any name", "not the token")
    with pytest.raises(MONAILabelClientException):
        stranger.info()


def test_it_sees_the_task(stock):
    info = stock.info()
    assert info["models"]["pdff"]["type"] == "others"
    assert stock.train_status(check_if_running=True) is False


def test_its_infer_gives_the_first_map_and_the_json(stock, phantom):
    file, params = stock.infer("pdff", CASE, {"method": "graph_cut"})
    image = nib.load(file)
    assert file.endswith("pdff_percent.nii.gz")
    np.testing.assert_allclose(image.affine, phantom[0].affine, atol=1e-4)
    assert params["task"] == "pdff" and params["is_simulated"] is True


def test_its_requests_after_a_form_are_answered(stock):
    stock.infer("pdff", CASE, {})
    assert stock.info()["name"] == "LiverLabel"
    assert CASE in stock.datastore()["objects"]


def test_it_downloads_each_stored_map(stock):
    stock.infer("pdff", CASE, {})
    image = nib.load(stock.download_label(CASE, "r2_star_per_s"))
    assert image.get_data_dtype() == np.float32


def test_it_saves_and_fetches_a_label(stock, phantom, tmp_path):
    from liver_models.io.volumes import write_volume

    file = tmp_path / "label.nii.gz"
    write_volume(file, phantom[1].body_mask, phantom[0].affine)
    assert (
        stock.save_label(CASE, str(file), tag="drawn", params={"label_info": [{"name": "liver / left"}]})["label"]
        == CASE
    )
    fetched = nib.load(stock.download_label(CASE, "drawn"))
    np.testing.assert_array_equal(np.asarray(fetched.dataobj), phantom[1].body_mask)


def test_it_asks_for_the_next_case(stock):
    assert stock.next_sample("random", {})["id"]
