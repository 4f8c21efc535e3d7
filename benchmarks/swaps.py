"""Does PDFF ever swap water and fat, for 3 to 12 echoes of even and uneven spacing at 1.5 and 3 T, and does it know?

Simulated livers, below and in the dome, at SNR 20 and 50. A body voxel is *swapped* if its field differs from the truth
by more than 1 ppm (modulo 1/ΔTE) and its PDFF by more than 25 points; *masked* if it has no answer. Intervals are 95 %
bootstrap over seeds, which are patients. The AUROC is that of the stated swap probability for being swapped, every
swapped voxel against every fiftieth other. AI-DEAL is run with its fallback and without.

The sign of precession and the odd/even phase are looked for with neither declared, at SNR 20: every second seed stores
the conjugate, and every second pair of seeds has a phase of 0.5 rad on its even echoes where echoes are four or more.
"""

from __future__ import annotations

import argparse

import numpy as np
from common import show
from side_by_side import OURS, WITHOUT_FALLBACK, answer, in_processes, judge, methods_at_hand

from liver_models.learning.calibration import auroc
from liver_models.learning.intervals import bootstrap_interval
from liver_models.mri.acquisition import MIN_BIPOLAR_ECHOES
from liver_models.mri.declared_acquisition import resolve_acquisition
from liver_models.mri.fat_spectra import get_spectrum
from liver_models.mri.field_candidates import assumed_r2_star
from liver_models.mri.pdff_options import PdffOptions
from liver_models.mri.phantom import make_phantom
from liver_models.mri.signal_model import design_matrix

PROTOCOLS = {
    "1.5 T, 3 echoes": (1.5, (1.3, 3.4, 5.5)),
    "1.5 T, 4 echoes": (1.5, (1.74, 4.82, 7.9, 10.98)),
    "1.5 T, 5 echoes, uneven": (1.5, (1.2, 2.9, 4.8, 7.6, 9.6)),
    "1.5 T, 6 echoes": (1.5, (1.3, 3.4, 5.5, 7.6, 9.7, 11.8)),
    "1.5 T, 6 echoes, uneven": (1.5, (1.2, 3.1, 5.5, 7.0, 9.8, 12.1)),
    "1.5 T, 8 echoes": (1.5, (1.2, 2.8, 4.4, 6.0, 7.6, 9.2, 10.8, 12.4)),
    "1.5 T, 12 echoes": (1.5, (1.3, 2.7, 4.1, 5.5, 6.9, 8.3, 9.7, 11.1, 12.5, 13.9, 15.3, 16.7)),
    "3 T, 3 echoes": (3.0, (1.2, 2.2, 3.2)),
    "3 T, 4 echoes, uneven": (3.0, (1.1, 2.2, 3.7, 4.9)),
    "3 T, 5 echoes": (3.0, (1.1, 2.6, 4.1, 5.6, 7.1)),
    "3 T, 6 echoes": (3.0, (1.2, 2.2, 3.2, 4.2, 5.2, 6.2)),
    "3 T, 6 echoes, uneven": (3.0, (1.1, 2.0, 3.3, 4.1, 5.4, 6.2)),
    "3 T, 8 echoes, uneven": (3.0, (1.1, 2.0, 3.1, 3.9, 5.1, 5.9, 7.2, 8.0)),
    "3 T, 12 echoes": (3.0, (1.2, 2.2, 3.2, 4.2, 5.2, 6.2, 7.2, 8.2, 9.2, 10.2, 11.2, 12.2)),
}
"""Name -> field strength in tesla, echo times in ms."""
METHODS = (OURS[0], WITHOUT_FALLBACK, *OURS[1:])
UNDECLARED_AT_SNR = 20.0
BIPOLAR_PHASE_RAD = 0.5
THINNED = 50
"""One voxel in so many of those that are not swapped is kept for the AUROC."""
N_RESAMPLES = {"counts": 2000, "auroc": 300}


