"""One unit: one method on one case. It is computed, kept as a small JSON and NPZ pair, and read again when resumed."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from ... import __version__
from ...errors import UnsuitableInputError
from ...io.json_records import JsonRecords
from ..maps import PdffMaps
from ..pdff import estimate
from .cases import ExperimentCase, LoadedCase, slices_to_keep

UNIT_SCHEMA = "liverlabel.experiment-unit.v1"
ESTIMATED, NOT_APPLICABLE = "estimated", "not_applicable"
"""What became of a unit: there are maps, or the method refused with a sentence."""
PLANES = ("pdff_percent", "pdff_std_percent", "swap_probability")
"""Maps of which every unit keeps its slices."""
PICTURED_PLANES = (*PLANES, "r2_star_per_s", "r2_star_std_per_s", "field_map_hz", "field_map_std_hz")
"""Maps of which a unit that is pictured keeps its slices."""
TRUTH_PLANES = ("pdff_percent", "r2_star_per_s", "field_map_hz")
"""Maps of the truth that are kept beside them."""
LARGEST_HALF = 6e4
"""Pictures are kept as 16-bit floats, whose range this is."""


@dataclass(frozen=True)
class RegionSample:
    """What one method says in one region; the voxels in a fixed order, NaN without an estimate."""

    name: str
    """Name of the region."""
    pdff_percent: np.ndarray
    """Shape (n_voxels,), percent."""
    pdff_std_percent: np.ndarray
    """Stated standard deviation, shape (n_voxels,), percentage points; NaN if the method states none."""
    truth_percent: np.ndarray | None
    """True PDFF, shape (n_voxels,); None where nobody knows."""
    r2_star_mean_per_s: float
    """Mean R2* of the voxels with an estimate, 1/s."""
    truth_r2_star_mean_per_s: float | None
    """True mean R2*; None where nobody knows."""


@dataclass(frozen=True)
class Unit:
    """One method on one case, estimated or refused."""

    case: ExperimentCase
    """The case, for its name, data and acquisition."""
    method: str
    """The method."""
    status: str
    """:data:`ESTIMATED` or :data:`NOT_APPLICABLE`."""
    reason: str | None = None
    """The sentence of the refusal."""
    warnings: tuple[str, ...] = ()
    """Sentences of the method."""
    regions: tuple[RegionSample, ...] = ()
    """The regions of interest."""
    pooled: tuple[RegionSample, ...] = ()
    """The larger regions: liver, body, all vials."""
    fallback_percent: float | None = None
    """Share of the tissue voxels where a fallback of the method decided; None if it has none."""
    planes: dict[str, np.ndarray] = field(default_factory=dict)
    """"<role>/<map>" or "<role>/truth_<map>" -> slice, shape (x, y), float32; roles as in :func:`slices_to_keep`."""
    geometry: dict = field(default_factory=dict)
    """JSON-ready: affine, shape and whether the orientation is known, for pictures."""

    def region(self, name: str) -> RegionSample | None:
        """The sample of a region or pooled region; None if the case has none of that name."""
        return next((sample for sample in (*self.regions, *self.pooled) if sample.name == name), None)


def code_digest(library: Path = Path(__file__).parents[2]) -> str:
    """SHA-256 of the estimators' source and of the weights shipped with it.

    A unit counts only for the very code and weights that made it, so that a resumed experiment never mixes two.

    Args:
        library: Folder of the package.
    """
    digest = hashlib.sha256(__version__.encode())
    for folder in (library / "mri", library / "pretrained"):
        for file in sorted(folder.glob("*")):
            if file.is_file():
                digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


class UnitStore:
    """The units of one experiment on disk: ``<case>__<method>.json`` and ``.npz``, each pair whole or not there."""

    def __init__(self, folder: Path, code_sha256: str):
        self.folder, self.code_sha256 = folder, code_sha256

    def load(self, case: ExperimentCase, method: str) -> Unit | None:
        """The unit, if it was stored for just this case, method and code; a refusal is always asked again."""
        found = self._records(case, method).load_with_arrays(f"{case.name}__{method}")
        if found is None:
            return None
        record, arrays = found
        return Unit(
            case=case,
            method=method,
            status=ESTIMATED,
            warnings=tuple(record["warnings"]),
            fallback_percent=record["fallback_percent"],
            regions=_samples(record["regions"], arrays, "region"),
            pooled=_samples(record["pooled"], arrays, "pooled"),
            planes={name[6:]: values.astype(np.float32) for name, values in arrays.items() if name[:6] == "plane/"},
            geometry=record["geometry"],
        )

    def save(self, unit: Unit) -> None:
        """Keep an estimated unit.

        Raises:
            UnsuitableInputError: the disk is full or the folder cannot be written.
        """
        arrays = {}
        for kind, samples in (("region", unit.regions), ("pooled", unit.pooled)):
            for n, sample in enumerate(samples):
                for name in ("pdff_percent", "pdff_std_percent", "truth_percent"):
                    if getattr(sample, name) is not None:
                        arrays[f"{kind}/{n}/{name}"] = getattr(sample, name)
        for name, values in unit.planes.items():
            arrays[f"plane/{name}"] = np.clip(values, -LARGEST_HALF, LARGEST_HALF).astype(np.float16)
        record = {
            "schema": UNIT_SCHEMA,
            "is_simulated": unit.case.data == "simulated",
            "case": unit.case.name,
            "method": unit.method,
            "warnings": list(unit.warnings),
            "fallback_percent": unit.fallback_percent,
            "regions": [_record(sample) for sample in unit.regions],
            "pooled": [_record(sample) for sample in unit.pooled],
            "geometry": unit.geometry,
        }
        self._records(unit.case, unit.method).save(f"{unit.case.name}__{unit.method}", record, arrays)

    def _records(self, case, method) -> JsonRecords:
        settings = {"case": case.identity, "is_pictured": case.is_pictured, "method": method}
        return JsonRecords(self.folder, settings | {"code_sha256": self.code_sha256})


def _record(sample: RegionSample) -> dict:
    values = {key: value for key, value in asdict(sample).items() if not isinstance(value, np.ndarray)}
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in values.items()}


def _samples(records, arrays, kind) -> tuple[RegionSample, ...]:
    samples = []
    for n, record in enumerate(records):
        rate = record["r2_star_mean_per_s"]
        samples.append(
            RegionSample(
                name=record["name"],
                pdff_percent=arrays[f"{kind}/{n}/pdff_percent"],
                pdff_std_percent=arrays[f"{kind}/{n}/pdff_std_percent"],
                truth_percent=arrays.get(f"{kind}/{n}/truth_percent"),
                r2_star_mean_per_s=float("nan") if rate is None else rate,
                truth_r2_star_mean_per_s=record["truth_r2_star_mean_per_s"],
            )
        )
    return tuple(samples)


def compute_unit(case: ExperimentCase, loaded: LoadedCase, method: str) -> Unit:
    """Run one method on one case.

    Args:
        case: What it is.
        loaded: Its images.
        method: One of :data:`~liver_models.mri.pdff.METHODS`.
    Returns:
        The unit; a method that refuses the study gives one that says so.
    """
    try:
        maps = estimate(loaded.study, method=method)
    except UnsuitableInputError as error:
        return Unit(case, method, NOT_APPLICABLE, reason=str(error))
    study, truth = loaded.study, loaded.truth
    planes = {}
    for role, z in slices_to_keep(loaded).items():
        for name in PICTURED_PLANES if case.is_pictured else PLANES:
            values = _map(maps, name)
            if np.isfinite(values).any():
                planes[f"{role}/{name}"] = values[:, :, z]
        if truth is not None:
            inside = truth.body_mask[:, :, z]
            for name in TRUTH_PLANES if case.is_pictured else TRUTH_PLANES[:1]:
                planes[f"{role}/truth_{name}"] = np.where(inside, getattr(truth, name)[:, :, z], np.nan)
    return Unit(
        case=case,
        method=method,
        status=ESTIMATED,
        warnings=tuple(maps.warnings),
        fallback_percent=100 * maps.settings["fallback_fraction"] if "fallback_fraction" in maps.settings else None,
        regions=tuple(_sample(name, mask, maps, truth) for name, mask in loaded.rois.items()),
        pooled=tuple(_sample(name, mask, maps, truth) for name, mask in loaded.pooled.items() if mask.any()),
        planes={name: values.astype(np.float32) for name, values in planes.items()},
        geometry={
            "affine": [[float(v) for v in row] for row in study.affine],
            "shape": [int(n) for n in study.signal.shape[1:]],
            "is_orientation_known": bool(study.is_orientation_known),
        },
    )


def _map(maps: PdffMaps, name: str) -> np.ndarray:
    """A map where it is valid, NaN elsewhere."""
    return np.where(maps.valid_mask, getattr(maps, name), np.nan)


def _sample(name: str, mask: np.ndarray, maps: PdffMaps, truth) -> RegionSample:
    pdff, std, rate = (_map(maps, key)[mask] for key in ("pdff_percent", "pdff_std_percent", "r2_star_per_s"))
    known = rate[np.isfinite(rate)].astype(np.float64)
    return RegionSample(
        name=name,
        pdff_percent=pdff.astype(np.float32),
        pdff_std_percent=std.astype(np.float32),
        truth_percent=None if truth is None else truth.pdff_percent[mask].astype(np.float32),
        r2_star_mean_per_s=float(known.mean()) if known.size else float("nan"),
        truth_r2_star_mean_per_s=None if truth is None else float(np.nanmean(truth.r2_star_per_s[mask])),
    )
