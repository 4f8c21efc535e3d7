"""Both experiments from start to finished folder: every unit once, then tables, figures and the page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UnsuitableInputError
from ...io.files import cannot_write, read_bytes, write_atomically
from ...reports.figures import STYLE
from ...reports.folder import check_own_folder, publish
from ...reports.notice import result_head
from ...reports.tables import csv_bytes
from ...ultrasound.frames import FrameSet, read_frames
from . import parts
from .compute import Computer
from .gan_options import GanExperimentOptions
from .gan_plan import plan_gan
from .options import NafldExperimentOptions
from .plan import plan_nafld
from .reports import gan_report, nafld_report
from .units import FILES, LEASES, RECORDS, UNFINISHED, Unit, UnitStore, code_digest
from .work import collect, helpers, work_off

SETTINGS = "experiment.json"
"""What an experiment's folder is about: written before its units, read by processes that join in."""
OWN_NAMES = (RECORDS, FILES, UNFINISHED, LEASES, SETTINGS, "tables", "report.html", "results.json")
"""What an experiment's folder holds; ``results.json`` is put there last."""
SETTINGS_SCHEMA = "liverlabel.synthesis-experiment.v1"
"""Name and version of :data:`SETTINGS`."""
Options = NafldExperimentOptions | GanExperimentOptions
_EXPERIMENTS: dict[str, tuple[type, Callable, Callable]] = {
    "nafld": (NafldExperimentOptions, plan_nafld, nafld_report),
    "gan": (GanExperimentOptions, plan_gan, gan_report),
}
"""Name -> options, plan, report."""


