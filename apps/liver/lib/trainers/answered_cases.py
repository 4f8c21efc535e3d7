"""What trainings on readers' answers share: the cases that have one, who is held out, and the loss that is compared."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from liver_models.errors import UnsuitableInputError
from liver_models.io.case import CASE_SUFFIX
from liver_models.io.class_label import class_label_path

from ..verification import check_label

if TYPE_CHECKING:
    import numpy as np
    from liver_models.ultrasound.subject import UltrasoundSubject

METRIC = "negative log-likelihood of held-out patients"
"""What decides on publishing: patients that neither set of weights learnt from at this site."""
MIN_HELD_OUT = 4
"""Held-out subjects, both classes among them, without which nothing can be compared."""
ANSWERED = "stored cases with ultrasound and an answer"
ADVICE = "Answer some."


def read_answered(source: Path, task: str, field: str, **how: Any) -> UltrasoundSubject:
    """A case with its stored answer.

    Args:
        source: The case.
        task: Whose answer is needed.
        field: Of the subject, where it is.
        how: As :func:`liver_models.ultrasound.reading.read_subject` takes it.
    Raises:
        UnsuitableInputError: it cannot be read, has no answer, or that was damaged.
    """
    from liver_models.ultrasound.reading import read_subject

    check_label(class_label_path(source.parent, source.name.removesuffix(CASE_SUFFIX)))
    subject = read_subject(source, **how)
    if getattr(subject, field) is None:
        raise UnsuitableInputError(
            f"Training needs the answer of a case; '{source.name}' has no label under the tag final that answers "
            f"{task}. Store one."
        )
    return subject


def hold_out(
    patient_ids: Sequence[str], truth: Collection[bool], fraction: float, seed: int, what: str
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of those that are learnt from and of those that decide on publishing, by patient.

    Args:
        patient_ids: Of each subject.
        truth: Answer of each.
        fraction: Share of the patients that are held out.
        seed: Of the split; the same patients and answers give the same parts.
        what: The answer "yes" in the refusal's words, such as "with fibrotic NASH".
    Raises:
        UnsuitableInputError: too few, or one class, to compare anything with.
    """
    from liver_models.learning.splits import split_by_patient

    answers = [bool(one) for one in truth]
    parts = split_by_patient(patient_ids, {"training": 1 - fraction, "held out": fraction}, seed, answers)
    held_out = [answers[k] for k in parts["held out"]]
    if len(held_out) < MIN_HELD_OUT or all(held_out) or not any(held_out):
        raise UnsuitableInputError(
            f"Training holds patients out to decide on publishing, at least {MIN_HELD_OUT} of both classes; found "
            f"{sum(held_out)} {what} of {len(held_out)}. Label more cases."
        )
    return parts["training"], parts["held out"]


def log_loss(logits: np.ndarray, truth: np.ndarray) -> float:
    """Negative log-likelihood of answers, mean.

    Args:
        logits: Log-odds, shape (n,).
        truth: Shape (n,), bool.
    """
    import numpy as np

    return float(np.logaddexp(0, np.where(truth, -1, 1) * logits).mean())
