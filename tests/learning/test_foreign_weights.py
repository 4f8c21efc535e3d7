"""Another program's weights: what is read is the file that was meant, and it fills the network whole or is refused."""

from __future__ import annotations

import hashlib

import pytest
import torch
from torch import nn

from liver_models.errors import UnsuitableInputError
from liver_models.learning import foreign_weights
from liver_models.learning.foreign_weights import fill, read_state


def saved(value, path):
    torch.save(value, path)
    return str(path), hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def network():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


def test_a_state_goes_in_and_counters_may_be_absent(network, tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        other = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).state_dict()
    other = {name: value for name, value in other.items() if "batches" not in name} | {"head.bias": torch.zeros(3)}
    state = read_state(*saved(other, tmp_path / "x.pth"), "Toy weights")
    fill(network, state, "Toy weights", "the toy", without=("head.",))
    assert torch.equal(network[0].weight, other["0.weight"])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"0.bias": None}, "0.bias"),
        ({"more": torch.zeros(1)}, "more"),
        ({"0.bias": torch.zeros(5)}, "0.bias"),
    ],
)
def test_a_tensor_that_lacks_or_does_not_fit_is_named(network, change, named):
    state = {name: value for name, value in (network.state_dict() | change).items() if value is not None}
    before = network[0].weight.clone()
    with pytest.raises(UnsuitableInputError, match=f"the toy; '{named}' is missing, too many or of another shape"):
        fill(network, state, "Toy weights", "the toy")
    assert torch.equal(network[0].weight, before)


@pytest.mark.parametrize("value", [[1, 2], {"epoch": 3, "state_dict": {}}, torch.zeros(3)])
def test_a_file_that_is_no_state_dict_is_refused(value, tmp_path):
    with pytest.raises(UnsuitableInputError, match="Save the state dict alone"):
        read_state(*saved(value, tmp_path / "x.pth"), "Toy weights")


def test_a_file_that_is_too_large_is_refused_before_it_is_read_whole(tmp_path, monkeypatch):
    source = saved({"a": torch.zeros(100)}, tmp_path / "x.pth")
    monkeypatch.setattr(foreign_weights, "MAX_BYTES", 50)
    with pytest.raises(UnsuitableInputError, match="need at most 0 MB"):
        read_state(*source, "Toy weights")
    with pytest.raises(UnsuitableInputError, match="need at most 0 MB"):
        read_state("file://" + source[0], source[1], "Toy weights")
