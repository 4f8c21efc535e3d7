"""Tables 1 to 4 of the paper for any cohort, with the paper's own figures beside ours."""

from __future__ import annotations

import numpy as np

from ...errors import UnsuitableInputError
from ...learning.calibration import expected_calibration_error
from ...learning.diagnostic import diagnostic
from ...learning.intervals import wilson_interval
from ...learning.logistic import group_comparison, logistic_regression, univariate_regressions
from ...learning.probability_calibration import brier_score, hosmer_lemeshow
from ...learning.roc import auc, auc_difference
from ...reports.tables import Column, Table, row_of
from ..subject import CLINICAL_FEATURES, UltrasoundSubject
from .options import LABELS, PAPER_FIGURES, SINGLE_MODELS
from .results import COVERAGE, Results

SWE_NAME = "swe_median_kpa"
"""The measured stiffness among the clinical values of Tables 1 and 2."""
MAX_P_FOR_MULTIVARIATE = 0.05
"""A value enters the multivariate regression if its own p is smaller."""
MIN_EVENTS_PER_VALUE = 3
"""Values with the smallest p enter, at most so many that this number of positives is left for each."""
THRESHOLD = 0.5
"""Of the paper."""
FEW_BINS = 5
"""Bins of the calibration error: a cohort of tens of subjects fills no more."""


def clinical_columns(subjects: list[UltrasoundSubject]) -> dict[str, np.ndarray]:
    """Value of every subject by name, NaN where missing; names that nobody has are left out."""
    columns = {
        name: np.array([subject.clinical.get(name, np.nan) for subject in subjects], float)
        for name in CLINICAL_FEATURES
    }
    stiffness = [subject.median_stiffness_kpa() for subject in subjects]
    columns[SWE_NAME] = np.array([np.nan if value is None else value for value in stiffness], float)
    return {name: values for name, values in columns.items() if np.isfinite(values).any()}


def characteristics_table(columns: dict[str, np.ndarray], labels: np.ndarray, data: str) -> Table:
    """Values of both groups and whether they differ (Table 1)."""
    rows = [row_of(**_comparison_row(row)) for row in group_comparison(columns, labels)]
    return Table(
        f"table1_characteristics_{data}",
        "Table 1 · Characteristics of the groups",
        "Mean ± SD with Welch's t where neither group departs from a normal distribution (Shapiro-Wilk), else median "
        "[quartiles] with Mann-Whitney. Not corrected for the number of comparisons.",
        (
            Column("Value", "{name}"),
            Column(f"Without ({int((~labels).sum())})", "{negative}"),
            Column(f"Fibrotic NASH ({int(labels.sum())})", "{positive}"),
            Column("p", "{p_value}", 4),
            Column("Missing", "{n_missing}"),
        ),
        tuple(rows),
    )


def _comparison_row(row) -> dict:
    def text(group):
        if row.is_normal:
            return f"{group.mean:.4g} ± {group.std:.3g}"
        return f"{group.median:.4g} [{group.q1:.4g}, {group.q3:.4g}]"

    return {
        "name": row.name,
        "negative": text(row.negative),
        "positive": text(row.positive),
        "p_value": row.p_value,
        "n_missing": row.n_missing,
    }


def odds_table(columns: dict[str, np.ndarray], labels: np.ndarray, data: str) -> Table:
    """Odds ratios of each value alone and of the independent ones together (Table 2)."""
    alone = {}
    for name, values in columns.items():
        known = np.isfinite(values)
        try:
            fit = univariate_regressions({name: values[known]}, labels[known])[name]
        except UnsuitableInputError as error:
            alone[name] = str(error)
            continue
        alone[name] = fit.terms[0]
    together = _multivariate(columns, labels, alone)
    rows = []
    for name in columns:
        first, second = alone[name], together.get(name)
        if isinstance(first, str):
            rows.append(row_of(name=name, univariate="NA", p_univariate=None, multivariate=first, p_multivariate=None))
            continue
        rows.append(
            row_of(
                name=name,
                univariate=_odds(first),
                p_univariate=first.p_value,
                multivariate=_odds(second) if second else "NA",
                p_multivariate=second.p_value if second else None,
            )
        )
    return Table(
        f"table2_odds_ratios_{data}",
        "Table 2 · Logistic regression",
        f"Odds ratio per unit with Wald's 95 % interval. Values with p < {MAX_P_FOR_MULTIVARIATE:g} alone enter the "
        "multivariate regression, those with the smallest p first, as many as the positives allow. On all subjects: a "
        "description of the cohort; no model below was given what it selects.",
        (
            Column("Value", "{name}"),
            Column("Univariate OR (95 % CI)", "{univariate}"),
            Column("p", "{p_univariate}", 4),
            Column("Multivariate OR (95 % CI)", "{multivariate}"),
            Column("p", "{p_multivariate}", 4),
        ),
        tuple(rows),
    )


