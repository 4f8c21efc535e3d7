"""On measured data: how much does a split by image flatter a texture model, and how good is the hepatorenal index?

Liver regions of the public set of Byra et al. by two raters (byra_rois.py), 55 patients, 38 with fatty liver by biopsy.

- Texture: co-occurrence features and a random forest, five folds by image or by patient, repeated; AUC of out-of-fold
  scores over images, mean over repeats, intervals by resampling patients. Also with the regions' brightness taken away,
  since the stored regions are scaled by the hepatorenal index; where the rater put the regions, as a control; and the
  patient split that UltraBench publishes.
- Hepatorenal index: AUC over images (patients resampled) and over patients' means, each rater; their difference; how
  far the raters agree; correlation with fat. Nothing is fitted, so nothing is held out.
- Attenuation: darkening over the 28 rows of the region, relative to its mean.
- Patients whose regions show another patient's pixels are left out: in one rater's set 15 patients share their frames.
  What all 55 would give is printed beside.
- Burned-in shortcuts cannot be tested: of whole frames ten are at hand, all of one class.

Figures of the literature, in the output beside ours, are the literature's. The data is found through LIVERLABEL_DATA.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from byra_rois import (
    RATERS,
    ROI_SIDE,
    frames_at_hand,
    patients_with_shared_pixels,
    published_test_patients,
    read_rois,
)
from common import show
from scipy.stats import spearmanr

from liver_models.learning.agreement import agreement
from liver_models.learning.intervals import bootstrap_interval
from liver_models.learning.roc import auc, auc_difference
from liver_models.ultrasound.hepatorenal import attenuation_slope, hepatorenal_index
from liver_models.ultrasound.nafld import predict
from liver_models.ultrasound.nafld_texture import forest_scores, glcm_table, out_of_fold_scores
from liver_models.ultrasound.subject import ImagePair, UltrasoundSubject
from liver_models.ultrasound.tissue import tissue_mask

LITERATURE = {
    "source": "Byra M et al., Int J CARS 2018, 10.1007/s11548-018-1843-2: AUC over the same 55 patients, leave one out",
    "hepatorenal_index": 0.959,
    "cnn": 0.977,
    "glcm": 0.893,
}
N_RESAMPLES = 2000


def mean_auc(rows):
    """Mean over repeats of the area; rows hold one score a repeat, then the answer."""
    is_true = rows[:, -1] > 0
    if is_true.all() or not is_true.any():
        return float("nan")
    # Midranks by sorting each column; ties of forests' votes are counted half.
    n_true, n_false = int(is_true.sum()), int((~is_true).sum())
    areas = []
    for column in rows[:, :-1].T:
        false = np.sort(column[~is_true])
        wins = np.searchsorted(false, column[is_true]) + np.searchsorted(false, column[is_true], "right")
        areas.append(wins.sum() / (2 * n_true * n_false))
    return float(np.mean(areas))


def interval_of(scores, is_fatty, patients, statistic=mean_auc):
    """Value and interval of a statistic of repeats, scores of shape (n_repeats, n)."""
    rows = np.column_stack([*np.atleast_2d(scores), is_fatty])
    low, high = bootstrap_interval(rows, statistic, patients, n_resamples=N_RESAMPLES)
    return [round(v, 4) for v in (statistic(rows), low, high)]


def means_of(values, patients):
    """Mean of each patient, in the order of their numbers."""
    return np.array([values[patients == one].mean() for one in np.unique(patients)])


def texture(rois, n_repeats, is_brightness_free):
    """The leak: the same features and forest, split by image and by patient."""
    features = glcm_table(rois.regions, is_brightness_free=is_brightness_free)
    names = [str(one) for one in rois.patient_ids]
    scores = {
        name: np.stack(
            [
                out_of_fold_scores(features, rois.is_fatty, names, is_split_by_patient=by_patient, seed=seed)
                for seed in range(n_repeats)
            ]
        )
        for name, by_patient in (("split_by_image", False), ("split_by_patient", True))
    }
    both = np.concatenate(list(scores.values()))

    def gain(rows):
        return mean_auc(rows[:, [*range(n_repeats), -1]]) - mean_auc(rows[:, [*range(n_repeats, 2 * n_repeats), -1]])

    test = np.isin(rois.patient_ids, sorted(published_test_patients(rois_folder())))
    published = forest_scores(features[~test], rois.is_fatty[~test], features[test])
    of_patients = [means_of(one, rois.patient_ids) for one in scores["split_by_patient"]]
    is_fatty = means_of(rois.is_fatty, rois.patient_ids) > 0
    return {
        **{name: interval_of(one, rois.is_fatty, rois.patient_ids) for name, one in scores.items()},
        "leak": interval_of(both, rois.is_fatty, rois.patient_ids, gain),
        "split_by_patient_over_patients": interval_of(of_patients, is_fatty, None),
        "published_split": interval_of(published, rois.is_fatty[test], rois.patient_ids[test]),
        "nearest_region_is_of_the_same_patient_percent": nearest_is_own(features, rois.patient_ids),
    }


def nearest_is_own(features, patients):
    """Share of regions whose nearest neighbour in standardised features is of the same patient; by chance 9 of all
    others."""
    spread = features.std(axis=0)
    scaled = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1)
    distance = ((scaled[:, None] - scaled[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distance, np.inf)
    return round(100 * float((patients[distance.argmin(axis=1)] == patients).mean()), 1)


def placement(rois, n_repeats):
    """Control: what the places of the two regions alone say, split by patient."""
    corners = np.concatenate([rois.liver_xy, rois.kidney_xy], axis=1).astype(float)
    names = [str(one) for one in rois.patient_ids]
    scores = [
        out_of_fold_scores(corners, rois.is_fatty, names, is_split_by_patient=True, seed=seed)
        for seed in range(n_repeats)
    ]
    return interval_of(np.stack(scores), rois.is_fatty, rois.patient_ids)


def index_figures(rois):
    """The hepatorenal index of one rater."""
    patients, is_fatty = rois.patient_ids, means_of(rois.is_fatty, rois.patient_ids) > 0
    of_patients = means_of(rois.index, patients)
    area = auc(of_patients, is_fatty, n_resamples=N_RESAMPLES)
    return {
        "auc_over_images": interval_of(rois.index, rois.is_fatty, patients),
        "auc_over_patients": [round(v, 4) for v in (area.value, area.bootstrap_low, area.bootstrap_high)],
        "auc_over_patients_by_delong": [round(v, 4) for v in (area.value, area.low, area.high)],
        "auc_over_patients_as_stored": round(auc(means_of(rois.index_as_stored, patients), is_fatty).value, 4),
        "n_patients_healthy_fatty": [int((~is_fatty).sum()), int(is_fatty.sum())],
        "values_with_a_lost_decimal_point": int((rois.index != rois.index_as_stored).sum()),
        "spearman_with_fat": round(float(spearmanr(of_patients, means_of(rois.fat_percent, patients)).statistic), 3),
        "median_healthy_fatty": [round(float(np.median(of_patients[is_fatty == one])), 3) for one in (False, True)],
    }


def checked_on_frames(rois, frames):
    """On the frames at hand: the index computed anew less the table's, and what the stored region was scaled by."""
    differences, scales = [], []
    for patient, frame in frames.items():
        k = int(np.flatnonzero(rois.patient_ids == patient)[0])
        masks = []
        for x, y in (rois.liver_xy[k], rois.kidney_xy[k]):
            mask = np.zeros(frame.shape, bool)
            mask[y : y + ROI_SIDE, x : x + ROI_SIDE] = True
            masks.append(mask)
        if (masks[0] & masks[1]).any():
            continue
        differences.append(hepatorenal_index(frame, *masks) - rois.index[k])
        scales.append(rois.regions[k].mean() / frame[masks[0]].mean())
    index = [rois.index[np.flatnonzero(rois.patient_ids == patient)[0]] for patient in frames]
    return {
        "n_frames": len(differences),
        "largest_difference_of_the_index": round(float(np.abs(differences).max()), 4),
        "correlation_of_the_scale_with_the_index": round(float(np.corrcoef(scales, index)[0, 1]), 3),
    }


