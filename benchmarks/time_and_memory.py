"""How long does PDFF take, how much memory, and does the cost grow linearly with the voxels?

Each volume is measured in a process of its own, read from BIDS files, so that its peak memory is that of ``liverlabel
pdff`` without the phantom. The ratio compares the whole estimate with its last step alone (Gauss-Newton from the right
field), taken in turns in one process. With --plot, a picture is written.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import show

from liver_models.io.export import write_bids
from liver_models.io.reading import read_study
from liver_models.mri import least_squares
from liver_models.mri.fat_spectra import get_spectrum
from liver_models.mri.pdff import estimate
from liver_models.mri.phantom import make_phantom
from liver_models.mri.signal_model import design_matrix

SLICES = (1, 5, 10, 20, 40)
REPEATS = 5


def measure_child(folder):
    """Time and peak memory of one volume, printed as JSON."""
    study = read_study(Path(folder))
    started = time.perf_counter()
    maps = estimate(study)
    seconds = time.perf_counter() - started
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        json.dumps(
            {"seconds": seconds, "peak_mib": peak_kib / 1024, "n_tissue_voxels": int(maps.valid_mask.sum())},
        )
    )


def time_one_slice():
    """Median seconds of a 192² slice, and the ratio to its last step alone, in turns."""
    study, truth = make_phantom("liver", snr=50)
    basis = design_matrix(study.echo_times_s, study.field_strength_t, get_spectrum("hamilton_2011"))
    tissue = truth.body_mask[..., 0]
    signal, field = study.signal[..., 0][:, tissue], truth.field_map_hz[tissue, 0]
    estimate(study)
    whole, last = [], []
    for _ in range(REPEATS):
        started = time.perf_counter()
        estimate(study)
        whole.append(time.perf_counter() - started)
        started = time.perf_counter()
        least_squares.gauss_newton(signal, study.echo_times_s, basis, field, np.full(field.size, 50.0))
        last.append(time.perf_counter() - started)
    undeclared = study.with_fields(precession=None, is_bipolar=None)
    started = time.perf_counter()
    estimate(undeclared)
    return {
        "median_seconds": round(statistics.median(whole), 3),
        "seconds_when_precession_and_readout_must_be_found": round(time.perf_counter() - started, 3),
        "ratio_to_gauss_newton_alone": round(statistics.median(w / n for w, n in zip(whole, last, strict=True)), 2),
    }


def main():
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--plot", type=Path, help="write a picture of cost against voxels to this PNG file")
    arguments = parser.parse_args()
    if arguments.child:
        measure_child(arguments.child)
        return
    rows = []
    for n_slices in SLICES:
        with tempfile.TemporaryDirectory() as folder:
            study, _ = make_phantom("liver", snr=50, n_slices=n_slices, slice_thickness_mm=4.0)
            write_bids(study, Path(folder) / "simulated")
            command = [sys.executable, __file__, "--child", str(Path(folder) / "simulated")]
            answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        rows.append({"n_slices": n_slices, **{key: round(value, 2) for key, value in answer.items()}})
        print(rows[-1], file=sys.stderr)
    volumes = [row for row in rows if row["n_slices"] > 1]
    slope, _ = np.polyfit(
        np.log([row["n_tissue_voxels"] for row in volumes]), np.log([row["seconds"] for row in volumes]), 1
    )
    one = time_one_slice()
    figures = {
        "data": "simulated livers, 192 x 192, six echoes, 1.5 T",
        "one_slice": one,
        "volumes": rows,
        "exponent_of_time_against_voxels": round(float(slope), 3),
        "must_reach": {
            "one slice <= 1.5 s": one["median_seconds"] <= 1.5,
            "40 slices <= 1.5 GB": rows[-1]["peak_mib"] <= 1500,
            "linear in voxels (exponent <= 1.1)": bool(slope <= 1.1),
        },
    }
    if arguments.plot:
        _plot(rows, slope, arguments.plot)
    show("How long does PDFF take, and how much memory?", figures)


def _plot(rows, slope, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    voxels = [row["n_tissue_voxels"] / 1e3 for row in rows]
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    axes[0].plot(voxels, [row["seconds"] for row in rows], "o-", color="#1f6f8b")
    axes[0].set(ylabel="time (s)", title=f"time ~ voxels^{slope:.2f} (from 5 slices on)")
    axes[1].plot(voxels, [row["peak_mib"] for row in rows], "o-", color="#b5651d")
    axes[1].set(ylabel="peak memory (MiB)", title="memory of the whole process")
    for axis in axes:
        axis.set(xlabel="tissue voxels (thousands)", xlim=(0, None), ylim=(0, None))
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle("PDFF of simulated livers, 192 x 192, six echoes, 1 to 40 slices")
    figure.savefig(path, dpi=130, metadata={"Software": None})


if __name__ == "__main__":
    main()
