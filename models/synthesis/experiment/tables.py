"""Tables of the experiment on NAFLD, with the paper's figures beside ours where it has any."""

from __future__ import annotations

import numpy as np

from ...learning.roc import auc
from ...reports.tables import Column, Table, row_of
from ...ultrasound.nafld_baselines import FOREST
from .options import DATA_LABELS, PAPER_AUC, PAPER_IMAGES
from .results import NafldResults
from .statistics import holm

CLASSES = {"healthy": "healthy", "fatty": "fatty", "both": "both"}
"""Which images are judged -> its name in headings."""
SCORE_LABELS = {
    "hepatorenal_index": "Hepatorenal index",
    "attenuation_slope": "Attenuation slope",
    FOREST: "Texture and random forest",
}


def performance_table(results: NafldResults) -> Table:
    """AUC of every way of training."""
    rows = []
    for arm, one in results.performances.items():
        rows.append(
            row_of(
                model=arm.model, variant=arm.variant, data=DATA_LABELS[arm.data], rate=arm.rate,
                n_seeds=len(results.arms[arm]), patient_auc=one.patient.value, patient_low=one.patient.bootstrap_low,
                patient_high=one.patient.bootstrap_high, image_auc=one.image.value, image_low=one.image.bootstrap_low,
                image_high=one.image.bootstrap_high, seeds_image_auc=one.image_seeds.mean(),
                seeds_image_std=_spread(one.image_seeds), seeds_patient_auc=one.patient_seeds.mean(),
                seeds_patient_std=_spread(one.patient_seeds), fold_mean_auc=np.mean(one.fold_mean), brier=one.brier,
                calibration_error=one.calibration_error, paper_image_auc=PAPER_AUC.get((arm.model, arm.data, arm.rate)),
            )
        )  # fmt: skip
    return Table(
        f"table1_auc_{results.data}",
        "Table 1 · AUC of every way of training",
        "Out-of-fold answers of all folds pooled. Patients and images: log-odds averaged over seeds (and frames), with "
        "the 95 % interval by resampling patients. Image AUC, seeds: mean ± SD of the seeds' own, as the paper has "
        "it; no maximum over seeds is shown. Fold mean: AUC of each fold by itself, averaged. Brier score and "
        "calibration error are means over folds, of networks that nobody calibrated: a generator saw every training "
        "patient. The paper's figures are of measured images and ImageNet networks.",
        (
            Column("Model", "{model}"),
            Column("Variant", "{variant}"),
            Column("Mixed in", "{data}"),
            Column("Rate", "{rate}", 1),
            Column("Seeds", "{n_seeds}"),
            Column("Patient AUC (95 % CI)", "{patient_auc} ({patient_low}–{patient_high})", 3),
            Column("Image AUC (95 % CI)", "{image_auc} ({image_low}–{image_high})", 3),
            Column("Image AUC, seeds", "{seeds_image_auc} ± {seeds_image_std}", 3),
            Column("Fold mean", "{fold_mean_auc}", 3),
            Column("Brier", "{brier}", 3),
            Column("Calibration error", "{calibration_error}", 3),
            Column("Paper: image AUC", "{paper_image_auc}", 3),
        ),
        tuple(rows),
    )