def measure(job):
    """Method -> counts and swap probabilities of one slice; "undeclared" -> what was found there."""
    protocol, dome, snr, seed, methods = job
    b0, echo_times_ms = PROTOCOLS[protocol]
    scan = {"snr": snr, "field_strength_t": b0, "echo_times_s": np.array(echo_times_ms) / 1e3}
    study, truth = make_phantom("liver", dome=dome, seed=seed, **scan)
    found = {method: _measure_method(method, study, truth) for method in methods}
    if snr == UNDECLARED_AT_SNR:
        found["undeclared"] = _find_undeclared(study, seed)
    return found


def _measure_method(method, study, truth):
    maps = answer(method, study)
    judged = judge(maps, study, truth)
    body, swapped = truth.body_mask, judged.swapped
    right = np.flatnonzero(body & judged.known & ~swapped)[::THINNED]
    probability = np.concatenate([maps.swap_probability[swapped], maps.swap_probability.ravel()[right]])
    return {
        "body": int(body.sum()),
        "swapped": int(swapped.sum()),
        "masked": int((body & ~judged.known).sum()),
        "fallback_fraction": maps.settings.get("fallback_fraction"),
        "probability": probability,
        "is_swapped": np.arange(probability.size) < swapped.sum(),
    }


def _find_undeclared(study, seed):
    """What is found of a study that declares neither its sign nor its readout."""
    sign, is_bipolar = (1, -1)[seed % 2], seed // 2 % 2 == 1 and study.echo_times_s.size >= MIN_BIPOLAR_ECHOES
    signal = study.signal.copy()
    if is_bipolar:
        signal[1::2] *= np.exp(1j * np.float32(BIPOLAR_PHASE_RAD))
    signal = signal if sign == 1 else signal.conj()
    bare = study.with_fields(signal=signal, precession=None, is_bipolar=None)
    basis = design_matrix(bare.echo_times_s, bare.field_strength_t, get_spectrum(PdffOptions().spectrum))
    fixed = assumed_r2_star(bare.echo_times_s, bare.field_strength_t)
    _, settings, _ = resolve_acquisition(bare, basis, PdffOptions(), fixed)
    precession = settings["precession"]
    is_right = "found" if precession["sign"] == sign else "wrong"
    return {
        "sign": "undecided" if precession["basis"] == "undecided" else is_right,
        "is_bipolar": is_bipolar,
        "is_phase_found": "odd_even_phase" in settings,
    }


def percent_of_body(slices, *what):
    """Share of the body voxels that are "swapped", "masked" or both, percent."""
    return _percent(_counts(slices, what))


def figures_of(slices, seeds):
    """Figures of one method over slices, each of a seed; JSON-ready."""
    fallback = [s["fallback_fraction"] for s in slices]
    return {
        "n_slices": len(slices),
        "body_voxels": sum(s["body"] for s in slices),
        "swapped_voxels": sum(s["swapped"] for s in slices),
        "swapped_percent": percent_of_body(slices, "swapped"),
        "swapped_percent_interval": _percent_interval(slices, seeds, "swapped"),
        "masked_percent": percent_of_body(slices, "masked"),
        "swapped_or_masked_percent": percent_of_body(slices, "swapped", "masked"),
        "swapped_or_masked_percent_interval": _percent_interval(slices, seeds, "swapped", "masked"),
        "decided_by_fallback_percent": None if None in fallback else round(100 * float(np.mean(fallback)), 3),
    }


def _counts(slices, what):
    return np.array([[sum(s[name] for name in what), s["body"]] for s in slices], float)


def _percent(rows):
    return round(100 * float(rows[:, 0].sum() / rows[:, 1].sum()), 5)


def _percent_interval(slices, seeds, *what):
    return _rounded(bootstrap_interval(_counts(slices, what), _percent, seeds, n_resamples=N_RESAMPLES["counts"]), 5)


