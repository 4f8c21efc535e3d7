"""What the models of fibrotic NASH promise where it is easily broken: frozen stages, missing inputs, other data."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_subjects import tiny_cohort, tiny_subject

from liver_models.errors import UnsuitableInputError
from liver_models.ultrasound.fusion import predict
from liver_models.ultrasound.fusion_networks import FullBranch
from liver_models.ultrasound.fusion_options import FusionOptions
from liver_models.ultrasound.fusion_training import train_fusion
from liver_models.ultrasound.subject import ImagePair, UltrasoundSubject

QUICK = FusionOptions(epochs=2, learning_rate=3e-3)


@pytest.fixture(scope="module")
def cohort():
    return tiny_cohort()


@pytest.fixture(scope="module")
def combined(cohort):
    return train_fusion(cohort, QUICK)


class TestFrozenStages:
    def test_frozen_stages_keep_weights_and_statistics_and_the_others_do_not(self):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            branch = FullBranch()
        branch.freeze(2)
        before = {name: value.clone() for name, value in branch.state_dict().items()}
        branch.train()
        trained = [p for p in branch.parameters() if p.requires_grad]
        optimiser = torch.optim.SGD(trained, 0.1)
        branch(torch.randn(2, 3, 64, 64)).square().mean().backward()
        optimiser.step()
        frozen = ("resnet.conv1.", "resnet.bn1.", "resnet.layer1.", "resnet.layer2.")
        for name, value in branch.state_dict().items():
            assert torch.equal(value, before[name]) == name.startswith(frozen), name

    def test_evaluation_and_training_again_leave_them_frozen(self):
        branch = FullBranch()
        branch.freeze(1)
        branch.eval().train()
        assert not branch.resnet.layer1[0].bn1.training and branch.resnet.layer2[0].bn1.training


class TestInputs:
    def test_an_elastogram_without_a_measurement_is_missing(self, combined):
        subject = tiny_subject(0, True, kinds=("b_mode", "clinical"))
        nothing = np.full((40, 50), np.nan, np.float32)
        with_it = replace(subject, pairs=(replace(subject.pairs[0], stiffness_kpa=nothing),))
        answer = predict(with_it, combined)
        assert "swe" in answer.inputs_missing and "swe" not in answer.contributions
        assert answer.probability == predict(subject, combined).probability

    def test_a_black_b_mode_image_is_refused_by_name(self, combined, cohort):
        black = UltrasoundSubject("dark", "dark", (ImagePair(b_mode=np.zeros((40, 60), np.uint8), name="lobe"),))
        with pytest.raises(UnsuitableInputError, match="'lobe' of 'dark'.*needs tissue; it is black all over"):
            predict(black, combined)
        with pytest.raises(UnsuitableInputError, match="black all over"):
            train_fusion([*cohort, replace(black, is_fibrotic_nash=True)], QUICK)

    def test_a_region_of_another_shape_is_refused(self, combined):
        pair = ImagePair(b_mode=np.full((40, 60), 80, np.uint8), roi=np.ones((60, 40), bool), name="lobe")
        with pytest.raises(UnsuitableInputError, match=r"the image's shape \(40, 60\); found \(60, 40\)"):
            predict(UltrasoundSubject("x", "x", (pair,)), combined)

    def test_the_papers_mode_never_learnt_to_do_without_an_image_and_says_so(self, cohort):
        weights = train_fusion(cohort, replace(QUICK, mode="paper", model="b_mode_swe"))
        assert predict(cohort[0], weights).inputs_missing == ()
        with pytest.raises(UnsuitableInputError, match="paper mode.*needs every image.*'case-0' lacks: .*elastogram"):
            predict(tiny_subject(0, True, kinds=("b_mode",)), weights)


class TestCheckpoint:
    @pytest.mark.parametrize(
        "change",
        [
            # Of one subject: a factor common to all is taken away with the scale.
            lambda s: replace(s, clinical={**s.clinical, "alt_u_per_l": 60.0}) if s.case_id == "case-3" else s,
            lambda s: replace(
                s, pairs=tuple(replace(p, b_mode=np.ascontiguousarray(p.b_mode[:, ::-1])) for p in s.pairs)
            ),
        ],
        ids=["clinical values", "mirrored images"],
    )
    def test_a_finished_folder_does_not_answer_for_other_subjects(self, cohort, tmp_path, change):
        train_fusion(cohort, replace(QUICK, epochs=1), folder=tmp_path)
        with pytest.raises(UnsuitableInputError, match="of another training"):
            train_fusion([change(s) for s in cohort], replace(QUICK, epochs=1), folder=tmp_path)

    def test_answers_that_change_places_are_other_subjects(self, cohort, tmp_path):
        """As many of each class in each part, other patients."""
        options = replace(QUICK, epochs=1, model="b_mode")
        train_fusion(cohort[:16], options, validation=cohort[16:], folder=tmp_path)
        swapped = [
            replace(s, is_fibrotic_nash=cohort[(k + 1) % 16].is_fibrotic_nash) for k, s in enumerate(cohort[:16])
        ]
        assert sum(s.is_fibrotic_nash for s in swapped) == sum(s.is_fibrotic_nash for s in cohort[:16])
        with pytest.raises(UnsuitableInputError, match="of another training"):
            train_fusion(swapped, options, validation=cohort[16:], folder=tmp_path)


def test_the_promises_are_kept_by_the_same_bytes(cohort, combined):
    """Refusals and fixes draw nothing: the seed's bytes do not depend on being asked twice."""
    again = train_fusion(cohort, QUICK)
    one, other = (
        hashlib.sha256(b"".join(w.tensors[n].tobytes() for n in sorted(w.tensors))).digest() for w in (combined, again)
    )
    assert one == other
