"""The experiment from start to finished folder: every unit once, then tables, figures and the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from pathlib import Path

from ... import __version__
from ...errors import UnsuitableInputError
from ...io.files import cannot_write
from ...learning.splits import cross_validation
from ...reports.figures import STYLE, Picture
from ...reports.folder import check_own_folder, publish
from ...reports.notice import RESEARCH_NOTICE, result_head
from ...reports.page import contents_html, page_html, picture_html, table_html
from ...reports.tables import Table, csv_bytes
from ..reading import read_cohort
from ..subject import UltrasoundSubject
from .figures import calibration_figure, decision_figure, explanation_figure, roc_figure
from .options import PAPER_SOURCE, NashExperimentOptions
from .results import Results
from .tables import (
    answer_table,
    characteristics_table,
    clinical_columns,
    difference_table,
    fold_table,
    odds_table,
    performance_table,
)
from .units import UnitPlace, UnitStore, code_digest, cohort_digest, compute_unit

EXPERIMENT_SCHEMA = "liverlabel.nash-experiment.v1"
"""Name and version of ``results.json``."""
OWN_NAMES = ("units", "tables", "report.html", "results.json")
"""What an experiment's folder holds; ``results.json`` is put there last."""
MIN_SUBJECTS = 12
"""Fewer leave nothing to calibrate on inside a fold."""


def run_experiment(
    out_dir: str | Path,
    cases: str | Path | list[UltrasoundSubject],
    options: NashExperimentOptions,
    progress: Callable[[int, int], None] | None = None,
) -> dict:
    """Compare models of fibrotic NASH on a cohort; units that the folder already holds are not computed again.

    Args:
        out_dir: New, empty, or the folder of an earlier run.
        cases: A cohort's or studies folder, or subjects.
        options: What is compared.
        progress: Called as progress(done, total) in units; it may raise to stop. What was done is kept.
    Returns:
        What ``results.json`` holds.
    Raises:
        UnsuitableInputError: too few labelled subjects, one class only, unsuitable images, or a folder that holds
            something else.
    """
    out = Path(out_dir)
    check_own_folder(out, OWN_NAMES)
    subjects, n_unlabelled = _labelled(cases)
    labels = [subject.is_fibrotic_nash for subject in subjects]
    patients = [subject.patient_id for subject in subjects]
    _check_cohort(labels)
    folds = cross_validation(patients, options.n_folds, options.seed, labels)
    try:
        (out / "units").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(out, error) from error
    digests = {"code_sha256": code_digest(), "cohort_sha256": cohort_digest(subjects), "options": _settings(options)}
    store = UnitStore(out / "units", digests)
    places = [
        UnitPlace(model, mode, fold)
        for mode in options.modes
        for model in options.models
        for fold in range(options.n_folds)
    ]
    units = []
    for done, place in enumerate(places):
        if progress:
            progress(done, len(places))
        if store.load(place) is None:
            train, test = folds[place.fold]
            store.save(compute_unit(place, subjects, train, test, options))
        # Read back: a resumed run must not differ from a fresh one.
        units.append(store.load(place))
    if progress:
        progress(len(places), len(places))
    results = Results([subject.case_id for subject in subjects], patients, labels, units, options)
    document, files = _finished(results, subjects, digests, n_unlabelled, cases)
    publish(out, files)
    return document


def _labelled(cases) -> tuple[list[UltrasoundSubject], int]:
    subjects = list(cases if isinstance(cases, list) else read_cohort(cases))
    labelled = [subject for subject in subjects if subject.is_fibrotic_nash is not None]
    return labelled, len(subjects) - len(labelled)


def _check_cohort(labels: list[bool]) -> None:
    if len(labels) < MIN_SUBJECTS or len(set(labels)) < 2:
        raise UnsuitableInputError(
            f"The experiment needs at least {MIN_SUBJECTS} subjects with a known answer, of both classes; found "
            f"{sum(labels)} with fibrotic NASH and {len(labels) - sum(labels)} without. Label more cases."
        )


def _settings(options: NashExperimentOptions) -> str:
    return f"{options.size} {options.n_folds} folds, seed {options.seed}, {options.epochs} epochs, {options.device}"


