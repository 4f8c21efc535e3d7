"""The ``monailabel`` command: MONAI Label's own, started so that it works and is guarded.

``monailabel start_server --app apps/liver --studies FOLDER`` serves one machine, behind a token. Every other
sub-command is MONAI Label's. ``python -m liver_apps.entry`` is the same command.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

COMPAT_DIR = Path(__file__).resolve().parent / "compat"
MISSING = (
    "The server needs MONAI Label, and {problem}. Run `make serve`, which installs everything, or: "
    "pip install -r requirements.lock && pip install --no-deps monailabel==0.8.5"
)


def make_stand_ins_importable() -> None:
    """Let this process and those it starts import the packages of :mod:`liver_apps.compat`."""
    folder = str(COMPAT_DIR)
    if folder not in sys.path:
        sys.path.append(folder)
    inherited = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    if folder not in inherited:
        os.environ["PYTHONPATH"] = os.pathsep.join([*inherited, folder])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Arguments after the command's name; None: those of the process.
    Returns:
        The exit code: 2 when something is missing or unusable, with the sentence on standard error.
    """
    if importlib.util.find_spec("monailabel") is None:
        print(MISSING.format(problem="it is not installed"), file=sys.stderr)
        return 2
    make_stand_ins_importable()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["start_server"]:
        print("Loading MONAI Label; the first time this takes up to a minute ...", flush=True)
    try:
        from .launcher import Launcher
    except ModuleNotFoundError as error:
        print(MISSING.format(problem=f"its package {error.name} is not installed"), file=sys.stderr)
        return 2
    return Launcher().run_command(arguments)


if __name__ == "__main__":
    sys.exit(main())
