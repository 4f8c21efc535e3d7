"""The audit finds what was planted in a cohort and nothing in a clean one."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest

from liver_models.errors import UnsuitableInputError
from liver_models.learning.audit import AuditSample, audit
from liver_models.learning.shortcuts import logistic_fit

SHAPE = (96, 128)


def tissue(image):
    mask = np.zeros(image.shape, dtype=bool)
    rows, columns = image.shape
    mask[rows // 6 : -rows // 6, columns // 6 : -columns // 6] = True
    return mask


def picture(seed, *, is_marked=False, shape=SHAPE):
    """Simulated speckle with noise in its margin; a mark in the lower left corner if asked for."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 12, shape, dtype=np.uint8)
    image[rng.random(shape) > 0.997] = 200
    mask = tissue(image)
    image[mask] = rng.integers(30, 130, int(mask.sum()))
    if is_marked:
        image[-10:-4, 4:14:2] = 255
    return image


def cohort(n_patients=40, *, seed=0, marked=lambda label, rng: False, n_images=2, shape=SHAPE):
    rng = np.random.default_rng(seed)
    samples = []
    for number in range(n_patients):
        label = number % 2 == 0
        for index in range(n_images):
            is_marked = marked(label, rng)
            pixels = picture([seed, number, index], is_marked=is_marked, shape=shape)
            samples.append(AuditSample(f"p{number:03d}/{index}", f"p{number:03d}", label, lambda p=pixels: p, tissue))
    return samples


def kinds(report):
    return [finding.kind for finding in report.findings]


def the(report, kind):
    (finding,) = [one for one in report.findings if one.kind == kind]
    return finding


@pytest.mark.parametrize("n_cohorts", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_a_mark_in_most_positives_is_flagged_and_one_that_is_absent_is_not(n_cohorts):
    def often(label, rng):
        return label and rng.random() < 0.8

    seeds = range(n_cohorts)
    flagged = sum("shortcut" in kinds(audit(cohort(seed=seed, marked=often), n_permutations=99)) for seed in seeds)
    clean = sum("shortcut" not in kinds(audit(cohort(seed=seed), n_permutations=99)) for seed in seeds)
    assert flagged >= 0.9 * n_cohorts
    assert clean >= 0.9 * n_cohorts


def test_a_mark_that_goes_with_the_answer_in_no_way_is_not_flagged():
    samples = cohort(seed=3, marked=lambda label, rng: rng.random() < 0.5)
    assert "shortcut" not in kinds(audit(samples))


def test_what_only_the_tissue_shows_is_no_shortcut():
    samples = [replace(s, image=lambda s=s: np.where(tissue(s.image()) & s.label, 250, s.image())) for s in cohort()]
    samples = [replace(s, image=lambda s=s: s.image().astype(np.uint8)) for s in samples]
    assert "shortcut" not in kinds(audit(samples))


def test_a_relabelled_patient_is_found_with_the_contradiction():
    samples = cohort(20)
    copy = replace(samples[0], name="z", patient_id="z", label=False, image=lambda: samples[0].image() // 2 + 20)
    finding = the(audit([*samples, copy]), "same_patient_two_ids")
    assert finding.members == ("p000/0", "z") and finding.severity == "error"
    assert "contradict" in finding.sentence


def test_a_patient_in_two_parts_is_found_and_a_clean_split_is_not():
    samples = [replace(s, part="train" if s.patient_id < "p010" else "test") for s in cohort(20)]
    assert kinds(audit(samples)) == []
    samples[0] = replace(samples[0], part="test")
    assert the(audit(samples), "patient_overlap").members == ("p000",)


@pytest.mark.parametrize(("patient", "severity"), [("p000", "warning"), ("p003", "error")])
def test_equal_bytes_are_a_warning_within_a_patient_and_an_error_across(patient, severity):
    samples = cohort(20)
    samples[0] = replace(samples[0], sha256="ab")
    samples[5] = replace(samples[5], sha256="ab", patient_id=patient, label=None)
    finding = the(audit(samples), "byte_duplicates")
    assert finding.severity == severity and finding.members == ("p000/0", samples[5].name)


def test_a_copy_in_another_part_is_found():
    samples = [replace(s, part="train") for s in cohort(20)]
    copy = replace(samples[0], name="z", part="test")
    assert the(audit([*samples, copy]), "copies_across_parts").members == ("p000/0", "z")


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("source_confounding", lambda s: replace(s, source="A" if s.label else "B")),
        ("source_confounding", lambda s: replace(s, source="A" if s.label else "BC"[s.patient_id > "p020"])),
        ("simulation_confounding", lambda s: replace(s, is_simulated=s.label)),
    ],
)
def test_an_answer_that_goes_with_where_images_come_from_is_found(kind, change):
    report = audit([change(sample) for sample in cohort()])
    assert the(report, kind).severity == the(report, "shortcut").severity == "error"
    assert report.shortcut_auc > 0.95


def test_the_same_seed_gives_the_same_report_in_any_order():
    samples = cohort(16, marked=lambda label, rng: label)
    texts = {json.dumps(audit(order, seed=2).to_json()) for order in (samples, samples[::-1])}
    assert len(texts) == 1


def test_what_was_not_examined_is_said():
    samples = [replace(s, tissue=None) for s in cohort(12)]
    assert "margin was not examined" in the(audit(samples), "not_examined").sentence
    report = audit(cohort(6))
    assert "rarer one here has 3" in the(report, "not_examined").sentence and report.shortcut_auc is None
    samples = cohort(20)
    samples[0] = replace(samples[0], label=False)
    assert the(audit(samples), "not_examined").members == ("p000",)


def test_five_hundred_images_take_less_than_ten_seconds():
    samples = cohort(250, shape=(224, 224))
    start = time.process_time()
    audit(samples)
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    ("samples", "sentence"),
    [
        ([], "needs images; the cohort has none"),
        ([replace(cohort(1)[0], patient_id=" ")], "patient of every image; 'p000/0'"),
        (cohort(1) + cohort(1), "a name of its own for every image; found twice: 'p000/0'"),
        ([replace(cohort(1)[0], image=lambda: np.zeros((3, 9, 9), np.uint8))], "Image 'p000/0': .*grey images"),
    ],
)
def test_what_cannot_be_audited_is_refused(samples, sentence):
    with pytest.raises(UnsuitableInputError, match=sentence):
        audit(samples)


def test_too_few_permutations_are_refused():
    with pytest.raises(UnsuitableInputError, match="at least 99 permutations"):
        audit(cohort(2), n_permutations=50)


def test_the_fit_is_that_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 7))
    labels = features[:, 0] + rng.normal(size=60) > 0.5
    expected = LogisticRegression(C=0.1, tol=1e-9).fit(features, labels).coef_[0]
    assert np.allclose(logistic_fit(features, labels), expected, atol=1e-5)
