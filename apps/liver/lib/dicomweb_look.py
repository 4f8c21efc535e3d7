"""Looking at a DICOMweb store: its cases become files of the cache, labels and marks of other servers are entered."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from liver_models.errors import UnsuitableInputError
from liver_models.io.case import manifest_path
from liver_models.io.class_label import class_labels_bytes
from liver_models.io.dicom_label import (
    DESCRIPTION_START,
    MODALITIES,
    REOPENED,
    LabelNote,
    StoredObject,
    described,
    read_object,
)

from .answers import answers_in
from .datastore import LiverDatastore
from .dicomweb_client import RemoteSeries, StoreClient
from .dicomweb_journal import Journal, RemoteCase
from .dicomweb_outbox import Outbox
from .failures import StoreError
from .layout import ANSWER, ANSWER_SUFFIX, LABELS, READER_LABELS
from .storing import plan

logger = logging.getLogger(__name__)
SHARE_OF_TIME = 10
"""A look may take one part in so many of the time."""
NOT_FETCHED = json.dumps({"schema": "liverlabel.remote_case", "is_simulated": None}).encode()
"""The manifest of a case whose images are at the store only."""
OUTBOX_FOLDER = ".outbox"
LABEL_MODALITIES = ("SEG", "SR")


class WatchedStore(LiverDatastore):
    """The half of :class:`.dicomweb.DicomWebDatastore` that sees what is at the store.

    Args:
        client: Of the store.
        folder: The cache; made if there is none.
        search: Attributes that the series of images need to have.
    """

    def __init__(self, client: StoreClient, folder: str | Path, search: Mapping[str, str] | None = None):
        super().__init__(folder)
        self._client, self._journal = client, Journal(self.folder)
        self._outbox = Outbox(self.folder / OUTBOX_FOLDER, client)
        self._search = dict(search or {})
        named = self._search.pop("Modality", None)
        self._modalities = tuple(m for m in MODALITIES if named in (None, m))
        self._looking, self._closing = threading.Lock(), threading.Event()
        self._own: set[str] = set()
        self._trouble: StoreError | None = None

    def close(self) -> None:
        """Stop looking at the store and let go of the cache's files."""
        self._closing.set()
        with self._looking:
            self._journal.close()
            super().close()

    def refresh(self) -> None:
        """Send what waits, and see new cases and labels of the store and changed files of the cache.

        Raises:
            StoreError: the store cannot be used.
        """
        super().refresh()
        self._look()

    def _keep_looking(self, look_every_s: float, took_s: float) -> None:
        while not self._closing.wait(max(look_every_s, SHARE_OF_TIME * took_s)):
            took_s = self._try_look()

    def _try_look(self) -> float:
        """Look, and remember what went wrong; how long it took, seconds."""
        begun = time.monotonic()
        try:
            self._look()
        except StoreError:
            pass  # Remembered, logged once, and told to whoever needs the store.
        except Exception:
            logger.exception("Looking at the store failed.")
        return time.monotonic() - begun

    def _look(self) -> None:
        with self._looking:
            if self._closing.is_set():
                return
            try:
                self._outbox.send_waiting()
                self._see_cases()
                self._see_labels()
            except StoreError as error:
                if self._trouble is None:
                    logger.warning("%s", error)
                self._trouble = error
                raise
            self._trouble = None

    def _see_cases(self) -> None:
        found: dict[str, RemoteCase] = {}
        for modality in self._modalities:
            studies: dict[str, dict[str, int]] = defaultdict(dict)
            for one in self._client.series(modality, **self._search):
                studies[one.study][one.uid] = one.n_images
            cases = [
                RemoteCase(_case_id(modality, study), study, modality, series) for study, series in studies.items()
            ]
            found |= {case.image: case for case in cases}
        known = self._journal.cases()
        self._journal.put_listed([c for i, c in found.items() if i not in known or known[i].series != c.series])
        for image in found:
            if not (path := manifest_path(self.folder, image)).exists():
                path.write_bytes(NOT_FETCHED)
        gone = [i for i, c in known.items() if i not in found and c.fetched is None and not self._journal.has_events(i)]
        for image in gone:
            path = manifest_path(self.folder, image)
            if path.exists() and path.read_bytes() == NOT_FETCHED:
                path.unlink()
        self._journal.drop_cases(gone)
        self.see_new_files()

    def _see_labels(self) -> None:
        new: list[tuple[RemoteSeries, StoredObject]] = []
        for modality in LABEL_MODALITIES:
            for one in self._client.series(modality, SeriesDescription=f"{DESCRIPTION_START}*"):
                told = described(one.description)
                if told is None or one.uid in self._own or self._journal.knows(one.uid):
                    continue
                if self._journal.case(_case_id(told[0], one.study)) is not None:
                    new += [(one, stored) for stored in self._read(one)]
        for one, stored in sorted(new, key=lambda item: item[1].note.time_s):
            self._apply(one, stored)

    def _read(self, one: RemoteSeries) -> list[StoredObject]:
        try:
            return [read_object(dataset) for dataset in self._client.objects(one)]
        except UnsuitableInputError as error:
            logger.warning("%s", error)
            self._own.add(one.uid)  # Not asked for again before the next start.
            return []

    def _apply(self, one: RemoteSeries, stored: StoredObject) -> None:
        """Enter a label or mark of another server; what came later than it stays."""
        note = stored.note
        image = _case_id(note.modality, one.study)
        if note.what == REOPENED:
            kinds = tuple(kind for kind in stored.reopened if not self._journal.has_later(image, note, kind))
            with self._answers_alone():
                entries = self._index.entries(LABELS, image=image, tag=note.tag)
                self._store.set_aside([entry for entry in entries if entry.kind in kinds])
                if ANSWER in stored.reopened:
                    self._drop_former_answers(LABELS, image, note)
                if note.reader:
                    self._forget_reader(image, stored)
            self._journal.add(one.uid, image, note, stored.reopened, is_mark=True)
            return
        kind = note.what
        if kind == ANSWER and answers_in(stored.content):
            self._apply_answers(one, image, stored)
            return
        ext = ANSWER_SUFFIX if kind == ANSWER else ".nii.gz"
        named = {"image": image, "ext": ext, "tag": note.tag, "kind": kind, "reader": note.reader}
        tables = [LABELS] if not self._journal.has_later(image, note, kind) else []
        if note.reader and not self._journal.has_later_of_reader(image, note, kind):
            tables.insert(0, READER_LABELS)
        info = {"reader": note.reader} if note.reader else {}
        planned = [plan(table, stored.content, info, stored_at_s=note.time_s, **named) for table in tables]
        self._store.write(planned, lambda: self._known(image))
        self._journal.add(one.uid, image, note, (kind,), is_mark=False)

    def _apply_answers(self, one: RemoteSeries, image: str, stored: StoredObject) -> None:
        """Enter the answers of another server to each task on which nothing later is known."""
        note, told = stored.note, answers_in(stored.content)
        where = {"image": image, "tag": note.tag, "kind": ANSWER}
        with self._answers_alone():
            planned = []
            for table in (READER_LABELS, LABELS) if note.reader else (LABELS,):
                whose = note.reader if table == READER_LABELS else None
                new = {
                    task: label
                    for task, label in told.items()
                    if whose is None or label.reader in ("", whose)
                    if not self._journal.has_later_answer(image, note, task, whose)
                }
                if not new:
                    continue
                named = {**where, "ext": ANSWER_SUFFIX, "reader": note.reader}
                info, time_s = ({"reader": note.reader} if note.reader else {}), note.time_s
                present = self._index.entries(LABELS, **where)
                if table == LABELS and present and self._journal.has_later(image, note, ANSWER):
                    # Beside later ones to other tasks; who stored last stays who stored last.
                    info, time_s, named["reader"] = present[0].info, present[0].ts, present[0].reader
                content = stored.content if len(new) == len(told) else class_labels_bytes(new)
                content = self._with_others(table, content, named)
                planned.append(plan(table, content, info, stored_at_s=time_s, **named))
            self._store.write(planned, lambda: self._known(image))
        self._journal.add_answers(one.uid, image, note, told)

    def _drop_former_answers(self, table: str, image: str, note: LabelNote) -> None:
        """Of answers that are there, keep those that came after a mark; all where none did or it cannot be told."""
        whose = {"reader": note.reader} if table == READER_LABELS else {}
        for entry in self._index.entries(table, image=image, tag=note.tag, kind=ANSWER, **whose):
            told = answers_in(self._layout.file(table, entry).read_bytes())
            kept = {t: one for t, one in told.items() if self._journal.has_later_answer(image, note, t, **whose)}
            if 0 < len(kept) < len(told):
                named = {"image": image, "tag": note.tag, "kind": ANSWER, "ext": entry.ext, "reader": entry.reader}
                planned = plan(table, class_labels_bytes(kept), entry.info, stored_at_s=entry.ts, **named)
                self._store.write([planned], lambda: self._known(image))

    def _forget_reader(self, image: str, removed: StoredObject) -> None:
        """Remove the own copy of a reader whose label was removed, unless a later one is there."""
        note = removed.note
        if ANSWER in removed.reopened:
            self._drop_former_answers(READER_LABELS, image, note)
        for kind in removed.reopened:
            if not self._journal.has_later_of_reader(image, note, kind):
                named = {"image": image, "tag": note.tag, "kind": kind, "reader": note.reader}
                self._store.remove(READER_LABELS, self._index.entries(READER_LABELS, **named))


def _case_id(modality: str, study: str) -> str:
    """The same on every server."""
    return f"{modality.lower()}-{study}"
