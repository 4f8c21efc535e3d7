"""Scores the cases of one task between requests, and says which to label next."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

from liver_models.errors import UnsuitableInputError

from ..datastore import LiverDatastore
from ..layout import ANSWER
from ..failures import ComputationError, ServerBusyError, StoreError
from ..published import PublishedWeights
from ..worker import Worker
from .book import ScoreBook
from .score_job import read_for_pdff, score_case

logger = logging.getLogger(__name__)

KIND_OF = {"liver_roi": "region", "pdff": "region"}
"""Task -> kind of label that it learns from; the others learn from answers."""
CONSIDERED = 512
"""Most scored cases that one choice looks at, the most uncertain first, and most labelled ones it keeps away from."""
BUSY_S = 1.0
"""Pause when the worker has too much to do, seconds."""
QUIET_S = 2.0
"""Scoring waits until no client has asked for anything for so long, seconds: a reader's clicks come one by one."""


class Chooser:
    """Which case of one task teaches most.

    Args:
        task: Its name.
        worker: The server's one; scoring waits for its turn like every request, one case at a time.
        published: The weights whose uncertainty counts.
        datastore: The studies.
    """

    def __init__(self, task: str, worker: Worker, published: PublishedWeights, datastore: LiverDatastore):
        self.task, self._worker, self._published, self._datastore = task, worker, published, datastore
        self._book = ScoreBook(published.folder / "scores.sqlite")
        self._lock, self._thread, self._is_stopped = threading.Lock(), None, False
        self._done, self._total, self._version, self._message = 0, 0, None, "Not asked for yet."

    @property
    def is_scoring(self) -> bool:
        """Whether cases are being scored."""
        return self._thread is not None and self._thread.is_alive()

    def describe(self) -> dict[str, Any]:
        """How far scoring is, JSON-ready."""
        return {
            "task": self.task,
            "state": "running" if self.is_scoring else "idle",
            "done": self._done,
            "total": self._total,
            "version": self._version,
            "message": self._message,
        }

    def start_scoring(self, of_every_case: bool = True) -> dict[str, Any]:
        """Score what is unlabelled and not scored by the weights in use, in the background; as :meth:`describe`.

        Args:
            of_every_case: Also of those that have to be fetched from a store first.
        """
        with self._lock:
            if not self._is_stopped and not self.is_scoring:
                self._thread = threading.Thread(
                    target=self._score, args=(of_every_case,), name=f"score-{self.task}", daemon=True
                )
                self._thread.start()
        return self.describe()

    def close(self) -> None:
        """End scoring after the case it is at."""
        self._is_stopped = True

    def next_case(self, strategy: str, seed: int | None = None) -> dict[str, Any]:
        """The case to label next, among those that are scored; without a score, a random one.

        Args:
            strategy: Of :data:`liver_models.learning.acquisition.STRATEGIES`.
            seed: Of chance; None: another case each time among equals.
        Returns:
            ``id`` (None when all are labelled), ``strategy``, ``reason`` and numbers of cases.
        Raises:
            UnsuitableInputError: an unknown strategy, or one that reads what this task does not give.
        """
        from liver_models.learning.acquisition import Candidates, choose, strategy_named

        strategy_named(strategy)
        labelled, unlabelled = self._parts()
        counts = {"n_labelled": len(labelled), "n_unlabelled": len(unlabelled)}
        usable = [c for c in unlabelled if "refused" not in (self._book.get(c) or {})]
        found = {"task": self.task, "strategy": strategy, **counts}
        if not usable:
            reason = "All cases are labelled."
            if unlabelled:
                last = self._book.get(unlabelled[-1])["refused"]
                reason = f"None of the unlabelled cases can be used for this task. The last: {last}"
            return {"id": None, "reason": reason, **found}
        seed = time.time_ns() % 2**32 if seed is None else seed
        scored = [c for c in usable if self._book.get(c) is not None]
        if strategy == "random" or not scored:
            (chosen,) = choose(Candidates(usable, usable), "random", 1, seed)
            reason = "Chosen at random." if strategy == "random" else "Chosen at random: no case is scored yet."
            return {"id": chosen, "reason": reason, **found}
        (chosen,) = choose(self._candidates(scored, labelled), strategy, 1, seed)
        one = self._book.get(chosen)
        doubt = {"uncertainty": one["uncertainty"]} if "uncertainty" in one else {}
        return {"id": chosen, "reason": f"Chosen by '{strategy}' of {len(scored)} scored cases.", **doubt, **found}

    def _candidates(self, scored: list[str], labelled: list[str]):
        import numpy as np
        from liver_models.learning.acquisition import Candidates

        scored = sorted(scored, key=lambda c: (-_doubt(self._book.get(c)), c))[:CONSIDERED]
        rows = [self._book.get(case_id) for case_id in scored]
        former = [row for c in labelled[-CONSIDERED:] if (row := self._book.get(c)) and "refused" not in row]

        def column(name: str, among=rows):
            has = among and all(name in row for row in among)
            return np.array([row[name] for row in among], float) if has else None

        members = column("members")
        if members is not None:
            members = np.stack([1 - members, members], axis=-1).transpose(1, 0, 2)
        features, known = column("features"), column("features", former)
        return Candidates(
            scored,
            [row["patient_id"] for row in rows],
            probability=column("probability"),
            member_probability=members,
            uncertainty=column("uncertainty"),
            features=features,
            labelled_patients=[row["patient_id"] for row in former],
            labelled_features=known if features is not None else None,
        )

    def _parts(self) -> tuple[list[str], list[str]]:
        kind = KIND_OF.get(self.task, ANSWER)
        labelled = self._datastore.labelled_with(kind, task=self.task if kind == ANSWER else None)
        has = set(labelled)
        return labelled, [case_id for case_id in self._datastore.list_images() if case_id not in has]

    def _score(self, of_every_case: bool) -> None:
        try:
            scored_by = None
            while scored_by != (version := self._published.history()[-1]) and not self._is_stopped:
                self._score_all(version, of_every_case)
                scored_by = version
            which = "Every unlabelled case" if of_every_case else "Every unlabelled case at hand"
            self._message = f"{which} is scored by the weights in use."
        except (UnsuitableInputError, StoreError) as error:
            self._message = str(error)
        except Exception:
            logger.exception("Scoring failed.")
            self._message = "Scoring failed through a defect of ours; the server's log says more."

    def _score_all(self, version: int, of_every_case: bool) -> None:
        stored = {case_id: (path, stamp) for case_id, path, stamp, _ in self._datastore.listing()}
        if not of_every_case:
            stored = {case_id: stored[case_id] for case_id in self._datastore.cases_at_hand() if case_id in stored}
        unlabelled = [case_id for case_id in self._parts()[1] if case_id in stored]
        self._done, self._total, self._version, self._message = 0, len(unlabelled), version, "Scoring."
        for case_id in unlabelled:
            if self._is_stopped:
                return
            self._score_one(case_id, *stored[case_id], version)
            self._done += 1

    def _score_one(self, case_id: str, source: Path, stamp: int, version: int) -> None:
        if not source.is_file() or self._book.is_current(case_id, version, self._newest(source, stamp)):
            return
        try:
            source = Path(self._datastore.get_image_uri(case_id))  # Fetched, where it lies in a store.
        except UnsuitableInputError as error:
            self._book.put(case_id, version, stamp, {"refused": str(error)})
            return
        stamp = self._newest(source, max(stamp, _stamp(source)))
        while not self._is_stopped:
            if self._worker.quiet_s < QUIET_S:
                time.sleep(QUIET_S / 10)
                continue
            try:
                content = self._worker.run(score_case, source, self.task, self._published.folder, is_background=True)
            except ServerBusyError:
                time.sleep(BUSY_S)
                continue
            except UnsuitableInputError as error:
                content = {"refused": str(error)}
            except ComputationError:
                return  # The worker logged it; the next scoring tries again.
            self._book.put(case_id, version, stamp, content)
            return

    def _newest(self, source: Path, stamp: int) -> int:
        """Time stamp of a case, or of what was measured in it if that is scored."""
        return max(stamp, *map(_stamp, read_for_pdff(source))) if self.task == "pdff" else stamp


def _stamp(path: Path | None) -> int:
    return path.stat().st_mtime_ns if path is not None and path.exists() else 0


def _doubt(row: dict[str, Any]) -> float:
    if "uncertainty" in row:
        return row["uncertainty"]
    return 1 - max(row["probability"]) if "probability" in row else 0.0
