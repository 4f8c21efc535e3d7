"""Start the MONAI Label server that 3D Slicer talks to; an empty studies folder gets simulated sample cases."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
from pathlib import Path

from ..errors import UnsuitableInputError

HELP = "start the server that 3D Slicer talks to"
TOKEN_VARIABLE = "LIVERLABEL_TOKEN"
SAMPLE_CASES = {
    "simulated-liver-1.5t": {"kind": "liver", "snr": 40.0, "n_slices": 5, "seed": 4, "oblique_deg": 12.0},
    "simulated-liver-3t": {"kind": "liver", "snr": 50.0, "n_slices": 3, "seed": 2, "field_strength_t": 3.0},
    "simulated-vials": {"kind": "vials", "snr": 60.0},
}
"""Id of a sample case -> how it is simulated."""
N_SAMPLE_RATS, SAMPLE_SEED = 2, 3
"""Simulated subjects with ultrasound among the sample cases, and which."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's options."""
    parser.add_argument(
        "--studies",
        metavar="DIR",
        default="studies",
        help="folder of the cases, or address of a DICOMweb store (default: %(default)s)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: this machine only)")
    parser.add_argument("--port", type=int, default=8000, help="port (default: %(default)d)")
    parser.add_argument("--token", help=f"what clients must send (default: ${TOKEN_VARIABLE}, or a new one)")
    parser.add_argument("--no-token", action="store_true", help="let every program in, without a token")
    parser.add_argument("--no-samples", action="store_true", help="leave an empty studies folder empty")


def run(args: argparse.Namespace) -> int:
    """Make sample cases when there is nothing to serve, then become the server."""
    is_store = "://" in args.studies
    studies = args.studies if is_store else Path(args.studies).resolve()
    package = importlib.util.find_spec("liver_apps")
    if package is None:
        print("The server needs the package liver_apps. Install LiverLabel again: make serve.", file=sys.stderr)
        return 2
    if not is_store and is_empty(studies) and not args.no_samples:
        make_sample_cases(studies)
    app = Path(package.submodule_search_locations[0]) / "liver"
    command = [sys.executable, "-m", "liver_apps.entry", "start_server", "--app", str(app), "--studies", str(studies)]
    command += ["--host", args.host, "--port", str(args.port), *(["--no-token"] if args.no_token else [])]
    # The token goes by the environment: a command line can be read by every user of the machine.
    environment = os.environ | ({TOKEN_VARIABLE: args.token} if args.token is not None else {})
    sys.stdout.flush()
    os.execve(sys.executable, command, environment)


def is_empty(studies: Path) -> bool:
    """True when the folder does not exist or holds no case and no image.

    Raises:
        UnsuitableInputError: it is a file.
    """
    if not studies.exists():
        return True
    if not studies.is_dir():
        raise UnsuitableInputError(f"A folder of cases is needed for --studies; {studies} is a file. Choose another.")
    return not any(entry.name for entry in studies.iterdir() if not entry.name.startswith((".", "datastore")))


def make_sample_cases(studies: Path) -> None:
    """Simulate the sample cases and import them, each in another of the formats.

    Args:
        studies: The studies folder; made if it does not exist.
    """
    from ..io.class_label import class_label_path
    from ..io.export import write_bids, write_dicom, write_ismrm_mat
    from ..io.importer import import_source
    from ..mri.phantom import make_phantom
    from ..ultrasound.phantom import simulate_cohort
    from ..ultrasound.phantom_files import write_cohort

    print(f"Making {len(SAMPLE_CASES) + N_SAMPLE_RATS} simulated sample cases in {studies}", flush=True)
    writers = (write_dicom, write_bids, lambda study, folder: write_ismrm_mat(study, folder / f"{study.case_id}.mat"))
    for (case_id, settings), write in zip(SAMPLE_CASES.items(), writers, strict=True):
        study, _ = make_phantom(**settings)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / case_id
            folder.mkdir()
            write(study.with_fields(case_id=case_id, patient_id=case_id), folder)
            import_source(folder, studies, case_id=case_id)
        print(f"  {case_id}", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "simulated-rats"
        write_cohort(simulate_cohort(N_SAMPLE_RATS, 1, seed=SAMPLE_SEED), folder)
        # Without answers: a reader gives them, and the server asks for them.
        for case_id in import_source(folder, studies).case_ids:
            class_label_path(studies, case_id).unlink(missing_ok=True)
            print(f"  {case_id}", flush=True)
