"""Weights: what is saved comes back, the same input gives the same bytes, and everything else is refused."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from liver_models import weights as weights_module
from liver_models.errors import UnsuitableInputError
from liver_models.weights import (
    Weights,
    card_markdown,
    check_shapes,
    load_weights,
    pretrained_path,
    save_weights,
)

CARD = {
    "architecture": "ai_deal",
    "name": "AI-DEAL, simulated",
    "config": {"channels": [8, 16], "is_residual": True, "note": "Größe"},
    "metrics": {"bias": {"value": 0.1, "low": -0.02, "high": 1e-05}},
    "limits": ["no children", "no iron above R2* 300 1/s"],
}
REMEDY = r"Train again, or take the file from"


def tensors(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "down.0.weight": rng.standard_normal((4, 2, 3, 3)).astype(np.float32),
        "down.0.bias": rng.standard_normal(4).astype(np.float16),
        "norm.num_batches_tracked": np.array(7),
        "mask": np.array([True, False, True]),
        "phase": (rng.standard_normal(3) + 1j).astype(np.complex64),
        "empty": np.zeros((0, 3), np.float64),
    }


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "net.safetensors"
    save_weights(path, tensors(), CARD)
    return path


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_what_is_saved_comes_back(saved):
    loaded = load_weights(saved, "ai_deal")
    assert loaded.card == CARD
    assert loaded.tensors.keys() == tensors().keys()
    for name, tensor in tensors().items():
        assert loaded.tensors[name].dtype == tensor.dtype and loaded.tensors[name].shape == tensor.shape
        np.testing.assert_array_equal(loaded.tensors[name], tensor)
        assert loaded.tensors[name].flags.writeable


def test_views_are_saved_as_they_read_not_as_they_lie(tmp_path):
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    views = {"transposed": base.T, "strided": base[::2, 1::3], "swapped": base.astype(">f4"), "fortran": base.copy("F")}
    save_weights(tmp_path / "v.safetensors", views, CARD)
    for name, tensor in load_weights(tmp_path / "v.safetensors").tensors.items():
        np.testing.assert_array_equal(tensor, views[name])


def test_the_same_input_gives_the_same_bytes_in_any_order_and_process(saved, tmp_path):
    other = tmp_path / "other.safetensors"
    digest = save_weights(other, dict(reversed(tensors().items())), dict(reversed(CARD.items())))
    assert other.read_bytes() == saved.read_bytes()
    assert digest == hashlib.sha256(saved.read_bytes()).hexdigest()
    code = (
        "import sys, numpy as np; from liver_models.weights import *; old = load_weights(sys.argv[1]);"
        "print(save_weights(sys.argv[2], old.tensors, old.card)); assert 'torch' not in sys.modules"
    )
    again = [sys.executable, "-c", code, str(saved), str(tmp_path / "third.safetensors")]
    assert subprocess.run(again, capture_output=True, text=True, check=True).stdout.strip() == digest


def test_other_tools_read_the_card_in_the_metadata(saved):
    from safetensors import safe_open

    with safe_open(saved, framework="np") as file:
        entry = json.loads(file.metadata()["liverlabel"])
    assert entry["card"] == CARD
    assert list(entry["card"]) == sorted(CARD)


def test_a_flip_of_any_bit_of_the_header_is_refused(saved, tmp_path):
    data = saved.read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    damaged = tmp_path / "damaged.safetensors"
    # Every byte, and 3 is no divisor of 8: every bit of a byte comes up.
    for position in range(0, 8 * header, 3):
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << position % 8
        damaged.write_bytes(flipped)
        with pytest.raises(UnsuitableInputError, match=REMEDY):
            load_weights(damaged)


def test_a_flip_of_any_bit_of_the_tensors_is_refused(saved, tmp_path):
    data = saved.read_bytes()
    damaged = tmp_path / "damaged.safetensors"
    for position in range(8 * (8 + int.from_bytes(data[:8], "little")), 8 * len(data), 3):
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << position % 8
        damaged.write_bytes(flipped)
        with pytest.raises(UnsuitableInputError, match=r"'damaged.safetensors' was changed since: its SHA-256 differs"):
            load_weights(damaged)


def test_a_file_cut_or_continued_anywhere_is_refused(saved, tmp_path):
    data = saved.read_bytes()
    damaged = tmp_path / "damaged.safetensors"
    for end in range(len(data)):
        damaged.write_bytes(data[:end])
        with pytest.raises(UnsuitableInputError, match=r"'damaged.safetensors' is truncated or damaged\. " + REMEDY):
            load_weights(damaged)
    damaged.write_bytes(data + b"\0")
    with pytest.raises(UnsuitableInputError, match="truncated or damaged"):
        load_weights(damaged)


def test_a_truncated_file_whose_length_starts_like_a_pickle_is_not_called_one(tmp_path):
    path = tmp_path / "net.safetensors"
    for padding in range(0, 256, 8):
        save_weights(path, tensors(), CARD | {"padding": " " * padding})
        if path.read_bytes()[0] == 0x80:
            break
    data = path.read_bytes()
    assert data[0] == 0x80 and load_weights(path)
    path.write_bytes(data[:-1])
    with pytest.raises(UnsuitableInputError, match="truncated or damaged"):
        load_weights(path)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_refused_before_its_code_runs(tmp_path, protocol):
    path, trace = tmp_path / "net.safetensors", tmp_path / "it_ran"
    path.write_bytes(pickle.dumps({"weight": Bomb(trace)}, protocol))
    with pytest.raises(UnsuitableInputError, match=r"'net.safetensors' is a pickle, which could run code\. " + REMEDY):
        load_weights(path)
    assert not trace.exists()
    pickle.loads(path.read_bytes())["weight"].close()
    assert trace.exists(), "the bomb of this test must work"


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_file_of_torch_save_is_refused_before_its_code_runs(tmp_path, is_zip):
    torch = pytest.importorskip("torch")
    path, trace = tmp_path / "net.pt", tmp_path / "it_ran"
    torch.save({"weight": Bomb(trace)}, path, _use_new_zipfile_serialization=is_zip)
    with pytest.raises(UnsuitableInputError, match=r"'net.pt' is a pickle, which could run code\. " + REMEDY):
        load_weights(path)
    assert not trace.exists()


@pytest.mark.parametrize("text", ["", "weights", "{}", "<html>404</html>" * 9, "(lp0\ncos\nsystem\n."])
def test_a_file_of_another_kind_is_refused(tmp_path, text):
    path = tmp_path / "net.safetensors"
    path.write_text(text)
    with pytest.raises(UnsuitableInputError, match=r"a whole safetensors file; 'net.safetensors' is .*" + REMEDY):
        load_weights(path)


def test_weights_of_another_architecture_are_refused(saved):
    with pytest.raises(UnsuitableInputError, match=r"architecture 'u_net' are needed; .* holds 'ai_deal'\. " + REMEDY):
        load_weights(saved, "u_net")


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"format": "pt"},
        {"liverlabel": "{}"},
        {"liverlabel": "[" * 100_000},
        {"liverlabel": '{"card": {"architecture": "a", "config": {}}}'},
        {"liverlabel": '{"card": {"architecture": "a", "config": {}}, "sha256": "\\ud800' + "0" * 63 + '"}'},
        {"liverlabel": '{"card": {"architecture": "a", "config": {"x": NaN}}, "sha256": "' + "a" * 64 + '"}'},
        {"liverlabel": '{"card": {"architecture": 3, "config": {}}, "sha256": "' + "a" * 64 + '"}'},
        {"liverlabel": '{"card": {"architecture": "a"}, "sha256": "' + "a" * 64 + '"}'},
    ],
)
def test_tensors_without_a_card_are_refused(tmp_path, metadata):
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(3)}, tmp_path / "bare.safetensors", metadata)
    with pytest.raises(UnsuitableInputError, match=r"'bare.safetensors' holds tensors without one\. " + REMEDY):
        load_weights(tmp_path / "bare.safetensors")


def test_a_type_that_numpy_does_not_have_is_refused(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(3, dtype=torch.bfloat16)}, tmp_path / "brain.safetensors")
    with pytest.raises(UnsuitableInputError, match=REMEDY):
        load_weights(tmp_path / "brain.safetensors")


def test_a_missing_file_and_a_folder_are_refused_by_name(tmp_path):
    with pytest.raises(UnsuitableInputError, match=r"'none.safetensors' is not: no such file\. " + REMEDY):
        load_weights(tmp_path / "none.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(UnsuitableInputError, match=r"'folder.safetensors' is not: no such file\. " + REMEDY):
        load_weights(tmp_path / "folder.safetensors")


@pytest.mark.parametrize("value", [float("nan"), np.float32(1), {1, 2}, b"x", np.zeros(2)])
def test_a_card_that_is_not_json_ready_leaves_the_former_file(saved, value):
    before = saved.read_bytes()
    with pytest.raises((TypeError, ValueError)):
        save_weights(saved, tensors(1), CARD | {"metrics": value})
    assert saved.read_bytes() == before and os.listdir(saved.parent) == [saved.name]


@pytest.mark.parametrize("card", [{}, {"architecture": "a"}, {"config": {}}, {"architecture": None, "config": {}}])
def test_weights_cannot_be_saved_without_saying_what_they_are(tmp_path, card):
    with pytest.raises(ValueError, match="needs 'architecture', a name, and 'config', a dict"):
        save_weights(tmp_path / "net.safetensors", tensors(), card)
    assert not os.listdir(tmp_path)


def test_an_array_of_objects_leaves_the_former_file(saved):
    before = saved.read_bytes()
    with pytest.raises(Exception, match="object"):
        save_weights(saved, {"a": np.array([None, {}], object)}, CARD)
    assert saved.read_bytes() == before


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_former_file_and_nothing_else(saved, monkeypatch, step):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = saved.read_bytes()
    monkeypatch.setattr(weights_module.os, step, full)
    with pytest.raises(UnsuitableInputError, match=r"found: No space left on device\. Free some space"):
        save_weights(saved, tensors(1), CARD)
    assert saved.read_bytes() == before and os.listdir(saved.parent) == [saved.name]


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(UnsuitableInputError, match=r"ends in .safetensors; found 'net.pt'\. Give another name"):
        save_weights(tmp_path / "net.pt", tensors(), CARD)


def test_shapes_that_fit_are_taken_and_the_first_that_does_not_is_named():
    weights = Weights({"a": np.zeros((2, 3)), "b": np.zeros(())}, CARD)
    check_shapes(weights, {"b": (), "a": (2, 3)})
    with pytest.raises(UnsuitableInputError, match=r"'ai_deal' needs a tensor 'c'; it is missing\. " + REMEDY):
        check_shapes(weights, {"a": (2, 3), "c": (1,), "d": (1,), "b": ()})
    with pytest.raises(UnsuitableInputError, match=r"needs 'a' of shape \(3, 2\); found \(2, 3\)\. " + REMEDY):
        check_shapes(weights, {"a": (3, 2), "b": ()})
    with pytest.raises(UnsuitableInputError, match=r"its own tensors only; found 'b', which .* " + REMEDY):
        check_shapes(weights, {"a": (2, 3)})


def test_pretrained_weights_are_found_by_name_and_others_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(weights_module, "PRETRAINED_FOLDER", tmp_path)
    with pytest.raises(
        UnsuitableInputError, match=r"Pretrained weights 'u_net' are needed; none are installed\. Install"
    ):
        pretrained_path("u_net")
    for name in ("vet_net", "ai_deal"):
        save_weights(tmp_path / f"{name}.safetensors", {}, CARD)
    assert pretrained_path("vet_net") == tmp_path / "vet_net.safetensors"
    for name in ("u_net", "../ai_deal", "ai_deal.safetensors"):
        with pytest.raises(UnsuitableInputError, match=r"are needed; installed are ai_deal, vet_net\. Give"):
            pretrained_path(name)


def test_the_card_reads_as_a_page():
    page = card_markdown(
        CARD | {"n_slices": 600, "seed": None, "training": {"loss_curve": list(range(40)), "runs": [{"epoch": 1}]}}
    )
    assert page.splitlines()[0] == "# AI-DEAL, simulated"
    assert "- Architecture: ai_deal" in page and "- N slices: 600" in page and "- Seed: unknown" in page
    assert "- Limits: no children, no iron above R2* 300 1/s" in page
    assert "\n## Config\n\n- Channels: 8, 16\n- Is residual: yes\n- Note: Größe\n" in page
    assert "\n- Bias:\n  - Value: 0.1\n  - Low: -0.02\n" in page
    assert "… (40 values)" in page and "39" not in page
    assert "- Runs:\n  - epoch 1\n" in page


def test_a_page_of_a_foreign_card_holds_no_html_and_no_extra_lines():
    page = card_markdown({"architecture": "a\n# b", "config": {"<script>": "<img src=x>\n- c"}})
    assert "<" not in page and "\n# b" not in page and "\n- c" not in page
