"""Weights trained at a site: one version in use, former ones kept, and a pointer that is always right."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from liver_apps.liver.lib import pdff_job, published
from liver_apps.liver.lib.published import PublishedWeights
from liver_models.errors import UnsuitableInputError
from liver_models.weights import save_weights


@pytest.fixture
def store(tmp_path) -> PublishedWeights:
    return PublishedWeights(tmp_path / "models" / "pdff", "ai_deal")


def trained(store, value: float, architecture: str = "ai_deal"):
    """A finished file whose one tensor holds ``value``."""
    path = store.folder / "training" / "finished.safetensors"
    card = {"architecture": architecture, "config": {}, "name": "AI-DEAL", "version": f"site-v{value:g}"}
    save_weights(path, {"kernel": np.full(3, value, np.float32)}, card)
    return path


def publish(store, *values: float) -> None:
    for value in values:
        store.publish(trained(store, value), store.next_version())


def in_use(store) -> float | None:
    weights = store.load()
    return None if weights is None else float(weights.tensors["kernel"][0])


def damage(path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_without_a_version_the_package_serves(store):
    assert store.load() is None
    assert store.describe() == {"version": 0, "file": None, "former_version": None, "versions": [0]}


def test_a_published_version_is_used_at_once_and_has_a_card_to_read(store):
    publish(store, 1)
    assert in_use(store) == 1
    assert "site-v1" in (store.folder / "ai_deal-v1.md").read_text()
    pointer = json.loads((store.folder / "current.json").read_text())
    assert pointer == {"version": 1, "file": "ai_deal-v1.safetensors", "history": [0, 1]}


def test_a_rollback_returns_step_by_step_to_the_package(store):
    publish(store, 1, 2)
    assert (store.roll_back(), in_use(store)) == (1, 1)
    assert (store.roll_back(), in_use(store)) == (0, None)
    with pytest.raises(UnsuitableInputError, match="needs a former version; the weights in use come with the package"):
        store.roll_back()
    assert store.versions() == [0, 1, 2]


def test_after_a_rollback_a_new_version_takes_a_new_number_and_remembers_what_it_replaced(store):
    publish(store, 1, 2)
    store.roll_back()
    publish(store, 3)
    assert store.describe() == {
        "version": 3,
        "file": "ai_deal-v3.safetensors",
        "former_version": 1,
        "versions": [0, 1, 2, 3],
    }


def test_a_rollback_may_name_a_version(store):
    publish(store, 1, 2, 3)
    assert (store.roll_back(1), in_use(store)) == (1, 1)
    assert (store.roll_back(3), in_use(store)) == (3, 3)
    assert store.roll_back() == 1
    assert store.roll_back(0) == 0
    for version in (4, -1):
        with pytest.raises(UnsuitableInputError, match=f"versions here are 0, 1, 2, 3; found {version}. Choose"):
            store.roll_back(version)


def test_a_damaged_version_is_refused_with_the_way_back(store):
    publish(store, 1, 2)
    damage(store.file(2))
    with pytest.raises(
        UnsuitableInputError, match=r"v2.*was changed since.*former weights: POST /liver/train/pdff/roll"
    ):
        store.load()
    store.roll_back()
    assert in_use(store) == 1


def test_a_rollback_to_a_damaged_version_changes_nothing(store):
    publish(store, 1, 2)
    damage(store.file(1))
    for version in (None, 1):
        with pytest.raises(UnsuitableInputError, match="'ai_deal-v1.safetensors' was changed"):
            store.roll_back(version)
    assert in_use(store) == 2
    assert store.roll_back(0) == 0


@pytest.mark.parametrize("kind", ["damaged", "of another network", "missing"])
def test_a_file_that_cannot_be_used_is_not_published(store, kind):
    publish(store, 1)
    path = trained(store, 2, "u_net" if kind == "of another network" else "ai_deal")
    if kind == "damaged":
        damage(path)
    if kind == "missing":
        path.unlink()
    with pytest.raises(UnsuitableInputError, match="was changed|architecture|no such file"):
        store.publish(path, store.next_version())
    assert in_use(store) == 1 and store.versions() == [0, 1]


def test_a_version_is_never_overwritten(store):
    publish(store, 1)
    with pytest.raises(ValueError, match="version 1 is taken"):
        store.publish(trained(store, 9), 1)
    assert in_use(store) == 1


@pytest.mark.parametrize("n_done", range(4))
def test_the_pointer_names_whole_weights_whenever_publishing_breaks_off(store, monkeypatch, n_done):
    publish(store, 1)
    finished = trained(store, 2)
    left = [n_done]
    replace = os.replace

    def breaks_off(source, target):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(5, "Input/output error")
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", breaks_off)
        if n_done < 3:  # The file, its card and the pointer.
            with pytest.raises(UnsuitableInputError, match="Input/output error"):
                store.publish(finished, 2)
        else:
            store.publish(finished, 2)
    assert in_use(store) == (1 if n_done < 3 else 2)
    assert not list(store.folder.glob(".writing-*"))
    publish(store, 3)
    assert in_use(store) == 3


@pytest.mark.parametrize("content", ["", "{", "[]", '{"history": []}', '{"history": ["../../x"]}', '{"history": 5}'])
def test_a_damaged_pointer_is_said_and_a_named_rollback_mends_it(store, content):
    publish(store, 1)
    (store.folder / published.POINTER).write_text(content)
    with pytest.raises(UnsuitableInputError, match="which weights are in use; it cannot be read. Choose a version by"):
        store.load()
    with pytest.raises(UnsuitableInputError, match="it cannot be read"):
        store.roll_back()
    assert (store.roll_back(1), in_use(store)) == (1, 1)
    assert store.roll_back() == 0


def test_a_measurement_takes_the_weights_in_use_and_other_methods_none(store, tmp_path, monkeypatch, studies):
    from liver_models.mri import pdff

    asked = []

    def estimate(study, **chosen):
        asked.append(chosen)
        raise UnsuitableInputError("Enough.")

    monkeypatch.setattr(pdff, "estimate", estimate)
    source = studies / "simulated-vials.case.json"

    def measure(**params):
        with pytest.raises(UnsuitableInputError) as caught:
            pdff_job.estimate_pdff(source, None, params, tmp_path, store.folder, progress=lambda done, total: None)
        return str(caught.value)

    measure(method="ai_deal")
    publish(store, 1)
    measure(method="ai_deal")
    publish(store, 2)
    measure(method="ai_deal_one_shot")
    measure(method="graph_cut")
    networks = [chosen.get("network") for chosen in asked]
    assert [network and network.card["version"] for network in networks] == [None, "site-v1", "site-v2", None]
    assert "network" not in asked[-1]
    damage(store.file(2))
    assert "was changed since" in measure(method="ai_deal") and measure(method="graph_cut") == "Enough."
    assert len(asked) == 5
