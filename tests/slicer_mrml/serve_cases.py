"""Run by the server's Python: simulated cases and a real server for 3D Slicer's windows, which have another Python.

``python serve_cases.py FOLDER`` prints a line of JSON once the server answers, and again after each line ``restart`` on
its standard input; it ends with that.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "apps"))

N_DISCS, N_OUTLINED = 9, 7


def make_cases(folder: Path) -> Path:
    """A simulated liver's MRI, two simulated rats, and discs of which some are outlined already."""
    from discs import import_discs, outline

    from liver_models.io.export import write_bids
    from liver_models.io.importer import import_source
    from liver_models.mri.phantom import make_phantom
    from liver_models.ultrasound.phantom import simulate_cohort
    from liver_models.ultrasound.phantom_files import write_cohort

    studies, discs = folder / "studies", folder / "discs"
    discs.mkdir(parents=True)
    for seed in (1, 2):
        study, _ = make_phantom("liver", snr=60, size=96, n_slices=3, oblique_deg=10, seed=seed)
        write_bids(study, folder / f"bids-{seed}" / "sub-01")
        import_source(folder / f"bids-{seed}" / "sub-01", studies, case_id=f"simulated-liver-{seed}")
    write_cohort(simulate_cohort(2, 1, seed=5, n_pairs=1, size=160), folder / "rats")
    import_source(folder / "rats", studies)
    import_discs(studies, discs, N_DISCS)
    outline(studies, range(N_OUTLINED))
    return studies


def main(folder: Path) -> None:
    """Serve until the standard input ends."""
    from client import start_server

    studies, port, n = make_cases(folder), None, 0
    while True:
        log = folder / f"server-{n}.txt"
        process, server = start_server(studies, log, port=port)
        port = urlsplit(server.address).port
        print(json.dumps({"address": server.address, "token": server.token, "log": str(log)}), flush=True)
        line = sys.stdin.readline()
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
        if line.strip() != "restart":
            return
        n += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]))
