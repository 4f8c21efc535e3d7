"""The ``liverlabel`` command."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Sequence
from importlib import import_module

from . import __version__
from .errors import UnsuitableInputError

SUBCOMMANDS = {
    "import": "import_cases",
    "pdff": "pdff",
    "adapt": "adapt",
    "nash": "nash",
    "nafld": "nafld",
    "synthesise": "synthesise",
    "audit": "audit",
    "turing": "turing",
    "experiment": "experiment",
    "simulate": "simulate",
    "phantom": "phantom",
    "serve": "serve",
    "demo": "demo",
}
"""Subcommand -> module in :mod:`.commands`."""
EXIT_UNSUITABLE = 2
EXIT_INTERRUPTED = 130
FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


def build_parser() -> argparse.ArgumentParser:
    """Every subcommand and option."""
    parser = argparse.ArgumentParser(
        prog="liverlabel",
        description="A liver's fat from multi-echo MRI, fibrotic NASH and fatty liver from ultrasound. A "
        "research tool, not a medical device.",
    )
    parser.add_argument("--version", action="version", version=f"liverlabel {__version__}")
    subparsers = parser.add_subparsers(dest="subcommand", metavar="COMMAND", required=True)
    for name, module_name in SUBCOMMANDS.items():
        module = import_module(f".commands.{module_name}", __package__)
        subparser = subparsers.add_parser(name, help=module.HELP, description=module.__doc__)
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Arguments after the command's name; None: those of the process.
    Returns:
        0; 2 when the input is unsuitable, may not be opened or the disk is full, with the sentence on standard error;
        130 when interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # A sign that a terminal cannot show must not end the command.
            stream.reconfigure(errors="backslashreplace")
    args = build_parser().parse_args(argv)
    try:
        return args.run(args)
    except UnsuitableInputError as error:
        print(f"liverlabel: {error}", file=sys.stderr)
        return EXIT_UNSUITABLE
    except PermissionError as error:
        print(
            f"liverlabel: A file or folder that may be opened is needed; {error.filename} may not: {error.strerror}. "
            "Change its permissions or choose another.",
            file=sys.stderr,
        )
        return EXIT_UNSUITABLE
    except OSError as error:
        if error.errno not in FULL_DISK:
            raise
        where = f" that holds {error.filename}" if error.filename else ""
        print(
            f"liverlabel: The disk{where} is full; nothing incomplete was left. Free some space, or write elsewhere.",
            file=sys.stderr,
        )
        return EXIT_UNSUITABLE
    except KeyboardInterrupt:
        print("liverlabel: Interrupted; nothing incomplete was left.", file=sys.stderr)
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