def attenuation(rois):
    """Darkening with depth inside the region, relative to its mean, a row; higher in fatty livers, it is said."""
    whole = np.ones((ROI_SIDE, ROI_SIDE), bool)
    slopes = np.full(len(rois.regions), np.nan)
    for k, region in enumerate(rois.regions):
        # Saturated pixels are what the scaling by the index left; the slope refuses regions with many.
        if ((region == 0) | (region == 255)).mean() <= 0.25:
            slopes[k] = attenuation_slope(region, whole, row_spacing_mm=10).value / region.mean()
    used = np.isfinite(slopes)
    return {
        "auc_over_images": interval_of(slopes[used], rois.is_fatty[used], rois.patient_ids[used]),
        "n_images": int(used.sum()),
    }


def rois_folder():
    """Where the ultrasound data is."""
    if "LIVERLABEL_DATA" not in os.environ:
        raise SystemExit("Set LIVERLABEL_DATA to the folder that holds ultrasound/byra_rois_viana and others.")
    return Path(os.environ["LIVERLABEL_DATA"]) / "ultrasound"


def raters_compared(all_rois):
    """Difference of the raters' areas, and how far their indices agree."""
    common = set.intersection(*(set(rois.patient_ids.tolist()) for rois in all_rois.values()))
    one, other = (all_rois[rater].of_patients(common) for rater in RATERS)
    patients = one.patient_ids
    is_fatty = means_of(one.is_fatty, patients) > 0
    found = {}
    for name, first, second, truth, groups in (
        ("over_images", one.index, other.index, one.is_fatty, patients),
        ("over_patients", means_of(one.index, patients), means_of(other.index, patients), is_fatty, None),
    ):
        difference = auc_difference(first, second, truth, groups, n_resamples=N_RESAMPLES)
        agreed = agreement(first, second, groups)
        found[name] = {
            "auc_difference": [round(v, 4) for v in (difference.value, difference.low, difference.high)],
            **({"p_by_delong": round(difference.p_value, 4)} if groups is None else {}),
            "icc": [round(v, 3) for v in (agreed.icc, agreed.icc_low, agreed.icc_high)],
            "mean_difference": round(agreed.mean_difference, 3),
            "limits_of_agreement": [round(v, 3) for v in (agreed.lower_limit, agreed.upper_limit)],
        }
    return found


