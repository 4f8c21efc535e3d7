"""Feature networks: one ruler everywhere, and a user's Inception only if it is the file that was meant."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from liver_models.errors import UnsuitableInputError
from liver_models.synthesis.features import Classifier, inception_network, small_network
from liver_models.synthesis.inception import FidInception


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 32, 40), dtype=np.uint8)


@pytest.fixture(scope="module")
def state():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FidInception().state_dict()


class TestSmallNetwork:
    def test_its_filters_are_the_same_on_every_machine(self):
        assert small_network().sha256 == "19f0839f8504fe992db06fca5ebbb3bd9ce39e9eade444f279956518973ad263"

    def test_an_image_has_the_same_features_alone_and_among_others(self, images):
        together = small_network()(images).features
        alone = np.concatenate([small_network()(image[None]).features for image in images])
        np.testing.assert_allclose(alone, together, atol=1e-5)

    def test_it_has_no_classes_and_says_when_its_seed_is_another(self, images):
        assert small_network()(images).probabilities is None
        other = small_network(seed=3)
        assert other.name.endswith("seed-3") and other.sha256 != small_network().sha256

    def test_a_constant_added_moves_features_less_than_speckle_does(self):
        rng = np.random.default_rng(1)
        plain = np.full((1, 64, 64), 100, np.uint8)
        base, brighter, speckled = (
            small_network()(x).features
            for x in (plain, plain + 20, (plain + rng.normal(0, 20, (1, 64, 64))).astype("u1"))
        )
        assert np.linalg.norm(brighter - base) < 0.5 * np.linalg.norm(speckled - base)

    @pytest.mark.parametrize("bad", [np.zeros((2, 8, 8), np.uint8), np.zeros((2, 32, 32)), np.zeros((0, 32, 32), "u1")])
    def test_images_of_another_kind_are_refused(self, bad):
        with pytest.raises(UnsuitableInputError, match="grey images of 8 bits, shape"):
            small_network()(bad)


class TestInception:
    def test_it_has_the_published_number_of_parameters_and_names(self, state):
        counted = [value for name, value in state.items() if "running" not in name and "batches" not in name]
        # torchvision's 27,161,264 less its auxiliary classifier's 3,326,696, and 1008 classes for 1000.
        assert sum(value.numel() for value in counted) == 27_161_264 - 3_326_696 + 8 * 2049
        assert state["Mixed_6c.branch7x7dbl_5.conv.weight"].shape == (192, 160, 1, 7)
        assert state["Mixed_7c.branch3x3dbl_3b.bn.running_var"].shape == (384,)
        assert state["fc.weight"].shape == (1008, 2048)

    def test_a_users_file_gives_2048_features_and_1008_probabilities(self, state, images, tmp_path):
        path = tmp_path / "inception.safetensors"
        save_file({name: value for name, value in state.items() if "batches" not in name}, path)
        network = inception_network(str(path), digest(path))
        found = network(images[:2])
        assert found.features.shape == (2, 2048) and found.probabilities.shape == (2, 1008)
        assert found.probabilities.sum(axis=1) == pytest.approx(1)
        assert (network.name, network.sha256, network.class_source) == ("inception-v3-fid", digest(path), "ImageNet")

    def test_mean_pooling_leaves_the_padding_out_and_the_last_block_pools_by_maximum(self):
        block = FidInception().eval()
        one = torch.ones(1, 2048, 8, 8)
        got = {}
        for name, channels in (("Mixed_5b", 192), ("Mixed_7c", 2048)):
            part = getattr(block, name)
            part.branch_pool.register_forward_pre_hook(lambda _, x, name=name: got.update({name: x[0]}))
            x = one[:, :channels].clone()
            x[:, :, 4, 4] = 10
            part(x)
        assert got["Mixed_5b"][0, 0, 0, 0] == 1 and got["Mixed_5b"][0, 0, 4, 4] == pytest.approx(2)
        assert got["Mixed_7c"][0, 0, 3, 3] == 10 and got["Mixed_7c"][0, 0, 0, 0] == 1

    def test_another_file_is_refused(self, state, tmp_path):
        path = tmp_path / "inception.pth"
        torch.save({name: value for name, value in state.items() if name != "fc.bias"}, path)
        with pytest.raises(UnsuitableInputError, match="'fc.bias' is missing"):
            inception_network(str(path), digest(path))
        with pytest.raises(UnsuitableInputError, match="need their SHA-256"):
            inception_network(str(path), None)
        with pytest.raises(UnsuitableInputError, match="need the SHA-256 00000000"):
            inception_network(str(path), "0" * 64)
        with pytest.raises(UnsuitableInputError, match="a path or an https address"):
            inception_network("http://example.org/x.pth", "0" * 64)


def test_a_classifier_of_two_classes_may_tell_the_second_alone(images):
    found = Classifier("always a third", lambda x: np.full(len(x), 1 / 3))(images)
    assert found.shape == (5, 2) and found[0] == pytest.approx([2 / 3, 1 / 3])
