"""Copies are found whatever was done to them, honest images pass, and the reader is told which frame was copied."""

from __future__ import annotations

import json

import numpy as np
import pytest
from phantom_frames import ALTERATIONS, Frames, altered, frames
from PIL import Image

from liver_models.errors import UnsuitableInputError
from liver_models.learning.roc import auc
from liver_models.synthesis import memorisation
from liver_models.synthesis.features import small_network
from liver_models.synthesis.memorisation import MemorisationOptions, audit_memorisation
from liver_models.ultrasound.frames import apply_crops, draw_crops

N_COPIES = 8


@pytest.fixture(scope="module")
def train():
    return frames(0, 12)


@pytest.fixture(scope="module")
def planted(train):
    """Altered copies of some training frames, each alteration in turn, and frames of other patients, altered alike."""
    rng = np.random.default_rng(1)
    copied = np.arange(N_COPIES) * 4
    copies = [altered(train.images[k], how, rng) for how in ALTERATIONS for k in copied]
    honest = frames(200, 32, 1).images
    fresh = [*honest, *(altered(image, ALTERATIONS[k % len(ALTERATIONS)], rng) for k, image in enumerate(honest))]
    return np.stack(copies), np.stack(fresh), np.tile(copied, len(ALTERATIONS))


@pytest.fixture(scope="module")
def audit(train, planted):
    return audit_memorisation(np.concatenate(planted[:2]), train, small_network())


@pytest.mark.parametrize("how", range(len(ALTERATIONS)), ids=ALTERATIONS)
def test_planted_copies_are_told_from_other_patients_frames(audit, planted, how):
    n = len(planted[0])
    scores = np.concatenate([audit.score[how * N_COPIES : (how + 1) * N_COPIES], audit.score[n:]])
    assert auc(scores, np.arange(len(scores)) < N_COPIES).value >= 0.99


def test_the_copied_frame_is_named(audit, planted):
    assert (audit.nearest[: len(planted[0])] == planted[2]).mean() >= 0.99


def test_copies_are_called_so_and_honest_images_are_not(audit, planted):
    n = len(planted[0])
    assert audit.is_copy[:n].mean() > 0.9
    assert audit.is_copy[n:].mean() < 0.06
    assert audit.share_low < audit.share == audit.is_copy.mean() < audit.share_high


def test_another_frame_of_a_training_patient_is_no_copy(train):
    """Frames drawn afresh of the same body, as a generator that learned well could draw."""
    others = frames(0, 12, 5).images.reshape(12, 5, 64, 64)[:, 3:].reshape(-1, 64, 64)
    assert audit_memorisation(others, train, small_network()).is_copy.mean() < 0.1


def test_without_mirroring_mirror_images_are_missed(train, planted):
    flipped = planted[0][ALTERATIONS.index("flip") * N_COPIES :][:N_COPIES]
    found = audit_memorisation(flipped, train, small_network(), MemorisationOptions(finds_mirrored=False))
    assert not found.is_copy.any()


def test_copies_of_cuts_of_prepared_frames_are_told_from_cuts_of_other_patients():
    """Generators see random cuts of the prepared frames: of any place, of 0.67 to 1 of the side, not square."""
    rng, prepared, copied = np.random.default_rng(3), frames(0, 16, size=80), np.arange(0, 48, 2)
    fresh = frames(300, 24, 1, size=80).images
    made = [apply_crops(x, draw_crops(len(x), rng), 64) for x in (prepared.images[copied], fresh)]
    found = audit_memorisation(np.concatenate(made), prepared, small_network())
    is_planted = np.arange(len(found.score)) < len(copied)
    assert auc(found.score, is_planted).value >= 0.99
    assert (found.nearest[is_planted] == copied).all()
    assert found.is_copy[is_planted].mean() > 0.95 and found.is_copy[~is_planted].mean() < 0.1


def test_a_cut_that_is_not_looked_for_is_missed():
    prepared = frames(0, 16, size=80)
    aside = prepared.images[::4, 12:68, 24:]
    whole_only = MemorisationOptions(smallest_side=1.0)
    assert audit_memorisation(aside, prepared, small_network()).is_copy.all()
    assert audit_memorisation(aside, prepared, small_network(), whole_only).is_copy.mean() < 0.2


@pytest.mark.real
def test_copies_of_real_frames_are_told_from_other_patients_real_frames(real_data):
    """Ten patients of Byra's set, a frame each: six are trained on."""
    paths = sorted((real_data / "ultrasound" / "byra_frames_lcti").glob("*.jpeg"))
    real = [
        Image.open(path).convert("L").crop((100, 0, 534, 434)).resize((80, 80), Image.Resampling.BOX) for path in paths
    ]
    real, rng = np.stack([np.asarray(image) for image in real]), np.random.default_rng(0)
    made = [altered(image, how, rng) for image in real for how in ALTERATIONS]
    six = Frames(real[:6], tuple("ABCDEF"), np.zeros(6, bool), is_simulated=False)
    found = audit_memorisation(np.stack(made), six, small_network())
    is_copy = np.arange(len(made)) < 6 * len(ALTERATIONS)
    assert auc(found.score, is_copy).value >= 0.99
    assert not found.is_simulated
    assert (found.nearest[is_copy] == np.repeat(np.arange(6), len(ALTERATIONS))).mean() >= 0.95


def test_neither_the_order_nor_the_chunks_count(train, planted, monkeypatch):
    some, few = planted[0][::9], Frames(*(value[:18] for value in (train.images, train.patient_ids, train.is_fatty)))
    whole = audit_memorisation(some, few, small_network())
    monkeypatch.setattr(memorisation, "_AT_ONCE", 5)
    parts = audit_memorisation(some[::-1], few, small_network())
    np.testing.assert_allclose(parts.score[::-1], whole.score, atol=1e-4)


def test_the_report_is_json_names_frames_and_its_network(audit, train, planted):
    told = json.loads(json.dumps(audit.to_json(), allow_nan=False))
    assert told["n_copies"] == audit.is_copy.sum() == len(told["copies"])
    assert told["copies"][0]["nearest"] == "P0#0" and told["network"] == "random-filters-672"
    assert told["is_simulated"] and told["n_real"] == 36 and len(told["scores"]) == len(planted[0]) + len(planted[1])


def test_progress_counts_real_and_synthetic_images(train, planted):
    told = []
    audit_memorisation(planted[0][:4], train, small_network(), progress=lambda *step: told.append(step))
    assert told[-1] == ("memorisation", 40, 40)


def test_two_patients_are_too_few_and_oblong_images_are_refused(train):
    two = Frames(train.images[:6], train.patient_ids[:6], train.is_fatty[:6])
    with pytest.raises(UnsuitableInputError, match="at least 3 patients.*found 2"):
        audit_memorisation(train.images[:2], two, small_network())
    with pytest.raises(UnsuitableInputError, match="square grey images of 8 bits; found uint8 of shape"):
        audit_memorisation(train.images[:2, :40], train, small_network())


@pytest.mark.parametrize("bad", [{"smallest_side": 0.4}, {"smallest_side": 1.2}, {"max_shift": 0.5}, {"n_others": 0}])
def test_options_out_of_range_are_refused(bad):
    with pytest.raises(UnsuitableInputError, match="[Cc]hange"):
        MemorisationOptions(**bad)