def demonstration_weights(frames):
    """What the package's weights, which know simulated patients only, say of whole frames of healthy livers."""
    said = {}
    for patient, grey in frames.items():
        b_mode = np.where(tissue_mask(grey), grey, 0).astype(np.uint8)
        answer = predict(UltrasoundSubject(str(patient), str(patient), (ImagePair(b_mode),)), with_maps=False)
        said[patient] = round(answer.probability, 3)
    called = sum(value >= 0.5 for value in said.values())
    return {"probability_of_patients": said, "called_fatty": called, "n_frames": len(said)}


def main():
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="of the folds")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="also draw them")
    arguments = parser.parse_args()
    folder = rois_folder()
    published = {rater: read_rois(folder, rater) for rater in RATERS}
    shared = {rater: patients_with_shared_pixels(rois) for rater, rois in published.items()}
    all_rois = {
        rater: rois.of_patients(set(rois.patient_ids.tolist()) - shared[rater]) for rater, rois in published.items()
    }
    frames = frames_at_hand(folder)
    figures = {
        "data": "measured",
        "patients_with_shared_pixels": {rater: sorted(found) for rater, found in shared.items()},
        "texture": {
            rater: {
                "as_stored": texture(rois, arguments.repeats, False),
                "without_brightness": texture(rois, arguments.repeats, True),
                "places_of_the_regions_only": placement(rois, arguments.repeats),
            }
            for rater, rois in all_rois.items()
        },
        "hepatorenal_index": {rater: index_figures(rois) for rater, rois in all_rois.items()},
        "hepatorenal_index_of_all_55": {rater: index_figures(rois) for rater, rois in published.items()},
        "raters": raters_compared(all_rois),
        "attenuation_in_28_rows": {rater: attenuation(rois) for rater, rois in all_rois.items()},
        "checked_on_frames": {rater: checked_on_frames(rois, frames) for rater, rois in all_rois.items()},
        "demonstration_weights_on_healthy_frames": demonstration_weights(frames),
        "burned_in_shortcuts": f"not tested: {len(frames)} whole frames at hand, all of healthy livers",
        "literature": LITERATURE,
    }
    if arguments.plot:
        from nafld_real_picture import draw

        draw(figures, all_rois, arguments.plot)
    show("How much does a split by image flatter a texture model, and how good is the hepatorenal index?", figures)


if __name__ == "__main__":
    main()