def run_experiment(
    name: str,
    out_dir: str | Path,
    options: Options,
    cases: str | Path | FrameSet | None = None,
    *,
    workers: int = 1,
    imagenet: Mapping[str, str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict:
    """Compute what is missing, alone or with others, and write the report.

    The same call on another machine that sees the folder joins in; each unit is computed by one of them. What is
    written does not depend on who did what.

    Args:
        name: "nafld" or "gan".
        out_dir: New, empty, or the folder of an earlier run on the same cohort.
        options: What is compared.
        cases: A cohort's or studies folder, or frames; None: simulated patients.
        workers: Processes on this machine, each of one thread.
        imagenet: Model -> path of the ImageNet weights whose digests are in the options.
        progress: Called as progress(done, total) in units; it may raise to stop. What was done is kept.
    Returns:
        What ``results.json`` holds.
    Raises:
        UnsuitableInputError: a folder of another cohort or of something else, cases that cannot be used.
    """
    if not 1 <= workers <= 64:
        raise UnsuitableInputError(f"An experiment needs 1 to 64 workers; found {workers}. Correct --workers.")
    out = Path(out_dir)
    check_own_folder(out, OWN_NAMES)
    make_plan, make_report = _EXPERIMENTS[name][1:]
    with _one_thread():
        unit, given = _frames_unit(options, cases)
        if isinstance(given, FrameSet):  # Refused before anything is written.
            _check_settings(out, name, given.digest())
            make_plan(options, given)
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(out, error) from error
        frames, measures = _kept_frames(out, unit, given)
        _check_settings(out, name, frames.digest())
        plan = make_plan(options, frames)
        store = _store(out, frames)
        _write_settings(out, name, options, frames, unit, imagenet)
        with helpers(out, workers - 1, f"{__package__}.worker"):
            found = collect(plan.units, store, Computer(store, frames, imagenet), progress=progress)
        import matplotlib.style

        with matplotlib.style.context(["default", STYLE]):
            page, head, sections = make_report(frames, options, plan, found, measures, store.digests, cases)
    tables = {one.name: list(one.rows) for _, members in sections for one in members}
    document = {**result_head(f"liverlabel.{name}-experiment.v1"), **head, "tables": tables}
    files = {f"tables/{table}.csv": csv_bytes(rows) for table, rows in tables.items()}
    files["report.html"] = page.encode("utf-8")
    files["results.json"] = (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
    publish(out, files)
    return document


def join(out: Path) -> None:
    """Work on the units of an experiment that somebody else began, until all are there; nothing is reported.

    Raises:
        UnsuitableInputError: a folder without settings, or as its units.
    """
    content = json.loads(read_bytes(out / SETTINGS))
    kind, make_plan = _EXPERIMENTS[content["experiment"]][:2]
    names = {one.name for one in fields(kind)}
    values = {key: _tuples(value) for key, value in content["options"].items() if key in names}
    with _one_thread():
        unit = Unit("frames", content["frames"]["place"], content["frames"]["params"])
        frames, _ = _kept_frames(out, unit, None)
        store = _store(out, frames)
        work_off(make_plan(kind(**values), frames).units, store, Computer(store, frames, content["imagenet"]))


def _tuples(value):
    return tuple(value) if isinstance(value, list) else value


def _store(out: Path, frames: FrameSet) -> UnitStore:
    return UnitStore(out, {"code_sha256": code_digest(), "cohort_sha256": frames.digest()})


def _frames_unit(options: Options, cases) -> tuple[Unit, FrameSet | None]:
    if cases is None:
        n_healthy, n_fatty, n_frames = options.simulated
        params = {"n_healthy": n_healthy, "n_fatty": n_fatty, "n_frames": n_frames}
        return Unit("frames", "simulated", {**params, "seed": options.seed, "size": options.size}), None
    frames = cases if isinstance(cases, FrameSet) else read_frames(cases, options.size)
    return Unit("frames", "read", {"sha256": frames.digest()}), frames


def _kept_frames(out: Path, unit: Unit, given: FrameSet | None) -> tuple[FrameSet, dict[str, np.ndarray]]:
    """The frames, read or simulated once and kept: every process works on the same."""

    def compute(unit: Unit):
        frames, measures = (given, {}) if given is not None else parts.simulate_frames(**unit.params)
        about = {"patient_ids": frames.patient_ids, "names": frames.names, "is_simulated": frames.is_simulated}
        arrays = {"images": frames.images, "is_fatty": np.asarray(frames.is_fatty, bool)}
        return about, arrays | {f"measures/{name}": values for name, values in measures.items()}

    store = UnitStore(out, {"code_sha256": code_digest()})
    about, arrays = collect([unit], store, compute)[unit.name]
    measures = {name[9:]: values for name, values in arrays.items() if name.startswith("measures/")}
    ids = tuple(about["patient_ids"]), tuple(about["names"])
    return FrameSet(arrays["images"], arrays["is_fatty"], *ids, about["is_simulated"]), measures


def _check_settings(out: Path, name: str, digest: str) -> None:
    """Refuse a folder of another experiment or cohort."""
    path = out / SETTINGS
    if not path.exists():
        return
    try:
        content: dict[str, Any] = json.loads(read_bytes(path))
        found = content["schema"], content["experiment"], content["cohort_sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise UnsuitableInputError(
            f"Going on needs the settings in '{SETTINGS}'; they cannot be read. Choose a new folder."
        ) from error
    if found[1] != name:
        raise UnsuitableInputError(
            f"The experiment {name} needs a folder of its own; this one holds the experiment {found[1]}. Choose a new "
            "folder."
        )
    if found != (SETTINGS_SCHEMA, name, digest):
        raise UnsuitableInputError(
            "Going on needs the cohort that the folder's experiment began with; found other frames, patients or "
            f"answers (digest {digest[:12]}, there {found[2][:12]}). Give the same cases, or choose a new folder."
        )


def _write_settings(out, name, options, frames, unit, imagenet) -> None:
    content = {
        "schema": SETTINGS_SCHEMA,
        "experiment": name,
        "cohort_sha256": frames.digest(),
        "options": asdict(options),
        "frames": {"place": unit.place, "params": dict(unit.params)},
        "imagenet": {model: str(Path(path).absolute()) for model, path in (imagenet or {}).items()},
    }
    write_atomically(out / SETTINGS, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode("utf-8"))


@contextmanager
def _one_thread():
    """Units are computed by one thread: more would round otherwise, and results depend on who computed them."""
    import torch

    former = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(former)


def rows_of(document: dict, stem: str) -> list[dict]:
    """The rows of a result's table, whatever the data.

    Args:
        document: What :func:`run_experiment` returned.
        stem: Beginning of the table's name.
    """
    return next((rows for name, rows in document["tables"].items() if name.startswith(stem)), [])