def command_of(options: NashExperimentOptions, cases) -> str:
    """The command that makes the folder again; paths by their last name, for a page that travels."""
    name = Path(cases).name if not isinstance(cases, list) else "COHORT"
    words = ["liverlabel experiment nash --out DIR", f"--cases {name}", f"--models {','.join(options.models)}"]
    words += ["--paper"] if options.with_paper_mode else []
    words += [f"--epochs {options.epochs}"] if options.epochs else []
    return " ".join([*words, f"--size {options.size}", f"--folds {options.n_folds}", f"--seed {options.seed}"])


def _sections(results: Results, subjects, data) -> list[tuple[str, list[Table | Picture]]]:
    columns = clinical_columns(subjects)
    sections = [
        (
            "The cohort",
            [characteristics_table(columns, results.labels, data), odds_table(columns, results.labels, data)],
        ),
        (
            "The models",
            [
                fold_table(results, data),
                performance_table(results, data),
                difference_table(results, data),
                answer_table(results, data),
            ],
        ),
        ("What they look at", [explanation_figure(results, data)]),
        (
            "What they are worth",
            [roc_figure(results, data), decision_figure(results, data), calibration_figure(results, data)],
        ),
    ]
    return [(heading, [one for one in members if one is not None and one.rows]) for heading, members in sections]


def _finished(results: Results, subjects, digests, n_unlabelled, cases) -> tuple[dict, dict[str, bytes]]:
    import matplotlib.style

    n_simulated = sum(subject.is_simulated for subject in subjects)
    data = "simulated" if n_simulated == len(subjects) else "partly_simulated" if n_simulated else "measured"
    with matplotlib.style.context(["default", STYLE]):
        sections = _sections(results, subjects, data)
    tables = {one.name: list(one.rows) for _, group in sections for one in group}
    command = command_of(results.options, cases)
    document = {
        **result_head(EXPERIMENT_SCHEMA),
        "command": command,
        "data": data,
        **digests,
        "n_subjects": len(subjects),
        "n_patients": len(set(results.patient_ids)),
        "n_fibrotic_nash": int(results.labels.sum()),
        "n_simulated": n_simulated,
        "n_unlabelled_left_out": n_unlabelled,
        "tables": tables,
    }
    files = {f"tables/{name}.csv": csv_bytes(rows) for name, rows in tables.items()}
    files["report.html"] = _report(document, sections).encode("utf-8")
    files["results.json"] = (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
    return document, files


def _report(document: dict, sections) -> str:
    banner = {
        "simulated": "SIMULATED DATA · every number here is computed, none measured",
        "partly_simulated": "PARTLY SIMULATED DATA",
    }.get(document["data"], "")
    counts = (
        f"{document['n_subjects']} subjects of {document['n_patients']} patients, {document['n_fibrotic_nash']} with "
        f"fibrotic NASH; {document['n_unlabelled_left_out']} without an answer left out"
    )
    shown = [(heading, members) for heading, members in sections if members]
    parts = [
        f'<div class="banner simulated">{banner}</div>' if banner else "",
        "<h1>Models of fibrotic NASH compared</h1>",
        f'<p class="lead">{escape(counts)} · LiverLabel {escape(__version__)} · a research tool, not a medical '
        "device</p>",
        f'<pre class="command">{escape(document["command"])}</pre>',
        contents_html(shown),
    ]
    for number, (heading, members) in enumerate(shown, start=1):
        body = "".join(table_html(one) if isinstance(one, Table) else picture_html(one) for one in members)
        parts.append(f'<h2 id="s{number}">{escape(heading)}</h2>{body}')
    entries = [
        ("Networks, folds, seed", document["options"]),
        ("SHA-256 of the code", document["code_sha256"]),
        ("SHA-256 of the cohort", document["cohort_sha256"]),
        ("After", PAPER_SOURCE),
    ]
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in entries)
    parts += [
        f'<h2>How it came about</h2><div class="panel"><dl>{listed}</dl></div>',
        f'<p class="notice">{escape(RESEARCH_NOTICE)} Each table and figure is also a CSV in <code>tables/</code>, '
        "everything in <code>results.json</code>.</p>",
    ]
    return page_html("Fibrotic NASH experiment", parts)
