"""What does each way of mixing in generated images gain a classifier of fatty liver (simulated patients)?

The experiment of ``liverlabel experiment nafld`` several times over in one folder: its defaults, then one change at a
time to what is drawn or mixed in. Runs share what they have in common; a second call in the same folder goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from common import show
from rich.console import Console

from liver_models.synthesis.experiment.options import NafldExperimentOptions
from liver_models.synthesis.experiment.run import rows_of, run_experiment

QUESTION = "What does each way of mixing in generated images gain a classifier of fatty liver (simulated patients)?"
LEADING = "ldm_semantic"
"""The generator that changes are tried with."""
CHANGES = {
    "as it is": {},
    "fewer: r = 0.5": {"data": ("none", LEADING), "rates": (0.0, 0.5)},
    "only plausible images": {"data": ("none", LEADING), "is_filtered": True},
    "more guidance: 3": {"data": ("none", LEADING), "sampler": {LEADING: {"guidance": 3.0}}},
    "healthy patients drawn as often": {"data": ("none", LEADING), "variants": ("oversampled",)},
}
"""What is tried -> options that differ from the defaults."""


def main():
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="folder of the experiments, to continue; default: none is kept")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--changes", nargs="+", choices=tuple(CHANGES), default=tuple(CHANGES))
    arguments = parser.parse_args()
    if arguments.out:
        show(QUESTION, _found(arguments, arguments.out))
    else:
        with TemporaryDirectory() as folder:
            show(QUESTION, _found(arguments, folder))


def _found(arguments, folder):
    console, found = Console(stderr=True), {}
    for name in arguments.changes:
        with console.status(name) as status:
            document = run_experiment(
                "nafld",
                folder,
                NafldExperimentOptions(**CHANGES[name]),
                workers=arguments.workers,
                progress=lambda done, total, name=name: status.update(f"{name}: {done}/{total}"),
            )
        found[name] = {table: rows_of(document, table) for table in ("table1_auc", "table2_gain")}
    gains = [row for tables in found.values() for row in tables["table2_gain"]]
    return {"data": "simulated patients", "found": found, "must_reach": _verdict(gains)}


def _verdict(gains):
    shown = [row for row in gains if row["patient_low"] > 0]
    return {
        "r = 1.5 improves patient AUC, interval excluding 0": any(row["rate"] == 1.5 for row in shown),
        "ways tried": len(gains),
        "ways whose interval lies above 0": len(shown),
        "ways whose interval lies below 0": sum(row["patient_high"] < 0 for row in gains),
    }


if __name__ == "__main__":
    main()
