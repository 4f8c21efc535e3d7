"""Measured liver regions of 55 patients: the leak of a split by image, and what the hepatorenal index is worth."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from liver_models.learning.roc import auc
from liver_models.ultrasound.hepatorenal import hepatorenal_index
from liver_models.ultrasound.nafld_texture import glcm_table, out_of_fold_scores

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def rater(real_data):
    """Regions, indices, patients, answers of one rater."""
    folder = real_data / "ultrasound" / "byra_rois_viana"
    with open(folder / "dataset_rois.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, skipinitialspace=True))
    regions = [np.asarray(Image.open(folder / row["nome_arquivo"])) for row in rows]
    patients = [row["nome_arquivo"][4:6] for row in rows]
    return regions, rows, patients, np.array([row["classe"] == "1" for row in rows])


def test_a_split_by_image_flatters_a_texture_model(rater):
    regions, _, patients, is_fatty = rater
    features = glcm_table(regions, is_brightness_free=True)
    by_image, by_patient = (
        auc(out_of_fold_scores(features, is_fatty, patients, is_split_by_patient=one, n_trees=60), is_fatty).value
        for one in (False, True)
    )
    assert by_image > by_patient + 0.02


def test_the_hepatorenal_index_tells_fatty_livers_of_patients(rater):
    _, rows, patients, is_fatty = rater
    index = np.array([float(row["valor_hi"]) for row in rows])
    of_patient = {one: [k for k, name in enumerate(patients) if name == one] for one in sorted(set(patients))}
    means = [index[rows_of].mean() for rows_of in of_patient.values()]
    found = auc(means, [is_fatty[rows_of[0]] for rows_of in of_patient.values()], n_resamples=300)
    assert found.bootstrap_low > 0.8


def test_our_index_is_the_raters_on_the_frames_at_hand(rater, real_data):
    rows = {row["nome_arquivo"]: row for row in rater[1]}
    frames = sorted((real_data / "ultrasound" / "byra_frames_lcti").glob("*.jpeg"))
    for path in frames:
        row = rows[f"ROI_{int(path.name.split('_')[1]) - 1:02d}_0.png"]
        image = np.asarray(Image.open(path).convert("L"))
        masks = []
        for organ in ("figado", "rim"):
            x, y = int(row[f"x_{organ}"]), int(row[f"y_{organ}"])
            masks.append(np.zeros(image.shape, bool))
            masks[-1][y : y + 28, x : x + 28] = True
        assert hepatorenal_index(image, *masks) == pytest.approx(float(row["valor_hi"]), abs=0.005)
    assert len(frames) == 10
