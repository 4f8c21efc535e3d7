"""The models of fibrotic NASH: they learn, say what they used, and are asked with what there is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_subjects import tiny_cohort, tiny_subject

from liver_models.errors import UnsuitableInputError
from liver_models.ultrasound.fusion import FusionModel, predict, predict_logits
from liver_models.ultrasound.fusion_data import (
    Standard,
    box_of,
    changed,
    draw_changes,
    feature_names,
    features_of,
    image_of,
    prepare_pairs,
)
from liver_models.ultrasound.fusion_networks import FullBranch
from liver_models.ultrasound.fusion_options import MODELS, FusionOptions
from liver_models.ultrasound.fusion_training import ARCHITECTURE, train_fusion
from liver_models.ultrasound.imagenet_weights import load_imagenet
from liver_models.ultrasound.subject import ImagePair, UltrasoundSubject
from liver_models.weights import Weights, load_weights, save_weights

QUICK = FusionOptions(epochs=6, learning_rate=3e-3)


@pytest.fixture(scope="module")
def cohort():
    return tiny_cohort()


@pytest.fixture(scope="module")
def combined(cohort):
    return train_fusion(cohort, QUICK)


def digest(weights):
    return hashlib.sha256(b"".join(np.ascontiguousarray(weights.tensors[n]).tobytes() for n in sorted(weights.tensors)))


@pytest.mark.parametrize("model", MODELS)
def test_every_model_learns_what_is_written_into_its_inputs(cohort, model):
    weights = train_fusion(cohort, replace(QUICK, model=model))
    fresh = tiny_cohort(12, seed=9)
    found = predict_logits(fresh, weights)
    truth = np.array([subject.is_fibrotic_nash for subject in fresh])
    assert found[truth].min() > found[~truth].max()
    assert weights.card["architecture"] == ARCHITECTURE and weights.card["is_trained_on_simulated_data"]
    assert set(weights.card["config"]["features"]) == set(feature_names(model))


@pytest.mark.slow
def test_the_papers_mode_learns_too_and_is_not_corrected(cohort):
    weights = train_fusion(cohort, replace(QUICK, mode="paper", model="b_mode_swe"))
    found = predict_logits(cohort, weights)
    truth = np.array([subject.is_fibrotic_nash for subject in cohort])
    assert found[truth].mean() > found[~truth].mean()
    assert weights.card["calibration"]["odds_ratio"] == 1 and weights.card["calibration"]["temperature"] == 1


def test_a_balanced_training_states_the_odds_of_the_real_shares(combined, cohort):
    n_true = combined.card["n_training_subjects"]
    labels = [subject.is_fibrotic_nash for subject in cohort]
    assert combined.card["calibration"]["odds_ratio"] == pytest.approx(2.0, rel=0.3) and n_true < len(labels)
    model = FusionModel(combined)
    given = Weights(
        combined.tensors, combined.card | {"calibration": combined.card["calibration"] | {"odds_ratio": 1.0}}
    )
    shift = FusionModel(given).raw_logits(cohort[0]) - model.raw_logits(cohort[0])
    assert np.allclose(shift, np.log(combined.card["calibration"]["odds_ratio"]))


class TestTraining:
    def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(self, cohort, combined):
        assert digest(train_fusion(cohort, QUICK)).digest() == digest(combined).digest()
        other = train_fusion(cohort, replace(QUICK, seed=1, epochs=1))
        assert digest(other).digest() != digest(combined).digest()

    @pytest.mark.parametrize("at", [1, pytest.param(4, marks=pytest.mark.slow)])
    def test_a_stopped_training_goes_on_to_the_same_bytes(self, cohort, combined, tmp_path, at):
        def stop(told):
            if told.epoch == at:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train_fusion(cohort, QUICK, folder=tmp_path, progress=stop)
        resumed = train_fusion(cohort, QUICK, folder=tmp_path)
        assert digest(resumed).digest() == digest(combined).digest() and resumed.card == combined.card

    def test_the_checkpoint_of_another_training_is_refused(self, cohort, tmp_path):
        train_fusion(cohort, replace(QUICK, epochs=1), folder=tmp_path)
        with pytest.raises(UnsuitableInputError, match="checkpoint in .* is of another training"):
            train_fusion(cohort, replace(QUICK, seed=5), folder=tmp_path)

    @pytest.mark.slow
    def test_time_that_is_over_keeps_what_was_learnt(self, cohort, combined, tmp_path):
        with pytest.raises(UnsuitableInputError, match="what was learnt is kept"):
            train_fusion(cohort, replace(QUICK, max_minutes=1e-9), folder=tmp_path)
        assert digest(train_fusion(cohort, QUICK, folder=tmp_path)).digest() == digest(combined).digest()

    def test_patients_that_stop_and_calibrate_it_change_no_gradient(self, cohort):
        """One epoch from a fixed split: other images of the validation patients leave the weights as they are."""
        options = replace(QUICK, epochs=1, model="b_mode")
        plain = train_fusion(cohort[:16], options, validation=cohort[16:])
        other = train_fusion(cohort[:16], options, validation=tiny_cohort(24, seed=5)[16:])
        assert digest(plain).digest() == digest(other).digest()

    def test_progress_counts_epochs(self, cohort):
        told = []
        train_fusion(cohort, replace(QUICK, epochs=2), progress=told.append)
        assert [one.epoch for one in told] == [0, 1, 2] and told[1].loss > 0 and told[2].metric is not None

    @pytest.mark.parametrize(
        ("subjects", "sentence"),
        [
            (lambda c: c[:3], "at least 8 subjects, 4 of each class; found 1 with .* and 2 without"),
            (lambda c: [s for s in c if not s.is_fibrotic_nash], "found 0 with"),
            (lambda c: [replace(s, is_fibrotic_nash=None) for s in c], "24 of 24 have none"),
        ],
    )
    def test_what_cannot_be_learnt_from_is_refused(self, cohort, subjects, sentence):
        with pytest.raises(UnsuitableInputError, match=sentence):
            train_fusion(subjects(cohort), QUICK)

    def test_images_that_nobody_has_are_refused(self):
        with pytest.raises(UnsuitableInputError, match="needs swe images; no training subject has one"):
            train_fusion(tiny_cohort(kinds=("b_mode",)), replace(QUICK, model="b_mode_swe"))

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({"model": "ct"}, "model needs to be one of combined, .*; found 'ct'"),
            ({"epochs": 0}, "epochs from 1 to 10000; found 0"),
            ({"n_frozen_stages": 2}, "Frozen stages need ImageNet weights"),
            ({"imagenet": "x.pth"}, "fit the size 'full' only"),
            ({"validation_fraction": 0.9}, "0.1 to 0.5; found 0.9"),
            ({"max_minutes": 0.0}, "above 0; found 0"),
        ],
    )
    def test_options_out_of_range_are_refused(self, change, sentence):
        with pytest.raises(UnsuitableInputError, match=sentence):
            FusionOptions(**change)


class TestPrediction:
    def test_it_says_what_was_used_and_where_it_looked(self, combined, cohort):
        answer = predict(cohort[0], combined)
        assert answer.inputs_used[:2] == ("b_mode", "swe") and "ggt_u_per_l" in answer.inputs_missing
        assert answer.probability_low <= answer.probability <= answer.probability_high
        assert answer.grad_cam.shape == cohort[0].pairs[0].b_mode.shape and answer.grad_cam.dtype == np.float32
        assert 0 <= answer.grad_cam.min() and answer.grad_cam.max() <= 1
        assert set(answer.contributions) == set(answer.inputs_used)
        assert json.loads(json.dumps(answer.to_json(), allow_nan=False))["is_trained_on_simulated_data"]

    def test_the_probability_is_the_one_of_the_mean_log_odds_over_pairs(self, combined):
        subject = tiny_subject(0, True, n_pairs=3)
        means, images = predict_logits([subject], combined, per_image=True)
        assert len(images[0]) == 3 and means[0] == pytest.approx(np.mean(images[0]))
        assert predict(subject, combined).probability == pytest.approx(1 / (1 + np.exp(-means[0])))

    @pytest.mark.parametrize("kinds", [("b_mode",), ("swe",), ("clinical",), ("b_mode", "clinical")])
    def test_inputs_may_be_missing_and_are_named(self, combined, kinds):
        answer = predict(tiny_subject(0, True, kinds=kinds), combined)
        for kind in ("b_mode", "swe"):
            assert (kind in answer.inputs_missing) == (kind not in kinds)
        assert 0 <= answer.probability <= 1 and (answer.grad_cam is None) == ("b_mode" not in kinds)

    def test_nothing_that_the_model_reads_is_refused(self, cohort):
        weights = train_fusion(cohort, replace(QUICK, model="clinical"))
        with pytest.raises(UnsuitableInputError, match="needs at least one of: weight_g.*'empty' has none"):
            predict(UltrasoundSubject("empty", "empty"), weights)

    def test_a_value_that_speaks_for_it_contributes_so(self, cohort):
        weights = train_fusion(cohort, replace(QUICK, model="clinical"))
        high, low = (predict(tiny_subject(k, k == 0), weights).contributions["alt_u_per_l"] for k in (0, 1))
        assert high > 0 > low

    def test_the_threshold_decides(self, combined, cohort):
        p = predict(cohort[0], combined).probability
        assert predict(cohort[0], combined, threshold=p * 0.999).is_fibrotic_nash
        assert not predict(cohort[0], combined, threshold=min(p * 1.001, 0.9999999)).is_fibrotic_nash or p > 0.999
        with pytest.raises(UnsuitableInputError, match="between 0 and 1; found 1"):
            predict(cohort[0], combined, threshold=1.0)

    def test_it_survives_a_file(self, combined, cohort, tmp_path):
        path = tmp_path / "one.safetensors"
        save_weights(path, combined.tensors, combined.card)
        again = load_weights(path, ARCHITECTURE)
        assert predict(cohort[0], again) == predict(cohort[0], combined)

    def test_other_weights_are_refused(self, combined):
        with pytest.raises(UnsuitableInputError, match="needs weights of the architecture 'reshy_net'"):
            FusionModel(Weights({}, {"architecture": "u_net", "config": {}}))
        with pytest.raises(UnsuitableInputError, match="needs its config and calibration; 'calibration' is missing"):
            FusionModel(Weights(combined.tensors, {k: v for k, v in combined.card.items() if k != "calibration"}))
        with pytest.raises(UnsuitableInputError, match="needs a tensor"):
            FusionModel(Weights({}, combined.card))


class TestData:
    def test_dropout_does_not_read_as_soft_tissue(self):
        stiffness = np.full((40, 40), 7.5, np.float32)
        stiffness[:, 10:20] = np.nan
        value, known = image_of(ImagePair(stiffness_kpa=stiffness), "swe", 96, is_paper=False)
        assert np.allclose(value[known > 0.5], 1.0, atol=0.01) and (value[known < 0.5] == 0).all()
        assert 0.7 < known.mean() < 0.8

    def test_the_readers_region_is_what_is_cut_out(self):
        b_mode, roi = np.full((60, 80), 9, np.uint8), np.zeros((60, 80), bool)
        roi[20:40, 30:70] = True
        box = box_of(ImagePair(b_mode=b_mode, roi=roi), "b_mode")
        assert (box.top, box.left, box.bottom, box.right) == (19, 28, 41, 72)
        whole = box_of(ImagePair(b_mode=b_mode), "b_mode")
        assert (whole.top, whole.left, whole.bottom, whole.right) == (0, 0, 60, 80)

    def test_a_subject_without_images_is_one_pair_without_any(self):
        pairs = prepare_pairs([tiny_subject(0, True, kinds=("clinical",))], ("b_mode", "swe"), 96, False)
        assert len(pairs) == 1 and not pairs.present["b_mode"].any() and not pairs.images["swe"].any()

    def test_missing_values_are_the_median_and_flagged(self):
        table = features_of(tiny_cohort(9), ("alt_u_per_l", "ggt_u_per_l"))
        standard = Standard.of(table)
        rows = standard.apply(np.array([[np.nan, np.nan]]))
        assert rows[0, 0] == pytest.approx((standard.median[0] - standard.mean[0]) / standard.std[0], rel=1e-5)
        assert rows[0, 2:].tolist() == [1, 1]

    def test_the_same_draw_changes_an_image_the_same_way(self):
        image = torch.rand(2, 1, 96, 96)
        one, again = (changed(image, "b_mode", draw_changes(2, torch.Generator().manual_seed(3))) for _ in range(2))
        assert torch.equal(one, again) and not torch.equal(one, image)

    def test_stiffness_is_moved_and_never_recoloured(self):
        image = torch.full((1, 2, 96, 96), 0.7)
        out = changed(image, "swe", draw_changes(1, torch.Generator().manual_seed(0)))
        assert torch.allclose(out, image, atol=1e-5)


class TestImageNet:
    @pytest.fixture
    def state(self):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            branch = FullBranch()
        state = {name: value.clone() for name, value in branch.resnet.state_dict().items()}
        return state | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}

    def test_torchvisions_names_fill_the_branch_exactly(self, state, tmp_path):
        path = tmp_path / "resnet18.pth"
        torch.save(state, path)
        branch = FullBranch()
        load_imagenet(branch, str(path), hashlib.sha256(path.read_bytes()).hexdigest())
        assert all(torch.equal(value, state[name]) for name, value in branch.resnet.state_dict().items())
        assert {"conv1.weight", "layer2.0.downsample.0.weight", "layer4.1.bn2.running_var"} <= set(state)
        url = path.as_uri()
        load_imagenet(branch, url, hashlib.sha256(path.read_bytes()).hexdigest().upper())

    def test_another_file_is_refused(self, state, tmp_path):
        path = tmp_path / "resnet18.pth"
        torch.save({k: v for k, v in state.items() if k != "conv1.weight"}, path)
        right = hashlib.sha256(path.read_bytes()).hexdigest()
        for sha256, sentence in (
            (None, "need their SHA-256"),
            ("0" * 64, "need the SHA-256 0000000000000000…"),
            (right, "'conv1.weight' is missing"),
        ):
            with pytest.raises(UnsuitableInputError, match=sentence):
                load_imagenet(FullBranch(), str(path), sha256)
        with pytest.raises(UnsuitableInputError, match="cannot be read"):
            load_imagenet(FullBranch(), str(tmp_path / "none.pth"), right)
        with pytest.raises(UnsuitableInputError, match="a path or an https address"):
            load_imagenet(FullBranch(), "http://example.org/x.pth", right)

    def test_a_pickle_that_would_run_code_is_refused(self, tmp_path):
        class Evil:
            def __reduce__(self):
                return (print, ("code ran",))

        path = tmp_path / "evil.pth"
        torch.save({"conv1.weight": Evil()}, path)
        with pytest.raises(UnsuitableInputError, match="would run code"):
            load_imagenet(FullBranch(), str(path), hashlib.sha256(path.read_bytes()).hexdigest())

    def test_a_file_of_another_kind_is_refused(self, tmp_path):
        path = tmp_path / "notes.safetensors"
        path.write_bytes(b"no weights at all")
        with pytest.raises(UnsuitableInputError, match="need to be a state dict of tensors"):
            load_imagenet(FullBranch(), str(path), hashlib.sha256(path.read_bytes()).hexdigest())
