"""Splits by patient: the only splits of the project."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import UnsuitableInputError


def split_by_patient(
    patient_ids: Sequence[str],
    fractions: dict[str, float],
    seed: int | Sequence[int],
    strata: Sequence[Any] | None = None,
) -> dict[str, np.ndarray]:
    """Divide cases into parts so that all cases of a patient are in one part.

    Patients are sorted, shuffled, lined up stratum by stratum and dealt out one by one to the part that lacks most.
    Each part therefore has its share of the patients to within one, and of each stratum to within two. Who is in which
    part depends on the patients, their strata and the seed, not on the order of the cases.

    Args:
        patient_ids: Patient of each case; compared as text.
        fractions: Part -> share of the patients; positive, adding up to 1.
        seed: Of the shuffling.
        strata: What to balance, one value a case, such as a grade; a patient counts as its most frequent value, the
            first as text if several are.
    Returns:
        Part -> increasing indices of its cases.
    Raises:
        UnsuitableInputError: a case without patient, fractions that are not shares, or a part without patients.
    """
    _check_fractions(fractions)
    _check_patients(patient_ids, strata)
    patients = [str(patient) for patient in patient_ids]
    part_of = _deal(_line_up(patients, strata, np.random.default_rng(seed)), fractions)
    parts = {
        name: np.array([i for i, patient in enumerate(patients) if part_of[patient] == name], dtype=np.intp)
        for name in fractions
    }
    empty = next((name for name, indices in parts.items() if not indices.size), None)
    if empty is not None:
        raise UnsuitableInputError(
            f"A split needs a patient in every part; with {len(part_of)} patients a fraction of {fractions[empty]:g} "
            f"leaves '{empty}' empty. Add patients or choose a larger fraction."
        )
    return parts


def cross_validation(
    patient_ids: Sequence[str], n_folds: int, seed: int, strata: Sequence[Any] | None = None
) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Folds by patient: every case is tested once, by a model that saw no case of its patient.

    Each fold has its share of the patients, and of each stratum, to within one. For nested validation, call it again
    with the training cases of one fold.

    Args:
        patient_ids: Patient of each case; compared as text.
        n_folds: 2 at least.
        seed: Of the shuffling.
        strata: What to balance, one value a case.
    Returns:
        For each fold the increasing indices of its training and of its test cases.
    Raises:
        UnsuitableInputError: fewer than two folds, a case without patient, or fewer patients in all, or of one stratum,
            than folds.
    """
    if n_folds < 2:
        raise UnsuitableInputError(f"Cross-validation needs 2 folds at least; found {n_folds}.")
    if strata is not None and len(strata) == len(patient_ids):
        members = {}
        for patient, stratum in zip(patient_ids, strata, strict=True):
            members.setdefault(str(stratum), set()).add(str(patient))
        scarce = min(members, key=lambda name: (len(members[name]), name), default=None)
        if scarce is not None and len(members[scarce]) < n_folds:
            raise UnsuitableInputError(
                f"{n_folds} folds need at least {n_folds} patients of each class; '{scarce}' has "
                f"{len(members[scarce])}. Add patients or take fewer folds."
            )
    if len({str(patient) for patient in patient_ids}) < n_folds:
        raise UnsuitableInputError(
            f"{n_folds} folds need at least {n_folds} patients; found {len({str(p) for p in patient_ids})}. Add "
            "patients or take fewer folds."
        )
    _check_patients(patient_ids, strata)
    patients = [str(patient) for patient in patient_ids]
    rng = np.random.default_rng(seed)
    # Dealt one by one, a stratum that lies together in the line differs by one patient at most between folds.
    line, start = _line_up(patients, strata, rng, starts_anywhere=False), int(rng.integers(n_folds))
    fold_of = {patient: (start + k) % n_folds for k, patient in enumerate(line)}
    folds = np.array([fold_of[patient] for patient in patients])
    return tuple((np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in range(n_folds))


def _check_fractions(fractions):
    shares = list(fractions.values())
    if not all(share > 0 for share in shares) or abs(sum(shares) - 1) > 1e-6:
        found = ", ".join(f"{name} {share:g}" for name, share in fractions.items()) or "none"
        raise UnsuitableInputError(
            f"The fractions of a split need to be positive and add up to 1; found {found}. Change them."
        )


def _check_patients(patient_ids, strata):
    n_missing = sum(_is_missing(patient) for patient in patient_ids)
    if n_missing:
        raise UnsuitableInputError(
            f"A split needs the patient of every case; {n_missing} of {len(patient_ids)} cases have none. "
            "Enter a patient id in each case."
        )
    if strata is not None and len(strata) != len(patient_ids):
        raise ValueError(f"Strata need one value a case; found {len(strata)} for {len(patient_ids)} cases.")


def _is_missing(patient):
    # NaN, which tables hold where an entry is missing, differs from itself.
    return patient is None or patient != patient or not str(patient).strip()


def _line_up(patients, strata, rng, starts_anywhere=True):
    """Every patient once: strata in random order, patients of a stratum in random order."""
    values = {patient: Counter() for patient in sorted(set(patients))}
    for i, patient in enumerate(patients):
        values[patient][str(strata[i]) if strata is not None else ""] += 1
    by_stratum = {}
    for patient, counts in values.items():
        stratum = min(counts, key=lambda value: (-counts[value], value))
        by_stratum.setdefault(stratum, []).append(patient)
    names = sorted(by_stratum)
    line = [
        by_stratum[names[j]][k] for j in rng.permutation(len(names)) for k in rng.permutation(len(by_stratum[names[j]]))
    ]
    # From a random place on, round the end: else small strata would lie where the same part is dealt time and again.
    start = int(rng.integers(len(line))) if line and starts_anywhere else 0
    return line[start:] + line[:start]


def _deal(line, fractions):
    """Patient -> part; any stretch of the line is divided nearly as the whole."""
    counts = dict.fromkeys(fractions, 0)
    part_of = {}
    for n_dealt, patient in enumerate(line, start=1):
        part = max(fractions, key=lambda name: fractions[name] * n_dealt - counts[name])
        counts[part] += 1
        part_of[patient] = part
    return part_of