def difference_table(results: NafldResults) -> Table | None:
    """What mixing in gains over real images only."""
    if not results.mixed:
        return None
    corrected = holm([results.gains[arm, "patient"].delong_p for arm in results.mixed])
    rows = []
    for arm, p in zip(results.mixed, corrected, strict=True):
        patient, image = results.gains[arm, "patient"], results.gains[arm, "image"]
        rows.append(
            row_of(
                model=arm.model, variant=arm.variant, data=DATA_LABELS[arm.data], rate=arm.rate,
                patient_gain=patient.value, patient_low=patient.low, patient_high=patient.high,
                p_value=patient.delong_p, holm_p=p, image_gain=image.value, image_low=image.low, image_high=image.high,
                image_delong_p=image.delong_p, seeds_gain=image.mean_over_seeds, t=image.t, t_p=image.t_p,
                seeds_patient_gain=patient.mean_over_seeds, patient_t=patient.t, patient_t_p=patient.t_p,
            )
        )  # fmt: skip
    return Table(
        f"table2_gain_{results.data}",
        "Table 2 · What mixing in gains over real images only",
        "AUC differences on the same frames and seeds. Intervals: resampling patients; p by DeLong, over patients, "
        "alone and corrected for the number of lines (Holm). The paired t test over seeds, which the paper reports, "
        "tells whether other seeds would agree, not whether other patients would: with many seeds its p is small for "
        "a gain that these few patients cannot show.",
        (
            Column("Model", "{model}"),
            Column("Variant", "{variant}"),
            Column("Mixed in", "{data}"),
            Column("Rate", "{rate}", 1),
            Column("Patient AUC gain (95 % CI)", "{patient_gain} ({patient_low} to {patient_high})", 3),
            Column("DeLong p", "{p_value}", 3),
            Column("Holm p", "{holm_p}", 3),
            Column("Image AUC gain (95 % CI)", "{image_gain} ({image_low} to {image_high})", 3),
            Column("Mean gain over seeds", "{seeds_gain}", 3),
            Column("paired t (p)", "{t} ({t_p})", 3),
        ),
        tuple(rows),
    )


def baseline_table(results: NafldResults) -> Table:
    """What needs no network, and the network on real images only, over the same patients."""
    rows, cohort = [], results.cohort
    scores = dict(results.measures) | {FOREST: results.forest_scores}
    for name, values in scores.items():
        known = np.isfinite(values)
        patients = np.array(cohort.patient_ids)
        means = {one: values[known & (patients == one)] for one in cohort.patients}
        kept = np.array([means[one].size > 0 for one in cohort.patients])
        score = np.array([means[one].mean() for one in cohort.patients if means[one].size])
        rows.append(_baseline_row(results, SCORE_LABELS[name], score, cohort.is_fatty_patient[kept], int(known.sum())))
    arm = next(iter(results.arms))
    logits = cohort.mean_of_patients(results.logits[arm].mean(axis=0))
    name = f"Network on real images only ({arm.model})"
    rows.append(_baseline_row(results, name, logits, cohort.is_fatty_patient, len(results.frames)))
    note = "Patient AUC of the mean over frames, with the 95 % interval by resampling patients. Texture is that of the "
    note += "frame's middle, its forest trained in each fold. "
    if results.measures:
        note += "Index and slope are measured in the phantom's own regions, better ones than a reader could draw. "
    return Table(
        f"table4_baselines_{results.data}",
        "Table 4 · What needs no network",
        note + "The paper does not compare with any; on the public set, with readers' regions, the hepatorenal index "
        "is published at 0.959 (Byra M et al., 10.1007/s11548-018-1843-2).",
        (
            Column("Score", "{score}"),
            Column("Patients", "{n_patients}"),
            Column("Frames", "{n_frames}"),
            Column("Patient AUC (95 % CI)", "{auc} ({low}–{high})", 3),
        ),
        tuple(rows),
    )


def _baseline_row(results, name, score, truth, n_frames):
    found = auc(score, truth, n_resamples=results.options.n_resamples, seed=results.options.seed)
    ends = {"low": found.bootstrap_low, "high": found.bootstrap_high}
    return row_of(score=name, n_patients=len(score), n_frames=n_frames, auc=found.value, **ends)


