"""What an audit looks at, what it finds, and the report of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .perceptual_hash import MAX_DISTANCE, MIN_CORRELATION

ALPHA = 0.01
"""P value up to which a shortcut or an association is a finding."""
N_SHOWN = 5
"""Members that a sentence names."""


@dataclass(frozen=True)
class AuditSample:
    """One image of a cohort; its pixels are read when they are needed, and not kept."""

    name: str
    """Of the image; no two are the same."""
    patient_id: str
    """Of whom it is."""
    label: bool | None
    """The known answer; None: not known."""
    image: Callable[[], np.ndarray]
    """Gives grey levels, shape (rows, columns), uint8, with all that is burned in."""
    tissue: Callable[[np.ndarray], np.ndarray] | None = None
    """Gives the tissue of that image, same shape, bool; None: not known, and the margin is not examined."""
    sha256: str | None = None
    """Hex digest of the image's bytes; None: not known."""
    part: str | None = None
    """Of a split, such as train or test."""
    source: str | None = None
    """Scanner, hospital or data set."""
    is_simulated: bool = False
    """True when the image was computed."""
    is_generated: bool = False
    """True when a generator made it of nobody: its patient id is its own, and its copies are no patient's."""
    training_patients: tuple[str, ...] = ()
    """Whom the generator that made it was trained on."""
    is_held_out: bool = False
    """True when its part must not be learnt from."""


@dataclass(frozen=True)
class Finding:
    """One thing to mend or to know."""

    kind: str
    """patient_overlap, generator_saw_held_out, byte_duplicates, same_patient_two_ids, copies_across_parts,
    memorised_copies, generated_repeats, generated_in_held_out, split_confounding, shortcut, source_confounding,
    simulation_confounding or not_examined."""
    severity: str
    """error: results would be wrong; warning: look at it."""
    sentence: str
    """For the user: what was found and what to do."""
    members: tuple[str, ...] = ()
    """Names of images; for patient_overlap patients; for a shortcut its features, that of most weight first."""


@dataclass(frozen=True)
class CopyPair:
    """Two images that show the same thing although they should not."""

    first: str
    """Name of the one."""
    second: str
    """Name of the other."""
    distance_bits: int
    """Of 64 in which the hashes differ; two of a chain may differ in more than the threshold."""
    correlation: float
    """Of coarse structure, -1 to 1."""
    is_same_bytes: bool
    """Whether the files are equal."""


@dataclass(frozen=True)
class AuditReport:
    """All findings on a cohort."""

    findings: tuple[Finding, ...]
    """In a fixed order of kinds."""
    n_images: int
    """Images examined."""
    n_patients: int
    """Patients they are of."""
    n_labelled_patients: int
    """Patients with one answer, on whom shortcuts are tested."""
    shortcut_auc: float | None
    """Area under the ROC curve of the label predicted from what is not tissue; None: not tested."""
    shortcut_p_value: float | None
    """Of the permutation test; None: not tested."""
    seed: int
    """Of folds and permutations."""
    n_permutations: int
    """Of each permutation test."""
    pairs: tuple[CopyPair, ...] = ()
    """Of each group of copies that is a finding, its first image with each of the others."""

    def has_errors(self) -> bool:
        """Whether a finding is an error."""
        return any(finding.severity == "error" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values, with the thresholds that were used."""
        thresholds = {"alpha": ALPHA, "max_distance_bits": MAX_DISTANCE, "min_correlation": MIN_CORRELATION}
        values = asdict(self)
        values["findings"] = [{**one, "members": list(one["members"])} for one in values["findings"]]
        values["pairs"] = list(values["pairs"])
        return {"schema": "liverlabel.audit", "schema_version": 1, **values, "thresholds": thresholds}
