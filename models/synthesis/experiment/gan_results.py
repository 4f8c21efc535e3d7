"""The units of the experiment on the stacked GAN put together, and its two tables."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...reports.figures import Picture
from ...reports.tables import Column, Table, row_of
from ...ultrasound.frames import FrameSet
from ..gan_published import TABLE_1, TABLE_2
from .figures import image_figure
from .findings import verdict
from .gan_options import GAN_LABELS, ORIGINAL, GanExperimentOptions
from .gan_plan import GanPlan
from .statistics import Gain, accuracy_gain, decisions, paired_t
from .tables import judged_values, network_of

METRICS = ("accuracy", "precision", "recall", "f1")
"""Columns of Table 2."""


class GanResults:
    """What the units say.

    Args:
        frames: The cohort's.
        options: Of the experiment.
        plan: Its units.
        found: Name of a unit -> record and arrays.
    """

    def __init__(self, frames: FrameSet, options: GanExperimentOptions, plan: GanPlan, found: Mapping[str, tuple]):
        self.frames, self.options, self.plan = frames, options, plan
        self.tested = [frames.subset(test) for _, test in plan.splits]
        self.logits = {key: found[unit.name][1]["logits"] for key, unit in plan.classifiers.items()}
        self.counts = {key: found[unit.name][0] for key, unit in plan.classifiers.items()}
        self.judged = {key: found[unit.name] for key, unit in plan.judges.items()}

    @property
    def data(self) -> str:
        """What reports say of the numbers."""
        return "simulated" if self.frames.is_simulated else "measured"

    def repeats(self, name: str) -> list[np.ndarray]:
        """Log-odds of the tested frames, one array a split."""
        return [self.logits[name, repeat] for repeat in range(self.options.repeats)]

    def gain(self, name: str, over: str = ORIGINAL) -> Gain:
        """What a variant gains in accuracy over another training set."""
        return accuracy_gain(
            self.repeats(name),
            self.repeats(over),
            [one.is_fatty for one in self.tested],
            [one.patient_ids for one in self.tested],
            self.options.n_resamples,
            self.options.seed,
        )


def image_table(results: GanResults) -> Table:
    """How good the images of each variant are (Table 1)."""
    rows = []
    for gan in results.options.gans:
        parts = [results.judged[gan, repeat][0] for repeat in range(results.options.repeats)]
        paper = TABLE_1[gan]
        for heading, k in (("healthy", 1), ("fatty", 0)):
            scores = {
                "paper_fid": paper.fid[k],
                "paper_is": f"{paper.inception_score[k]:.2f} ± {paper.inception_score_std[k]:.2f}",
            }
            rows.append(row_of(gan=GAN_LABELS[gan], images=heading, **judged_values(parts, heading), **scores))
    return Table(
        f"table1_images_{results.data}",
        "Table 1 · How good the images of six GANs are",
        f"{results.options.judged} images of each class at most, mean ± SD over {results.options.repeats} random "
        f"splits, against the tested frames. Features: {network_of(results)}; Inception scores by our own classifier "
        "of real frames. The paper's figures are by Inception on measured images and cannot be compared with ours. "
        "FID of real: the same distance of training frames.",
        (
            Column("GAN", "{gan}"),
            Column("Class", "{images}"),
            Column("IS", "{inception_score} ± {inception_score_std}", 2),
            Column("FID", "{fid} ± {fid_std}", 2),
            Column("FID of real", "{floor_fid}", 2),
            Column("KID", "{kid} ± {kid_std}", 3),
            Column("KID of real", "{floor_kid}", 3),
            Column("Diversity", "{diversity}", 2),
            Column("Repeats", "{repeats}", 2),
            Column("Collapsed", "{n_collapsed} of {n_judged}"),
            Column("Copies", "{memorised}", 3),
            Column("Paper: IS", "{paper_is}"),
            Column("Paper: FID", "{paper_fid}"),
        ),
        tuple(rows),
    )


def classification_table(results: GanResults) -> Table:
    """What the expanded and balanced training sets are worth (Table 2)."""
    rows = []
    for name in (ORIGINAL, *results.options.gans):
        found = [decisions(row, one.is_fatty) for row, one in zip(results.repeats(name), results.tested, strict=True)]
        values = {}
        for metric in METRICS:
            each = 100 * np.array([getattr(one, metric) for one in found])
            values |= {metric: each.mean(), f"{metric}_std": each.std(ddof=1) if each.size > 1 else np.nan}
            values[f"paper_{metric}"] = getattr(TABLE_2[name], f"{metric}_percent")
        gain = results.gain(name) if name != ORIGINAL else None
        values |= {
            "gain": 100 * gain.value if gain else None,
            "low": 100 * gain.low if gain else None,
            "high": 100 * gain.high if gain else None,
            "t": gain.t if gain else None,
            "p_value": gain.t_p if gain else None,
            "n_real": results.counts[name, 0]["n_real"],
            "n_mixed_in": results.counts[name, 0]["n_mixed_in"],
        }
        rows.append(row_of(gan=GAN_LABELS[name], **values))
    paper = "{paper_accuracy} / {paper_precision} / {paper_recall} / {paper_f1}"
    return Table(
        f"table2_classification_{results.data}",
        "Table 2 · Classification with expanded, balanced training sets",
        f"Model {results.options.network}; per cent, mean ± SD over {results.options.repeats} random splits by "
        "patient, as many tested patients of each class; precision, recall and F1 weighted over the classes as the "
        "paper's. Gain in accuracy over the original images: interval by resampling patients, t and p over splits.",
        (
            Column("Training set", "{gan}"),
            Column("Real + generated", "{n_real} + {n_mixed_in}"),
            Column("Accuracy", "{accuracy} ± {accuracy_std}", 1),
            Column("Precision", "{precision} ± {precision_std}", 1),
            Column("Recall", "{recall} ± {recall_std}", 1),
            Column("F1", "{f1} ± {f1_std}", 1),
            Column("Gain (95 % CI), points", "{gain} ({low} to {high})", 1),
            Column("paired t (p)", "{t} ({p_value})", 3),
            Column("Paper: accuracy / precision / recall / F1", paper, 2),
        ),
        tuple(rows),
    )


def stage_table(results: GanResults) -> Table | None:
    """What the second stage adds to each first stage."""
    rows = []
    for gan in results.options.gans:
        second = f"{gan}_stacked"
        if second not in results.options.gans:
            continue
        found = results.gain(second, gan)
        parts = [[results.judged[one, r][0] for r in range(results.options.repeats)] for one in (gan, second)]
        fids = [np.array([part["both"]["synthetic_at_floor_size"]["fid"] for part in one]) for one in parts]
        t, p = paired_t(fids[1] - fids[0])
        rows.append(
            row_of(
                gan=GAN_LABELS[gan], fid=fids[0].mean(), fid_stacked=fids[1].mean(), t=t, p_value=p,
                gain=100 * found.value, low=100 * found.low, high=100 * found.high, verdict=verdict(found),
            )
        )  # fmt: skip
    if not rows:
        return None
    return Table(
        f"stage_two_{results.data}",
        "What the second stage adds",
        "FID at equal numbers over both classes, first stage alone and with the second, t paired over splits; accuracy "
        "in points with its interval by resampling patients.",
        (
            Column("First stage", "{gan}"),
            Column("FID alone", "{fid}", 2),
            Column("with Stage II", "{fid_stacked}", 2),
            Column("paired t (p)", "{t} ({p_value})", 3),
            Column("Accuracy gain (95 % CI), points", "{gain} ({low} to {high})", 1),
            Column("Verdict", "{verdict}"),
        ),
        tuple(rows),
    )


def failure_table(results: GanResults) -> Table:
    """What did not work, from the numbers."""
    rows, n = [], results.options.repeats
    for gan in results.options.gans:
        found = results.gain(gan)
        if verdict(found) != "gain":
            why = f"Accuracy {100 * found.value:+.1f} points ({100 * found.low:+.1f} to {100 * found.high:+.1f})."
            rows.append(row_of(what=GAN_LABELS[gan], verdict=verdict(found), why=why.replace("-", "−")))
        parts = [results.judged[gan, repeat][0] for repeat in range(n)]
        collapsed = sum(bool(part["healthy"]["is_collapsed"] or part["fatty"]["is_collapsed"]) for part in parts)
        if collapsed:
            why = f"Too few different images of a class in {collapsed} of {n} splits."
            rows.append(row_of(what=GAN_LABELS[gan], verdict="collapsed", why=why))
    return Table(
        f"did_not_work_{results.data}",
        "What did not work",
        "By the 95 % interval of the gain in accuracy over the original images. Not shown means that the interval "
        "holds 0: neither a gain nor its absence is shown.",
        (Column("What", "{what}"), Column("Verdict", "{verdict}"), Column("In numbers", "{why}")),
        tuple(rows),
    )


def picture_figure(results: GanResults) -> Picture | None:
    """Images of every variant, first split."""
    sets = {GAN_LABELS[gan]: results.judged[gan, 0][1] for gan in results.options.gans}
    title = "Figure 1 · Real and generated images, first split"
    return image_figure(f"figure1_images_{results.data}", title, sets, results.frames.is_simulated)