def image_table(results: NafldResults) -> Table | None:
    """How good the images of each generator are."""
    rows = []
    for kind in results.options.kinds:
        folds = [results.judged[kind, fold][0] for fold in range(results.options.n_folds)]
        for name, heading in CLASSES.items():
            paper = PAPER_IMAGES.get((kind, name == "fatty"), {}) if name != "both" else {}
            rows.append(row_of(data=DATA_LABELS[kind], images=heading, **judged_values(folds, name)) | _paper(paper))
    if not rows:
        return None
    return Table(
        f"table3_images_{results.data}",
        "Table 3 · How good generated images are",
        "Mean ± SD over folds, against the fold's held-out frames. FID at equal numbers is that of as many generated "
        "images as the floor has: the same distance of real training frames, which no generator is asked to beat. "
        f"Features: {network_of(results)}; Inception scores by our own classifier of real frames. Neither can be "
        "compared with the paper's, which are by Inception on measured images. Copies: share of the images nearer to a "
        "training frame than real frames of other patients are.",
        (
            Column("Generator", "{data}"),
            Column("Class", "{images}"),
            Column("IS", "{inception_score} ± {inception_score_std}", 2),
            Column("IS of real", "{floor_inception_score}", 2),
            Column("FID", "{fid} ± {fid_std}", 2),
            Column("FID, equal numbers", "{fid_at_floor_size} ± {fid_at_floor_size_std}", 2),
            Column("FID of real", "{floor_fid} ± {floor_fid_std}", 2),
            Column("KID (95 % CI)", "{kid} ({kid_low} to {kid_high})", 3),
            Column("KID of real", "{floor_kid}", 3),
            Column("Diversity", "{diversity}", 2),
            Column("Copies", "{memorised}", 3),
            Column("Paper: IS", "{paper_is}"),
            Column("Paper: FID", "{paper_fid}"),
        ),
        tuple(rows),
    )


def _paper(values: dict) -> dict:
    return {f"paper_{key}": values.get(key) for key in ("is", "fid")}


def network_of(results) -> str:
    """Whose features were compared."""
    return next(iter(results.judged.values()))[0]["both"]["network"]


def judged_values(parts: list[dict], name: str) -> dict:
    """Mean and spread over folds or repeats of one class's figures.

    Args:
        parts: Records of units.
        name: Of :data:`CLASSES`.
    """

    def values(get):
        found = []
        for part in parts:
            value = get(part[name])
            found.append(np.nan if value is None else value)
        return np.array(found, float)

    getters = {
        "inception_score": lambda one: (one["inception_score"] or {}).get("value"),
        "floor_inception_score": lambda one: (one["floor_inception_score"] or {}).get("value"),
        "fid": lambda one: one["synthetic"]["fid"],
        "fid_at_floor_size": lambda one: one["synthetic_at_floor_size"]["fid"],
        "floor_fid": lambda one: one["floor"]["fid"],
        "kid": lambda one: one["synthetic"]["kid"]["value"],
        "kid_low": lambda one: one["synthetic"]["kid"]["low"],
        "kid_high": lambda one: one["synthetic"]["kid"]["high"],
        "floor_kid": lambda one: one["floor"]["kid"]["value"],
        "precision": lambda one: one["synthetic"]["precision"],
        "recall": lambda one: one["synthetic"]["recall"],
        "diversity": lambda one: one["synthetic"]["diversity"],
        "repeats": lambda one: one["repeats"],
    }
    row = {}
    for key, get in getters.items():
        found = values(get)
        row |= {key: _mean(found), f"{key}_std": _spread(found)}
    row["memorised"] = float(np.mean([part["audit"]["share"] for part in parts]))
    row["n_collapsed"] = sum(bool(part[name]["is_collapsed"]) for part in parts)
    row["n_judged"] = len(parts)
    return row


def answer_table(results: NafldResults) -> Table:
    """Every frame's out-of-fold answer; a file only."""
    frames, cohort = results.frames, results.cohort
    rows = []
    for arm, logits in results.logits.items():
        mean = logits.mean(axis=0)
        about = {"model": arm.model, "variant": arm.variant, "data": arm.data, "rate": arm.rate}
        rows += [
            row_of(**about, frame=frames.names[k], patient=frames.patient_ids[k], fold=int(cohort.folds[k]),
                   is_fatty=bool(cohort.is_fatty[k]), logit=mean[k])
            for k in range(len(frames))
        ]  # fmt: skip
    return Table(f"answers_{results.data}", "Answers", "Of every frame, out of fold, mean over seeds.", (), tuple(rows))


def _spread(values) -> float:
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    return float(values.std(ddof=1)) if values.size > 1 else float("nan")


def _mean(values) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else float("nan")
