"""The experiment from start to finished folder: every unit once, then tables, figures and the page."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ... import __version__
from ...errors import UnsuitableInputError
from ...io.files import cannot_write, write_atomically
from ...reports.figures import STYLE, Picture
from ...reports.folder import check_own_folder, publish
from ...reports.notice import result_head
from ...reports.tables import Table, csv_bytes, row_of
from .cases import ExperimentCase, find_given_cases
from .liver_tables import bias_table, image_table, refusal_table, regression_table
from .map_figures import critical_figure, methods_figure, quantities_figure
from .options import MEASURED, SIMULATED, ExperimentOptions
from .phantom_tables import given_vial_table, noise_table, protocol_table, vial_table
from .plots import (
    bland_altman_figure,
    noise_figure,
    sensitivity_figure,
    uncertainty_figure,
    vial_figure,
)
from .report import report_html
from .results import Results, region_rows
from .simulated import simulated_cases
from .units import ESTIMATED, NOT_APPLICABLE, UnitStore, code_digest, compute_unit

EXPERIMENT_SCHEMA = "liverlabel.pdff-experiment.v1"
"""Name and version of ``results.json``."""
MAX_PICTURED = 12
"""Given cases whose maps are shown; more would make the page too large."""
OWN_NAMES = ("units", "tables", "timings.json", "report.html", "results.json")
"""What an experiment's folder holds; ``results.json`` is put there last."""


def run_experiment(
    out_dir: str | Path,
    options: ExperimentOptions,
    given: Sequence[str | Path] = (),
    progress: Callable[[int, int], None] | None = None,
) -> dict:
    """Compare PDFF methods; units that the folder already holds are not computed again.

    Args:
        out_dir: New, empty, or the folder of an earlier run.
        options: What is compared.
        given: Files and folders of cases, as :func:`.find_given_cases` takes them.
        progress: Called as progress(done, total) in units; it may raise to stop. What was done is kept.
    Returns:
        What ``results.json`` holds.
    Raises:
        UnsuitableInputError: nothing to compare, unsuitable input, or a folder that holds something else.
    """
    out = Path(out_dir)
    check_own_folder(out, OWN_NAMES)
    found = find_given_cases(given)
    if options.reference == "truth" and found.cases:
        raise UnsuitableInputError(
            f"The reference 'truth' needs simulated livers; '{found.cases[0].name}' was given, whose truth nobody "
            "knows. Leave out --reference, or give no --cases."
        )
    cases = [*found.cases, *simulated_cases(options)]
    if not cases:
        raise UnsuitableInputError("An experiment needs cases; there are none. Give --cases, or --simulated above 0.")
    code_sha256 = code_digest()
    try:
        (out / "units").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(out, error) from error
    results = Results(_units(out, cases, options, code_sha256, progress), options)
    compared = [unit for unit in results.units.values() if unit.method in options.methods]
    if not any(unit.status == ESTIMATED for unit in compared):
        reason = compared[0].reason
        raise UnsuitableInputError(
            f"An experiment needs a method that accepts one of its cases; all refused all. The first said: {reason}"
        )
    provenance = {
        "command": _command(options, given),
        "version": __version__,
        "code_sha256": code_sha256,
        "skipped": [{"name": item.name, "reason": item.reason} for item in found.skipped],
    }
    document, files = _finished(results, provenance)
    publish(out, files)
    return document


def _methods_for(options: ExperimentOptions, case: ExperimentCase) -> tuple[str, ...]:
    """The methods to run on a case: the compared ones, and graph cut where it is the reference."""
    methods = options.methods
    is_needed = case.part == "given" or (case.part == "livers" and options.reference == "graph_cut")
    return methods if "graph_cut" in methods or not is_needed else (*methods, "graph_cut")


def _units(out: Path, cases, options, code_sha256, progress):
    """Every unit, read from the folder or computed and kept."""
    store = UnitStore(out / "units", code_sha256)
    plan = [(case, method) for case in cases for method in _methods_for(options, case)]
    timings = _Timings(out / "timings.json")
    loaded_name, loaded = None, None
    for done, (case, method) in enumerate(plan):
        if progress:
            progress(done, len(plan))
        unit = store.load(case, method)
        if unit is None:
            if loaded_name != case.name:
                loaded_name, loaded = case.name, case.load()
            start = time.perf_counter()
            unit = compute_unit(case, loaded, method)
            if unit.status == ESTIMATED:
                timings.add(case, method, time.perf_counter() - start)
                store.save(unit)
                # Read back, since pictures are kept with 16 bits: a resumed run must not differ from a fresh one.
                unit = store.load(case, method)
        yield unit
    if progress:
        progress(len(plan), len(plan))


