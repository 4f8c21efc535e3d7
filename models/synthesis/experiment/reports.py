"""What each experiment's page and result hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ...reports.tables import Column, Table, row_of
from ...ultrasound.frames import FrameSet
from ..gan_published import SOURCE as PAPER_GAN_SOURCE
from . import gan_results
from .figures import explanation_figure, picture_figure, rate_figure, roc_figure
from .findings import finding_tables, headline
from .gan_options import GAN_LABELS, ORIGINAL, GanExperimentOptions
from .gan_plan import GanPlan
from .options import PAPER_SOURCE, NafldExperimentOptions
from .page import kept, report_html
from .plan import NafldPlan
from .results import NafldResults
from .tables import answer_table, baseline_table, difference_table, image_table, performance_table


def nafld_report(
    frames: FrameSet,
    options: NafldExperimentOptions,
    plan: NafldPlan,
    found: Mapping[str, tuple[dict, dict]],
    measures: Mapping[str, np.ndarray],
    digests: Mapping[str, str],
    cases,
) -> tuple[str, dict, list]:
    """Page, head of the result, and sections, of every unit's results.

    Args:
        frames: The cohort's.
        options: What was compared.
        plan: The units.
        found: Name of a unit -> record and arrays.
        measures: As :class:`.results.NafldResults`.
        digests: Of code and cohort.
        cases: Where the frames are from; None: simulated.
    """
    results = NafldResults(frames, options, plan, found, measures)
    worked, failed = finding_tables(results)
    sections = kept(
        [
            ("What mixing in is worth", [difference_table(results), performance_table(results), rate_figure(results)]),
            ("What worked and what did not", [worked, failed, _untried(options, frames)]),
            ("ROC", [roc_figure(results)]),
            ("The images", [image_table(results), picture_figure(results), explanation_figure(results)]),
            ("Without a network", [baseline_table(results)]),
            ("Files only", [answer_table(results)]),
        ]
    )
    words = headline(results)
    command = command_of("nafld", options, cases)
    head = {"command": command, "data": results.data, **digests, **_counts(frames), "headline": words}
    about = {
        "Folds, seeds, resamples": f"{options.n_folds}, {len(options.all_seeds)}, {options.n_resamples}",
        "Generators": "one of each kind a fold, trained on its training patients; images bound to the fold",
        "Options that differ from the parts' own": _differing(options),
        "Filter": "plausible images only, by a model fitted inside the fold" if options.is_filtered else "none",
        "Networks start from": ", ".join(
            f"{model}: {'ImageNet' if model in options.imagenet else 'nothing'}" for model in options.all_models
        ),
    }
    return _page(
        "NAFLD: what generated images add", frames, words, command, sections, about, PAPER_SOURCE, digests, head
    )


def gan_report(
    frames: FrameSet,
    options: GanExperimentOptions,
    plan: GanPlan,
    found: Mapping[str, tuple[dict, dict]],
    measures: Mapping[str, np.ndarray],
    digests: Mapping[str, str],
    cases,
) -> tuple[str, dict, list]:
    """As :func:`nafld_report`, of the experiment on the stacked GAN."""
    results = gan_results.GanResults(frames, options, plan, found)
    sections = kept(
        [
            ("Classification", [gan_results.classification_table(results), gan_results.stage_table(results)]),
            ("What did not work", [gan_results.failure_table(results)]),
            ("The images", [gan_results.image_table(results), gan_results.picture_figure(results)]),
        ]
    )
    gains = {gan: results.gain(gan) for gan in options.gans}
    words = f"Accuracy gained over {GAN_LABELS[ORIGINAL]}, in points: " + "; ".join(
        f"{GAN_LABELS[gan]} {100 * g.value:+.1f} ({100 * g.low:+.1f} to {100 * g.high:+.1f})"
        for gan, g in gains.items()
    )
    words += "."
    command = command_of("gan", options, cases)
    head = {"command": command, "data": results.data, **digests, **_counts(frames), "headline": words}
    about = {
        "Random splits by patient": str(options.repeats),
        "Resamples": str(options.n_resamples),
        "Options that differ from the parts' own": _listed(
            {"generator": options.generator_options, "classifier": options.classifier}
        ),
    }
    title = "Six GANs: images, and what they add"
    return _page(title, frames, words, command, sections, about, PAPER_GAN_SOURCE, digests, head)


def _differing(options: NafldExperimentOptions) -> str:
    found = {kind: options.generator_of(kind) for kind in options.kinds}
    found |= {f"{kind}.sampler": options.sampler_of(kind) for kind in options.kinds}
    return _listed({**found, "classifier": options.classifier})


def _listed(options: Mapping[str, Mapping]) -> str:
    said = [f"{part}.{key}={value}" for part, values in options.items() for key, value in values.items()]
    return ", ".join(said) or "none"


def _page(title, frames, words, command, sections, about, source, digests, head) -> tuple[str, dict, list]:
    n = _counts(frames)
    lead = f"{n['n_frames']} frames of {n['n_patients']} patients, {n['n_fatty_patients']} with fatty liver"
    about = about | {
        "SHA-256 of the code": digests["code_sha256"],
        "SHA-256 of the cohort": digests["cohort_sha256"],
        "After": source,
    }
    page = report_html(title, lead, words, command, sections, about, frames.is_simulated)
    return page, head, sections


def _counts(frames: FrameSet) -> dict:
    fatty = {one for one, answer in zip(frames.patient_ids, frames.is_fatty, strict=True) if answer}
    return {"n_frames": len(frames), "n_patients": len(frames.patients), "n_fatty_patients": len(fatty)}


def _untried(options: NafldExperimentOptions, frames: FrameSet) -> Table:
    """What this run did not try, with the option that would."""
    tries = [
        (not options.is_filtered, "keep plausible images only", "--filter"),
        (not options.sampler, "other guidance", "--option ldm_semantic.sampler.guidance=1.5"),
        (options.size == "small" and not options.sampler, "finer drawing", "--option ldm_semantic.sampler.steps=50"),
        (not options.generator, "longer training of generators", "--option ldm_semantic.steps=2000"),
        (not options.classifier, "longer training of classifiers", "--option classifier.steps=600"),
        (options.size == "small", "the paper's size", "--size paper"),
        (len(options.all_seeds) < 25, "the paper's 25 seeds", "--seeds 25"),
        ("oversampled" not in options.all_variants, "oversampling the rarer class", "--variants default,oversampled"),
        (len(options.all_rates) < 5, "every mixing rate for every data", "--rates 0,0.5,1,1.5,2"),
        (not options.imagenet, "networks that start from ImageNet", "--imagenet MODEL=FILE,SHA256"),
    ]
    rows = [row_of(what=what, option=option) for is_open, what, option in tries if is_open]
    data = "simulated" if frames.is_simulated else "measured"
    return Table(
        f"not_tried_{data}",
        "What this run did not try",
        "The same command with the option, in the same folder, computes only what is new.",
        (Column("What", "{what}"), Column("Option", "{option}")),
        tuple(rows),
    )


def command_of(name: str, options, cases) -> str:
    """The command that makes the folder again; paths by their last name, for a page that travels."""
    words = [f"liverlabel experiment {name} --out DIR"]
    words += [] if cases is None else [f"--cases {Path(cases).name if isinstance(cases, str | Path) else 'COHORT'}"]
    words.append(f"--size {options.size}")
    if name == "nafld":
        words.append(f"--data {','.join(options.data)}")
        words += [f"--rates {','.join(f'{rate:g}' for rate in options.rates)}"] if options.rates else []
        words += [f"--models {','.join(options.all_models)} --variants {','.join(options.all_variants)}"]
        words += [f"--seeds {len(options.all_seeds)} --folds {options.n_folds}"]
        words += ["--filter"] if options.is_filtered else []
        words += [f"--imagenet {model}=FILE,{sha256}" for model, sha256 in sorted(options.imagenet.items())]
        nested = {kind: {**values, "sampler": {}} for kind, values in options.generator.items()}
        for kind, values in options.sampler.items():
            nested.setdefault(kind, {"sampler": {}})["sampler"] = values
        for kind, values in sorted(nested.items()):
            inner = values.pop("sampler")
            words += [f"--option {kind}.{key}={value}" for key, value in values.items()]
            words += [f"--option {kind}.sampler.{key}={value}" for key, value in inner.items()]
    else:
        words.append(f"--gans {','.join(options.gans)} --model {options.network}")
        words.append(f"--repeats {options.repeats} --judged {options.judged}")
        words += [f"--option generator.{key}={value}" for key, value in options.generator.items()]
    words += [f"--option classifier.{key}={value}" for key, value in options.classifier.items()]
    return " ".join([*words, f"--seed {options.seed}"])