def auroc_of(slices, seeds):
    """AUROC of the swap probability, with its interval; None without a swap or a probability."""
    score, is_swapped = (np.concatenate([s[name] for s in slices]) for name in ("probability", "is_swapped"))
    group = np.repeat(seeds, [s["probability"].size for s in slices])
    known = np.isfinite(score)
    rows, group = np.stack([score, is_swapped], axis=1)[known], group[known]
    if not rows.size or rows[:, 1].min() == rows[:, 1].max():
        return {"auroc": None, "interval": None}
    interval = bootstrap_interval(rows, lambda r: auroc(r[:, 0], r[:, 1]), group, n_resamples=N_RESAMPLES["auroc"])
    return {"auroc": round(auroc(rows[:, 0], rows[:, 1]), 4), "interval": _rounded(interval, 4)}


def _rounded(bounds, digits):
    return [round(bound, digits) for bound in bounds] if np.isfinite(bounds).all() else None


def undeclared_row(found):
    """Counts of what was found where nothing was declared."""
    signs = [f["sign"] for f in found]
    phases = {True: [f["is_phase_found"] for f in found if f["is_bipolar"]]}
    phases[False] = [f["is_phase_found"] for f in found if not f["is_bipolar"]]
    return {
        "n_slices": len(found),
        **{f"sign_{name}": signs.count(name) for name in ("found", "undecided", "wrong")},
        "odd_even_phase_found": f"{sum(phases[True])} of {len(phases[True])}",
        "odd_even_phase_found_where_there_is_none": f"{sum(phases[False])} of {len(phases[False])}",
    }


def main():
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--first-seed", type=int, default=1000, help="tuning used seeds 100 to 111")
    parser.add_argument("--snr", type=float, nargs="+", default=[20.0, 50.0])
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS), metavar="PROTOCOL")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    methods, said = methods_at_hand(arguments.methods)
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    jobs = [
        (protocol, dome, snr, seed, methods)
        for protocol in arguments.protocols
        for dome in (False, True)
        for snr in arguments.snr
        for seed in seeds
    ]
    name = "{0[0]}, dome {0[1]}, SNR {0[2]:g}, seed {0[3]}".format
    found = list(in_processes(measure, jobs, arguments.processes, name))

    def parts(method, is_part=lambda job: True):
        chosen = [(f[method], job[3]) for job, f in zip(jobs, found, strict=True) if method in f and is_part(job)]
        return tuple(zip(*chosen, strict=True)) if chosen else ((), ())

    groups = {
        **{f"{b0:g} T": lambda job, b0=b0: PROTOCOLS[job[0]][0] == b0 for b0 in (1.5, 3.0)},
        "below the dome": lambda job: not job[1],
        "dome": lambda job: job[1],
        **{f"SNR {snr:g}": lambda job, snr=snr: job[2] == snr for snr in arguments.snr},
    }
    summary = {}
    for method in methods:
        summary[method] = figures_of(*parts(method)) | {"swap_probability": auroc_of(*parts(method))}
        summary[method]["swapped_percent_of"] = {
            what: percent_of_body(parts(method, is_part)[0], "swapped")
            for what, is_part in groups.items()
            if parts(method, is_part)[0]
        }
    if "ai_deal" in methods:
        ours = summary["ai_deal"]
        area = ours["swap_probability"]["auroc"]
        ours["must_reach"] = {
            "swapped <= 0.01 % of the body": ours["swapped_percent"] <= 0.01,
            **{
                f"swapped <= 0.01 % of the body, {what}": percent <= 0.01
                for what, percent in ours["swapped_percent_of"].items()
                if what in ("1.5 T", "3 T", "dome")
            },
            "AUROC of the swap probability >= 0.95": None if area is None else area >= 0.95,
        }
    show(
        "Does PDFF swap water and fat?",
        {
            "methods": said,
            "summary": summary,
            "undeclared": undeclared_row(parts("undeclared")[0]),
            "protocols": [
                {
                    "data": "simulated livers",
                    "protocol": protocol,
                    "echo_times_ms": PROTOCOLS[protocol][1],
                    "methods": {m: figures_of(*parts(m, lambda job, p=protocol: job[0] == p)) for m in methods},
                    "undeclared": undeclared_row(parts("undeclared", lambda job, p=protocol: job[0] == p)[0]),
                }
                for protocol in arguments.protocols
            ],
        },
    )


if __name__ == "__main__":
    main()
