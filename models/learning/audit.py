"""What is wrong with an image cohort before anything is trained on it: overlaps, copies and shortcuts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from ..errors import UnsuitableInputError
from .audit_report import ALPHA, N_SHOWN, AuditReport, AuditSample, CopyPair, Finding
from .perceptual_hash import duplicate_groups, hamming_distance, perceptual_hash
from .shortcuts import MARGIN_FEATURES, MIN_PATIENTS_A_LABEL, association_p_value, margin_features, shortcut_test


def audit(samples: Sequence[AuditSample], *, seed: int = 0, n_permutations: int = 200) -> AuditReport:
    """Look for what makes results on a cohort better than they are.

    Patients in two parts; equal files; copies under two patient ids or in two parts; a label that can be predicted
    from margin, image size, source and simulation. The order of the samples does not matter.

    Args:
        samples: The cohort's images.
        seed: Of folds and permutations.
        n_permutations: Of labels over patients; at least 99, to reach p = 0.01.
    Raises:
        UnsuitableInputError: a seed below 0, no image, one without patient, a name given twice, a picture that is not
            grey.
    """
    samples = sorted(samples, key=lambda sample: sample.name)
    _check(samples, seed, n_permutations)
    hashes, margins, sizes = _read(samples)
    groups = duplicate_groups(hashes)
    findings = [*_overlaps(samples), *_leaks(samples), *_byte_duplicates(samples), *_copies(samples, groups)]
    findings += _split_confounding(samples, seed, n_permutations)
    shortcut, n_labelled, more = _shortcuts(samples, margins, sizes, seed, n_permutations)
    return AuditReport(
        findings=(*findings, *more),
        n_images=len(samples),
        n_patients=len({sample.patient_id for sample in samples}),
        n_labelled_patients=n_labelled,
        shortcut_auc=shortcut.auc if shortcut else None,
        shortcut_p_value=shortcut.p_value if shortcut else None,
        seed=seed,
        n_permutations=n_permutations,
        pairs=tuple(_pairs(samples, hashes, groups)),
    )


def _check(samples, seed, n_permutations):
    if seed < 0:
        raise UnsuitableInputError(f"An audit needs a seed from 0; found {seed}. Give another.")
    if not samples:
        raise UnsuitableInputError("An audit needs images; the cohort has none. Check the folder.")
    if n_permutations * ALPHA < 0.99:
        raise UnsuitableInputError(
            f"An audit needs at least 99 permutations to reach p = {ALPHA:g}; found {n_permutations}. Ask for more."
        )
    missing = [sample.name for sample in samples if not str(sample.patient_id or "").strip()]
    if missing:
        raise UnsuitableInputError(
            f"An audit needs the patient of every image; {_listed(missing)} have none. Enter their patient ids."
        )
    twice = sorted({one.name for one, other in zip(samples, samples[1:], strict=False) if one.name == other.name})
    if twice:
        raise UnsuitableInputError(
            f"An audit needs a name of its own for every image; found twice: {_listed(twice)}. Rename them."
        )


def _read(samples):
    hashes, margins, sizes = [], [], []
    for sample in samples:
        try:
            image = sample.image()
            if image.ndim != 2 or image.dtype != np.uint8:
                raise UnsuitableInputError(
                    f"An audit needs grey images of rows and columns, uint8; found shape {image.shape}, {image.dtype}. "
                    "Convert it."
                )
            tissue = None if sample.tissue is None else sample.tissue(image)
            hashes.append(perceptual_hash(image, tissue))
        except UnsuitableInputError as error:
            raise UnsuitableInputError(f"Image '{sample.name}': {error}") from error
        margins.append(None if tissue is None else margin_features(image, tissue))
        sizes.append(image.shape)
    return hashes, margins, np.array(sizes, dtype=float)


def _overlaps(samples):
    parts = defaultdict(set)
    for sample in samples:
        if sample.part is not None:
            parts[sample.patient_id].add(sample.part)
    shared = sorted(patient for patient, names in parts.items() if len(names) > 1)
    if shared:
        yield Finding(
            "patient_overlap",
            "error",
            f"{len(shared)} patient(s) are in more than one part: {_listed(shared)}. Split by patient.",
            tuple(shared),
        )


def _leaks(samples):
    """Generators that saw a patient of a part that must not be learnt from, or of another part than their own."""
    patients_of = defaultdict(set)
    for sample in samples:
        if not sample.is_generated:
            patients_of[sample.part].add((sample.patient_id, sample.is_held_out))
    sets = {(one.part, one.source, one.training_patients) for one in samples if one.is_generated}
    for part, source, seen in sorted(sets, key=str):
        others = {p for name, known in patients_of.items() if name != part for p, held_out in known if held_out}
        if part in patients_of:
            others |= {p for name, known in patients_of.items() if name not in (part, None) for p, _ in known}
        shared = sorted(others & set(seen))
        if shared:
            yield Finding(
                "generator_saw_held_out",
                "error",
                f"The generator of the images '{source}'{f' in {part}' if part else ''} was trained on {len(shared)} "
                f"patient(s) of another part: {_listed(shared)}. Train one on this part only.",
                tuple(shared),
            )


def _split_confounding(samples, seed, n_permutations):
    """Generated images that are tested on, and parts that can be told from where their images come from."""
    made = [one for one in samples if one.is_generated and one.is_held_out]
    if made:
        yield Finding(
            "generated_in_held_out",
            "error",
            f"{len(made)} generated image(s) are in a part that is tested on: {_listed(_names(made))}. A result on "
            "them is one on the generator; test on real images only.",
            _names(made),
        )
    one_each = {(one.patient_id, one.part): one for one in samples if one.part is not None and not one.is_generated}
    names = np.array([part for _, part in one_each])
    parts = sorted({part for _, part in one_each})
    if len(parts) < 2 or not any(one.is_held_out for one in one_each.values()):
        return
    for words, severity, groups in (
        ("being simulated", "error", ["simulated" if s.is_simulated else "real" for s in one_each.values()]),
        ("the source", "warning", ["not known" if s.source is None else s.source for s in one_each.values()]),
    ):
        p_values = [
            association_p_value(groups, names == part, seed=seed, n_permutations=n_permutations) for part in parts
        ]
        p_value = min(1.0, min(p_values) * len(parts))
        if p_value <= ALPHA:
            yield Finding(
                "split_confounding",
                severity,
                f"The part goes with {words}: p = {p_value:.2g} over {len(names)} patients, most in "
                f"'{parts[int(np.argmin(p_values))]}'. The parts differ in more than their patients: deal patients of "
                "each source to every part, or say that the test is of another source.",
                tuple(sorted(set(groups))),
            )


def _pairs(samples, hashes, groups):
    """The first of each group with each of the others, where that is a finding; then equal files."""
    seen = set()
    same_files = defaultdict(list)
    for i, sample in enumerate(samples):
        if sample.sha256 is not None:
            same_files[sample.sha256].append(i)
    for group in (*groups, *same_files.values()):
        for i, j in ((group[0], other) for other in group[1:]):
            one, other = samples[i], samples[j]
            is_same = one.sha256 is not None and one.sha256 == other.sha256
            is_apart = one.patient_id != other.patient_id or len(_parts([one, other])) > 1
            if (is_same or is_apart) and (i, j) not in seen:
                seen.add((i, j))
                correlation = float(hashes[i].detail @ hashes[j].detail)
                distance = hamming_distance(hashes[i], hashes[j])
                yield CopyPair(one.name, other.name, distance, round(correlation, 4), is_same)


def _byte_duplicates(samples):
    files = defaultdict(list)
    for sample in samples:
        if sample.sha256 is not None:
            files[sample.sha256].append(sample)
    for same in files.values():
        if len(same) > 1:
            across = len({one.patient_id for one in same}) > 1 or len(_parts(same)) > 1
            yield Finding(
                "byte_duplicates",
                "error" if across else "warning",
                f"{len(same)} images are the same bytes{_across(same)}: {_listed(_names(same))}. Keep one.",
                _names(same),
            )


def _copies(samples, groups):
    by_patients = defaultdict(list)
    for group in groups:
        same = [samples[i] for i in group]
        n_generated = sum(one.is_generated for one in same)
        if 0 < n_generated < len(same):
            yield Finding(
                "memorised_copies",
                "error",
                f"{n_generated} generated image(s) are copies of {len(same) - n_generated} real one(s){_across(same)}: "
                f"{_listed(_names(same))}. Leave them out; the generator has learnt images by heart.",
                _names(same),
            )
            same = [one for one in same if not one.is_generated]
        elif n_generated:
            yield Finding(
                "generated_repeats",
                "warning",
                f"A generator made {len(same)} images that are copies of one another{_across(same)}: "
                f"{_listed(_names(same))}. Keep one; with many, the generator has collapsed.",
                _names(same),
            )
            continue
        if len({one.patient_id for one in same}) > 1:
            by_patients[tuple(sorted({one.patient_id for one in same}))] += same
        elif len(_parts(same)) > 1:
            yield Finding(
                "copies_across_parts",
                "error",
                f"{len(same)} images are copies of one another{_across(same)}: {_listed(_names(same))}. Keep them in "
                "one part.",
                _names(same),
            )
    for patients, same in by_patients.items():
        labels = {one.label for one in same} - {None}
        contradiction = " Their labels contradict each other." if len(labels) > 1 else ""
        yield Finding(
            "same_patient_two_ids",
            "error",
            f"The same patient seems to have {len(patients)} ids, {_listed(patients)}: {len(same)} images are copies "
            f"of one another{_across(same)}.{contradiction} Give them one patient id.",
            _names(same),
        )


def _shortcuts(samples, margins, sizes, seed, n_permutations):
    rows = defaultdict(list)
    for i, sample in enumerate(samples):
        if sample.label is not None:
            rows[sample.patient_id].append(i)
    labels_of = {patient: {bool(samples[i].label) for i in found} for patient, found in rows.items()}
    patients = sorted(patient for patient, labels in labels_of.items() if len(labels) == 1)
    labels = np.array([labels_of[patient] == {True} for patient in patients], dtype=bool)
    findings = []
    if len(patients) < len(rows):
        mixed = sorted(set(rows) - set(patients))
        sentence = f"{len(mixed)} patient(s) have both answers and are left out of the test of shortcuts: "
        findings.append(Finding("not_examined", "warning", f"{sentence}{_listed(mixed)}. Check them.", tuple(mixed)))
    fewest = int(min(labels.sum(), (~labels).sum()))
    if fewest < MIN_PATIENTS_A_LABEL:
        sentence = (
            f"Shortcuts need {MIN_PATIENTS_A_LABEL} patients of each answer; the rarer one here has {fewest}. They "
            "were not tested."
        )
        return None, len(patients), [*findings, Finding("not_examined", "warning", sentence)]
    sources = ["" if sample.source is None else str(sample.source) for sample in samples]
    kinds = sorted(set(sources))
    features = [sizes, np.array([[sample.is_simulated] for sample in samples], dtype=float)]
    names = ["rows", "columns", "is simulated"]
    if len(kinds) > 1:
        features.append(np.array([[source == kind for kind in kinds] for source in sources], dtype=float))
        names += [f"source {kind or 'not known'}" for kind in kinds]
    if all(margin is not None for margin in margins):
        features.append(np.stack(margins))
        names += MARGIN_FEATURES
    else:
        sentence = "The margin was not examined: the tissue is not known in every image. Give its mask."
        findings.append(Finding("not_examined", "warning", sentence))
    features = np.concatenate(features, axis=1)
    means = np.stack([features[rows[patient]].mean(axis=0) for patient in patients])
    shortcut = shortcut_test(means, labels, seed=seed, n_permutations=n_permutations)
    if shortcut.p_value <= ALPHA:
        order = [i for i in np.argsort(-np.abs(shortcut.weights), kind="stable") if shortcut.weights[i]][:N_SHOWN]
        members = tuple(names[i] for i in order)
        sentence = (
            f"The answer can be predicted from what is not tissue: AUC {shortcut.auc:.2f} over {len(patients)} "
            f"patients left out in turn, p = {shortcut.p_value:.3f}, most by {_listed(members, 3)}. Mask the margin, "
            "or balance the cohort."
        )
        findings.append(Finding("shortcut", "error", sentence, members))
    for kind, values, words in (
        ("source_confounding", sources, "The answer goes with the source"),
        ("simulation_confounding", [str(s.is_simulated) for s in samples], "The answer goes with being simulated"),
    ):
        groups = [" + ".join(sorted({values[i] for i in rows[patient]})) for patient in patients]
        p_value = association_p_value(groups, labels, seed=seed, n_permutations=n_permutations)
        if p_value <= ALPHA:
            sentence = f"{words}: p = {p_value:.2g} over {len(patients)} patients. Balance the answers."
            findings.append(Finding(kind, "error", sentence, tuple(sorted(set(groups)))))
    return shortcut, len(patients), findings


def _parts(samples):
    return {sample.part for sample in samples if sample.part is not None}


def _names(samples):
    return tuple(sorted(sample.name for sample in samples))


def _across(samples):
    parts = sorted(_parts(samples))
    return f" across the parts {', '.join(parts)}" if len(parts) > 1 else ""


def _listed(names: Iterable[str], n_shown: int = N_SHOWN) -> str:
    names = list(names)
    more = f" and {len(names) - n_shown} more" if len(names) > n_shown else ""
    return ", ".join(f"'{name}'" for name in names[:n_shown]) + more