def _multivariate(columns, labels, alone):
    known = [name for name in columns if not isinstance(alone[name], str)]
    chosen = sorted((n for n in known if alone[n].p_value < MAX_P_FOR_MULTIVARIATE), key=lambda n: alone[n].p_value)
    chosen = chosen[: max(1, int(min(labels.sum(), (~labels).sum())) // MIN_EVENTS_PER_VALUE)]
    while len(chosen) > 1:
        x = np.stack([columns[name] for name in chosen], axis=1)
        complete = np.isfinite(x).all(axis=1)
        try:
            fit = logistic_regression(x[complete], labels[complete], chosen)
            return dict(zip(chosen, fit.terms, strict=True))
        except UnsuitableInputError:
            chosen = chosen[:-1]
    return {}


def _odds(term) -> str:
    return f"{term.odds_ratio:.3g} ({term.low:.3g}–{term.high:.3g})"


def fold_table(results: Results, data: str) -> Table:
    """Accuracy and area of every fold (Table 3), in each mode that was trained."""
    rows = []
    for mode in results.options.modes:
        for model in results.options.models:
            found = []
            for unit in results.fold_units(model, mode):
                truth = results.label_of(unit.case_ids)
                share = diagnostic(1 / (1 + np.exp(-unit.logits)), truth, THRESHOLD).accuracy.value
                found.append((share, auc(unit.logits, truth).value))
                rows.append(
                    row_of(
                        mode=mode, model=LABELS[model], fold=str(unit.place.fold), n=len(truth), accuracy=share,
                        auc=found[-1][1], paper_accuracy="", paper_auc="",
                    )
                )  # fmt: skip
            accuracy, area = np.array(found).T
            rows.append(
                row_of(
                    mode=mode, model=LABELS[model], fold="mean ± SD", n=len(results.labels), accuracy=accuracy.mean(),
                    accuracy_std=accuracy.std(ddof=1), auc=area.mean(), auc_std=area.std(ddof=1),
                    paper_accuracy=PAPER_FIGURES[model]["accuracy"], paper_auc=PAPER_FIGURES[model]["auc"],
                )
            )  # fmt: skip
    rows = [{"accuracy_std": None, "auc_std": None} | row for row in rows]
    note = "Subjects, threshold 0.5. Beside the means: the paper's, of 87 rats that are not public."
    if results.options.with_paper_mode:
        note += " Mode paper stops each training on the fold it reports, which is optimistic; default does not."
    return Table(
        f"table3_folds_{data}",
        "Table 3 · Cross-validation",
        note,
        (
            Column("Mode", "{mode}"),
            Column("Model", "{model}"),
            Column("Fold", "{fold}"),
            Column("Subjects", "{n}"),
            Column("Accuracy", "{accuracy} ± {accuracy_std}", 3),
            Column("AUC", "{auc} ± {auc_std}", 3),
            Column("Paper: accuracy", "{paper_accuracy}"),
            Column("Paper: AUC", "{paper_auc}"),
        ),
        tuple(rows),
    )


def performance_table(results: Results, data: str) -> Table:
    """Every model over all out-of-fold answers (Table 4), with intervals."""
    rows = []
    for (model, mode), pooled in results.pooled.items():
        area = auc(pooled.logits, results.labels, results.patient_ids, n_resamples=results.options.n_resamples)
        found = diagnostic(pooled.probability, results.labels, THRESHOLD)
        fit = hosmer_lemeshow(pooled.probability, results.labels)
        covered = [bool(truth) in one or not one for truth, one in zip(results.labels, pooled.sets, strict=True)]
        low, high = wilson_interval(sum(covered), len(covered))
        rows.append(
            row_of(
                mode=mode, model=LABELS[model], auc=area.value, auc_low=area.bootstrap_low,
                auc_high=area.bootstrap_high, delong_low=area.low, delong_high=area.high,
                image_auc=_image_auc(results, model, mode),
                accuracy=found.accuracy.value, accuracy_low=found.accuracy.low, accuracy_high=found.accuracy.high,
                sensitivity=found.sensitivity.value, specificity=found.specificity.value, ppv=found.ppv.value,
                npv=found.npv.value, f1=found.f1, brier=brier_score(pooled.probability, results.labels),
                calibration_error=expected_calibration_error(pooled.probability, results.labels, FEW_BINS),
                hosmer_lemeshow_p=fit.p_value, hosmer_lemeshow_groups=fit.n_groups,
                conformal_coverage=float(np.mean(covered)), conformal_low=low, conformal_high=high,
                conformal_abstained=float(np.mean([len(one) != 1 for one in pooled.sets])),
            )
        )  # fmt: skip
    return Table(
        f"table4_performance_{data}",
        "Table 4 · All models, out of fold",
        "One answer a subject, from the fold that did not train on its patient. AUC with its interval by resampling "
        "patients; image AUC takes each image pair for itself. Calibration error over "
        f"{FEW_BINS} bins; Hosmer-Lemeshow with the number of groups that none leaves empty; {100 * COVERAGE:g} % "
        "conformal sets, abstaining where both answers or none stay possible.",
        (
            Column("Mode", "{mode}"),
            Column("Model", "{model}"),
            Column("AUC (95 % CI)", "{auc} ({auc_low}–{auc_high})", 3),
            Column("Image AUC", "{image_auc}", 3),
            Column("Accuracy", "{accuracy} ({accuracy_low}–{accuracy_high})", 3),
            Column("Sensitivity", "{sensitivity}", 3),
            Column("Specificity", "{specificity}", 3),
            Column("PPV", "{ppv}", 3),
            Column("NPV", "{npv}", 3),
            Column("F1", "{f1}", 3),
            Column("Brier", "{brier}", 3),
            Column("Calibration error", "{calibration_error}", 3),
            Column("H-L p (g)", "{hosmer_lemeshow_p} ({hosmer_lemeshow_groups})", 3),
            Column("Conformal coverage", "{conformal_coverage} ({conformal_low}–{conformal_high})", 3),
            Column("Abstained", "{conformal_abstained}", 2),
        ),
        tuple(rows),
    )


def answer_table(results: Results, data: str) -> Table:
    """Every subject's out-of-fold answer; a file only."""
    rows = []
    for (model, mode), pooled in results.pooled.items():
        for k, case_id in enumerate(results.case_ids):
            answers = pooled.sets[k]
            rows.append(
                row_of(
                    mode=mode, model=model, case=case_id, fold=int(pooled.folds[k]), logit=pooled.logits[k],
                    probability=pooled.probability[k], is_fibrotic_nash=bool(results.labels[k]),
                    is_covered=bool(results.labels[k]) in answers or not answers, is_abstention=len(answers) != 1,
                )
            )  # fmt: skip
    return Table(f"answers_{data}", "Answers", "Of every subject, out of fold.", (), tuple(rows))


def _image_auc(results: Results, model: str, mode: str):
    logits, truth = [], []
    for unit in results.fold_units(model, mode):
        for row, label in zip(unit.image_logits, results.label_of(unit.case_ids), strict=True):
            logits += row
            truth += [label] * len(row)
    return auc(logits, truth).value if logits else None


def difference_table(results: Results, data: str) -> Table | None:
    """How much the combined model gains over each other one."""
    rows = []
    for mode in results.options.modes:
        combined = results.pooled.get(("combined", mode))
        for model in results.options.models:
            if combined is None or model == "combined":
                continue
            found = auc_difference(
                combined.logits, results.pooled[model, mode].logits, results.labels, results.patient_ids,
                n_resamples=results.options.n_resamples, seed=results.options.seed,
            )  # fmt: skip
            rows.append(
                row_of(
                    mode=mode, model=LABELS[model], is_single=model in SINGLE_MODELS, difference=found.value,
                    low=found.low, high=found.high, p_value=found.p_value,
                )
            )  # fmt: skip
    if not rows:
        return None
    return Table(
        f"auc_differences_{data}",
        "What combining gains",
        "AUC of the combined model minus that of the other on the same subjects: interval by resampling patients, p by "
        "DeLong. Not corrected for the number of comparisons.",
        (
            Column("Mode", "{mode}"),
            Column("Other model", "{model}"),
            Column("AUC difference (95 % CI)", "{difference} ({low}–{high})", 3),
            Column("p", "{p_value}", 4),
        ),
        tuple(rows),
    )
