"""How long does PDFF take by each method, how much memory, and does the cost grow linearly with the voxels?

Each volume is measured in a process of its own, read from BIDS files, so that its peak memory is that of ``liverlabel
pdff`` without the phantom; libraries and weights are loaded before the clock starts, and the methods take turns. One
slice is timed alone in one process, the methods again in turns; its last step alone (Gauss-Newton from the right field)
beside. Ratios are medians of the turns' ratios. Cores are used as by default. Memory is read from /proc, so Linux is
needed. With --plot, a picture is written.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import show
from side_by_side import OURS, methods_at_hand

from liver_models.io.export import write_bids
from liver_models.io.reading import read_study
from liver_models.mri import least_squares
from liver_models.mri.fat_spectra import get_spectrum
from liver_models.mri.pdff import estimate
from liver_models.mri.pdff_options import METHODS
from liver_models.mri.phantom import make_phantom
from liver_models.mri.signal_model import design_matrix

LARGEST = 40
COLOURS = {"ai_deal": "#1f6f8b", "ai_deal_one_shot": "#7fb069", "graph_cut": "#b5651d"}


def measure_child(folder, method):
    """Time and peak memory of one volume, printed as JSON."""
    study = read_study(Path(folder))
    first = study.with_fields(signal=study.signal[..., :1], unusable_mask=study.unusable_mask[..., :1])
    estimate(first, method=method)
    started = time.perf_counter()
    maps = estimate(study, method=method)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "peak_mib": _peak_mib(), "n_tissue_voxels": int(maps.valid_mask.sum())}))


def _peak_mib():
    """Largest resident memory of this process."""
    # getrusage would not do: a started process inherits the peak of the one that started it.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def measure_volume(n_slices, methods, repeats):
    """Figures of one volume by each method, in turns."""
    turns = {method: [] for method in methods}
    with tempfile.TemporaryDirectory() as folder:
        study, _ = make_phantom("liver", snr=50, n_slices=n_slices, slice_thickness_mm=4.0)
        write_bids(study, Path(folder) / "simulated")
        del study
        for _ in range(repeats):
            for method in methods:
                command = [sys.executable, __file__, "--child", str(Path(folder) / "simulated"), method]
                answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                turns[method].append(json.loads(answer))
    rows = {}
    for method, measured in turns.items():
        seconds = [turn["seconds"] for turn in measured]
        rows[method] = {
            "n_slices": n_slices,
            "n_tissue_voxels": measured[0]["n_tissue_voxels"],
            "median_seconds": round(statistics.median(seconds), 3),
            "median_seconds_a_slice": round(statistics.median(seconds) / n_slices, 4),
            "peak_mib": round(max(turn["peak_mib"] for turn in measured), 1),
        }
        if "graph_cut" in turns:
            rows[method]["ratio_to_graph_cut"] = _ratio(seconds, [turn["seconds"] for turn in turns["graph_cut"]])
        print(method, rows[method], file=sys.stderr)
    return rows


def time_one_slice(methods, repeats):
    """Median seconds of a 192² slice by each method and of the last step alone, in turns."""
    study, truth = make_phantom("liver", snr=50)
    basis = design_matrix(study.echo_times_s, study.field_strength_t, get_spectrum("hamilton_2011"))
    tissue = truth.body_mask[..., 0]
    signal, field = study.signal[..., 0][:, tissue], truth.field_map_hz[tissue, 0]
    undeclared = study.with_fields(precession=None, is_bipolar=None)
    last_step = "Gauss-Newton alone"
    todo = {method: lambda method=method: estimate(study, method=method) for method in methods}
    todo |= {f"{m}, undeclared": lambda m=m: estimate(undeclared, method=m) for m in methods[:1]}
    todo[last_step] = lambda: least_squares.gauss_newton(
        signal, study.echo_times_s, basis, field, np.full(field.size, 50.0)
    )
    turns = {name: [] for name in todo}
    for run in todo.values():
        run()
    for _ in range(repeats):
        for name, run in todo.items():
            started = time.perf_counter()
            run()
            turns[name].append(time.perf_counter() - started)
    rows = {}
    for name, seconds in turns.items():
        rows[name] = {"median_seconds": round(statistics.median(seconds), 3)}
        rows[name]["ratio_to_gauss_newton_alone"] = _ratio(seconds, turns[last_step])
        if "graph_cut" in turns:
            rows[name]["ratio_to_graph_cut"] = _ratio(seconds, turns["graph_cut"])
    return rows


def _ratio(seconds, others):
    return round(statistics.median(mine / other for mine, other in zip(seconds, others, strict=True)), 3)


def exponent(rows):
    """Slope of time over voxels in their logarithms, without the volume of one slice; None with fewer than two."""
    volumes = [row for row in rows if row["n_slices"] > 1]
    if len(volumes) < 2:
        return None
    points = ([np.log(row[name]) for row in volumes] for name in ("n_tissue_voxels", "median_seconds"))
    return round(float(np.polyfit(*points, 1)[0]), 3)


def what_must_be_reached(method, one, volumes):
    """What is asked of one method."""
    largest = volumes[-1]
    limit = {"ai_deal": 0.25, "ai_deal_one_shot": 0.1, "graph_cut": 1.5}.get(method)
    asked = {f"{largest['n_slices']} slices <= 1.5 GB": largest["peak_mib"] <= 1500}
    if limit:
        asked[f"one slice <= {limit:g} s"] = one[method]["median_seconds"] <= limit
        asked[f"a slice of {largest['n_slices']} <= {limit:g} s"] = largest["median_seconds_a_slice"] <= limit
    slope = exponent(volumes)
    if slope is not None:
        asked["linear in voxels (exponent <= 1.1)"] = slope <= 1.1
    return asked


def main():
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=OURS)
    parser.add_argument("--slices", type=int, nargs="+", default=[1, 5, 10, 20, LARGEST], help="of the volumes")
    parser.add_argument("--repeats", type=int, default=7, help="turns of the single slice")
    parser.add_argument("--volume-repeats", type=int, default=3, help="turns of the largest volume")
    parser.add_argument("--plot", type=Path, help="write a picture of cost against voxels to this PNG file")
    arguments = parser.parse_args()
    if arguments.child:
        measure_child(*arguments.child)
        return
    methods, said = methods_at_hand(arguments.methods)
    one = time_one_slice(methods, arguments.repeats)
    print(one, file=sys.stderr)
    counts = sorted(arguments.slices)
    repeats = [1] * (len(counts) - 1) + [arguments.volume_repeats]
    measured = [measure_volume(n, methods, r) for n, r in zip(counts, repeats, strict=True)]
    volumes = {method: [rows[method] for rows in measured] for method in methods}
    figures = {
        "data": "simulated livers, 192 x 192, six echoes, 1.5 T",
        "methods": said,
        "one_slice": one,
        "volumes": volumes,
        "exponent_of_time_against_voxels": {method: exponent(rows) for method, rows in volumes.items()},
        "must_reach": {method: what_must_be_reached(method, one, rows) for method, rows in volumes.items()},
    }
    if arguments.plot:
        _plot(volumes, arguments.plot)
    show("How long does PDFF take, and how much memory?", figures)


def _plot(volumes, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for method, rows in volumes.items():
        voxels = [row["n_tissue_voxels"] / 1e3 for row in rows]
        slope = exponent(rows)
        label = method if slope is None else f"{method}: time ~ voxels^{slope:.2f}"
        style = {"color": COLOURS.get(method, "#555555"), "label": label}
        axes[0].plot(voxels, [row["median_seconds"] for row in rows], "o-", **style)
        axes[1].plot(voxels, [row["peak_mib"] for row in rows], "o-", **style)
    n_slices = [row["n_slices"] for row in next(iter(volumes.values()))]
    axes[0].set(ylabel="time (s)", title="time (exponents leave one slice out)")
    axes[1].set(ylabel="peak memory (MiB)", title="memory of the whole process")
    for axis in axes:
        axis.set(xlabel="tissue voxels (thousands)", xlim=(0, None), ylim=(0, None))
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False, fontsize="small")
    figure.suptitle(f"PDFF of simulated livers, 192 x 192, six echoes, {n_slices[0]} to {n_slices[-1]} slices")
    figure.savefig(path, dpi=130, metadata={"Software": None})


if __name__ == "__main__":
    main()