class _Timings:
    """How long each unit took, in a file of its own: the only numbers of a run that do not repeat."""

    def __init__(self, path: Path):
        self.path = path
        try:
            self.seconds = dict(json.loads(path.read_text("utf-8"))["seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            self.seconds = {}

    def add(self, case: ExperimentCase, method: str, seconds: float) -> None:
        self.seconds[f"{case.name}__{method}"] = round(seconds, 3)
        document = {"machine": platform.machine(), "cores": os.cpu_count(), "seconds": self.seconds}
        write_atomically(self.path, (json.dumps(document, indent=1) + "\n").encode("utf-8"))


def _command(options: ExperimentOptions, given: Sequence[str | Path]) -> str:
    """The command that makes this folder again; paths by their last name, for a page that travels."""
    names = " ".join(f"'{Path(path).name}'" if " " in Path(path).name else Path(path).name for path in given)
    words = ["liverlabel experiment pdff --out DIR"]
    words += [f"--cases {names}"] if given else []
    words += [f"--simulated {options.n_simulated}", f"--methods {','.join(options.methods)}"]
    words += [f"--reference {options.reference}"] if options.reference else []
    return " ".join([*words, f"--seed {options.seed}", f"--size {options.size}"])


def _sections(results: Results, rows: list[dict]) -> list[tuple[str, list[Table | Picture]]]:
    """Headings, and under each the tables and figures that there is data for."""
    vials, noise = vial_table(results, rows), noise_table(results)
    parts = {part: [c for c in results.cases if c.part == part] for part in ("given", "livers", "vials", "critical")}
    sections = []
    for data, heading in ((MEASURED, "Measured cases"), (SIMULATED, "Simulated cases")):
        given = [case for case in parts["given"] if case.data == data]
        pictured = [case for case in (*given, *parts["livers"]) if case.data == data and case.is_pictured]
        members = [
            bias_table(results, rows, data),
            bland_altman_figure(results, rows, data),
            *(methods_figure(results, case) for case in (given[:MAX_PICTURED] or pictured)),
            *(_quantities(results, case) for case in pictured[:1]),
            regression_table(results, rows, data),
            uncertainty_figure(results, rows, data),
            given_vial_table(rows, data),
            image_table(results, data),
        ]
        sections.append((heading, members))
    pictured = [case for case in parts["vials"] if case.is_pictured]
    sections.append(
        ("Simulated vials", [vials, vial_figure(results, vials), *(methods_figure(results, case) for case in pictured)])
    )
    sections.append(("Simulated noise series", [noise, noise_figure(results, noise)]))
    sections.append(("Simulated echo protocols", [protocol_table(results)]))
    tall = [case for case in parts["given"] if _has_ends(results, case)]
    critical = [
        critical_figure(
            results, [(case, "highest", "Highest slice"), (case, "lowest", "Lowest slice")], f"ends_{case.data}"
        )
        for case in tall[:1]
    ]
    places = [(case, "regions", case.about["region"]) for case in parts["critical"]]
    critical.append(critical_figure(results, places, "critical_regions_simulated"))
    sections.append(("Critical regions", critical))
    sections.append(("Sensitivity", [sensitivity_figure()]))
    sections.append(("Not applicable", [refusal_table(results)]))
    return [(heading, [one for one in members if one is not None and one.rows]) for heading, members in sections]


def _quantities(results: Results, case: ExperimentCase) -> Picture | None:
    """All quantities of the first method that is not the reference and gives them."""
    methods = [method for method in results.options.methods if method != results.reference_name(case)]
    pictures = (quantities_figure(results, case, method) for method in methods)
    return next((picture for picture in pictures if picture is not None), None)


def _has_ends(results: Results, case: ExperimentCase) -> bool:
    """Whether some method's highest and lowest slice were kept."""
    units = (results.unit(case, method) for method in results.options.methods)
    return any(unit is not None and "highest/pdff_percent" in unit.planes for unit in units)


def _finished(results: Results, provenance: dict) -> tuple[dict, dict[str, bytes]]:
    """``results.json`` as a document, and every file of the finished folder by name."""
    import matplotlib.style

    rows = region_rows(results)
    with matplotlib.style.context(["default", STYLE]):
        sections = _sections(results, rows)
    members = [one for _, group in sections for one in group]
    tables = {one.name: list(one.rows) for one in members}
    for data in (MEASURED, SIMULATED):
        regions = [row for row in rows if row["data"] == data]
        tables |= {f"regions_{data}": regions} if regions else {}
    options = results.options
    document = {
        **result_head(EXPERIMENT_SCHEMA),
        "code_sha256": provenance["code_sha256"],
        "command": provenance["command"],
        "options": {
            "methods": list(options.methods),
            "n_simulated": options.n_simulated,
            "reference": options.reference,
            "seed": options.seed,
            "size": options.size,
        },
        "has_simulated_data": any(case.data == SIMULATED for case in results.cases),
        "cases": [
            {"name": c.name, "data": c.data, "part": c.part, "reference": results.reference_name(c), **c.about}
            for c in results.cases
        ],
        "skipped": provenance["skipped"],
        "not_applicable": [
            row_of(case=unit.case.name, method=unit.method, reason=unit.reason)
            for unit in results.units.values()
            if unit.status == NOT_APPLICABLE
        ],
        "tables": tables,
    }
    files = {f"tables/{name}.csv": csv_bytes(members) for name, members in tables.items()}
    files["report.html"] = report_html(results, sections, provenance).encode("utf-8")
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    files["results.json"] = (text + "\n").encode("utf-8")
    return document, files
