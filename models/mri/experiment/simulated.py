"""The simulated cases of an experiment: livers, vials in a noise series, echo protocols, and the critical regions."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from ..phantom import default_echo_times_s, make_phantom
from .cases import ExperimentCase, LoadedCase
from .options import LIVER_SNR, MAX_LIVER_PDFF_PERCENT, SIMULATED, TABLE_SNRS, ExperimentOptions, seed_of
from .regions import lobe_squares, vial_squares

LIVERS, VIALS, PROTOCOL, CRITICAL = range(4)
"""First word of the seeds of each part."""
PROTOCOL_PDFF_PERCENT = 15.0
"""Fat of the liver on which the echo protocols are compared."""
CRITICAL_PDFF_PERCENT = 12.0
"""Fat of the liver whose dome and lower end are shown."""
CRITICAL_DISTANCE_MM = 130.0
"""Distance of the dome's slice from that of the lower abdomen, mm."""


def simulated_cases(options: ExperimentOptions) -> list[ExperimentCase]:
    """Every simulated case that the options ask for, in a fixed order; none when ``n_simulated`` is 0."""
    if not options.n_simulated:
        return []
    cases = _livers(options) + _vials(options) + _protocols(options)
    return cases + (_critical(options) if options.has_critical_regions else [])


def _case(name, part, arguments, load, about=None, is_pictured=False) -> ExperimentCase:
    field_strength_t = arguments.get("field_strength_t", 1.5)
    times_ms = arguments.get("echo_times_ms") or [
        round(float(t) * 1e3, 4) for t in default_echo_times_s(field_strength_t)
    ]
    return ExperimentCase(
        name=name,
        part=part,
        data=SIMULATED,
        patient=name,
        identity={"phantom": arguments},
        load=load,
        about={"field_strength_t": field_strength_t, "echo_times_ms": times_ms, "n_slices": 1, "snr": arguments["snr"]}
        | (about or {}),
        is_pictured=is_pictured,
    )


def _livers(options: ExperimentOptions) -> list[ExperimentCase]:
    """Half of them domes; 1.5 and 3 T in turn; fat spread evenly, in random order."""
    n = options.n_simulated
    order = np.random.default_rng([options.seed, LIVERS]).permutation(n)
    percents = MAX_LIVER_PDFF_PERCENT * order / max(n - 1, 1)
    cases = []
    for k, percent in enumerate(percents):
        arguments = {
            "kind": "liver",
            "snr": LIVER_SNR,
            "field_strength_t": (1.5, 3.0)[k // 2 % 2],
            "dome": bool(k % 2),
            "pdff_percent": round(float(percent), 3),
            "seed": seed_of(options.seed, LIVERS, k),
            "size": options.size,
        }
        dome = "-dome" if k % 2 else ""
        name = f"simulated-liver-{k + 1:03d}{dome}"
        cases.append(_case(name, "livers", arguments, partial(_load_liver, arguments), is_pictured=k == 0))
    return cases


def _vials(options: ExperimentOptions) -> list[ExperimentCase]:
    cases = []
    for snr in options.vial_snrs:
        arguments = {"kind": "vials", "snr": snr, "seed": seed_of(options.seed, VIALS), "size": options.size}
        name = "simulated-vials-" + ("no-noise" if snr is None else f"snr-{snr:g}")
        load = partial(_load_vials, arguments)
        cases.append(_case(name, "vials", arguments, load, is_pictured=snr == TABLE_SNRS[-1]))
    return cases


def _protocols(options: ExperimentOptions) -> list[ExperimentCase]:
    """The same liver, sampled at other echo times."""
    cases = []
    for protocol in options.protocols:
        arguments = {
            "kind": "liver",
            "snr": LIVER_SNR,
            "field_strength_t": protocol.field_strength_t,
            "echo_times_ms": list(protocol.echo_times_ms),
            "pdff_percent": PROTOCOL_PDFF_PERCENT,
            "seed": seed_of(options.seed, PROTOCOL),
            "size": options.size,
        }
        name = f"simulated-protocol-{protocol.name}"
        cases.append(_case(name, "protocols", arguments, partial(_load_liver, arguments), {"protocol": protocol.name}))
    return cases


def _critical(options: ExperimentOptions) -> list[ExperimentCase]:
    """Two distant slices of one abdomen, each a study of its own."""
    arguments = {
        "kind": "liver",
        "snr": LIVER_SNR,
        "field_strength_t": 3.0,
        "pdff_percent": CRITICAL_PDFF_PERCENT,
        "seed": seed_of(options.seed, CRITICAL),
        "size": options.size,
        "n_slices": 2,
        "slice_thickness_mm": CRITICAL_DISTANCE_MM,
    }
    return [
        _case(
            f"simulated-critical-{region}",
            "critical",
            arguments | {"slice": index},
            partial(_load_critical, arguments, index),
            {"region": title},
            is_pictured=True,
        )
        for index, region, title in ((1, "dome", "Liver dome"), (0, "lower-abdomen", "Lower abdomen"))
    ]


def _simulate(arguments: dict):
    given = dict(arguments)
    times_ms = given.pop("echo_times_ms", None)
    times_s = None if times_ms is None else np.array(times_ms) / 1e3
    return make_phantom(given.pop("kind"), echo_times_s=times_s, **given)


def _load_liver(arguments: dict) -> LoadedCase:
    study, truth = _simulate(arguments)
    return _with_lobes(study, truth)


def _with_lobes(study, truth) -> LoadedCase:
    pooled = {"liver": truth.liver_mask, "body": truth.body_mask}
    return LoadedCase(study, truth, lobe_squares(truth.liver_mask, study.affine), pooled)


def _load_vials(arguments: dict) -> LoadedCase:
    study, truth = _simulate(arguments)
    everything = np.logical_or.reduce(list(truth.rois.values()))
    pooled = {"all_vials": everything, "body": truth.body_mask}
    return LoadedCase(study, truth, vial_squares(truth.rois, study.affine), pooled)


def _load_critical(arguments: dict, index: int) -> LoadedCase:
    study, truth = _simulate(arguments)
    keep = slice(index, index + 1)

    def cut(values):
        return values[..., keep] if isinstance(values, np.ndarray) and values.ndim == 3 else values

    affine = study.affine.copy()
    affine[:3, 3] += index * affine[:3, 2]
    # The thickness of a slice is not their distance.
    affine[:3, 2] *= 6.0 / CRITICAL_DISTANCE_MM
    study = study.with_fields(
        signal=np.ascontiguousarray(study.signal[..., keep]), unusable_mask=cut(study.unusable_mask), affine=affine
    )
    truth = replace(truth, **{name: cut(value) for name, value in vars(truth).items()} | {"rois": {}})
    return _with_lobes(study, truth)
