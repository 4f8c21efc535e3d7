"""A DICOMweb store as the datastore: cases are its studies, labels are DICOM objects in it.

A cache folder with the layout of a studies folder holds what was fetched, so every method of the local datastore reads
it. A case that was not fetched yet is a file that says so; its images come with its first use. A look at the store
every few seconds brings new cases and the labels of other servers.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from liver_models.errors import UnsuitableInputError
from liver_models.io.case import CASE_SUFFIX, files_folder, load_case, manifest_path
from liver_models.io.dicom_label import REOPENED, LabelNote, mark_object, region_object, text_object
from liver_models.io.importer import import_source
from pydicom.dataset import Dataset

from .answers import answers_in
from .catalogue import FINAL, plain
from .dicomweb_client import StoreClient
from .dicomweb_look import WatchedStore
from .failures import StoreError, UnknownNameError
from .label_names import known_suffix, reader_of
from .layout import ANSWER_SUFFIX, IMAGES, LABEL_SUFFIXES, LABELS, kind_of
from .storing import plan

logger = logging.getLogger(__name__)
LOOK_EVERY_S = 10.0
"""Time between two looks at the store, seconds; longer where a look takes long."""
FETCHING = ".fetching-"


class DicomWebDatastore(WatchedStore):
    """Cases, images and labels of a DICOMweb store; every method may be called by several threads.

    Args:
        client: Of the store.
        folder: The cache; made if there is none.
        search: Attributes that the series of images need to have, such as ``{"SeriesDescription": "*Dixon*"}``.
        look_every_s: See :data:`LOOK_EVERY_S`; None: only :meth:`refresh` looks.
    """

    def __init__(
        self,
        client: StoreClient,
        folder: str | Path,
        search: Mapping[str, str] | None = None,
        look_every_s: float | None = LOOK_EVERY_S,
    ):
        super().__init__(client, folder, search)
        self._fetching = defaultdict(threading.Lock)
        for left in self.folder.glob(f"{FETCHING}*"):
            shutil.rmtree(left, ignore_errors=True)
        took_s = self._try_look()
        if look_every_s is not None:
            threading.Thread(target=self._keep_looking, args=(look_every_s, took_s), daemon=True).start()

    # Cases and images

    def list_images(self) -> list[str]:
        """Ids of the cases.

        Raises:
            StoreError: none is known and the store cannot be used.
        """
        return self._unless_in_trouble(super().list_images())

    def listing(self) -> list[tuple[str, Path, int, list[str]]]:
        """As :meth:`.Catalogue.listing`; the file of a case that was not fetched says so.

        Raises:
            StoreError: none is known and the store cannot be used.
        """
        return self._unless_in_trouble(super().listing())

    def get_image_uri(self, image_id: str) -> str:
        """Path of a case, whose images are fetched now unless they were; empty when there is none.

        Raises:
            StoreError: the images are needed and the store cannot be used.
            UnsuitableInputError: they are no case that can be used; nothing of them is kept.
        """
        case = self._journal.case(image_id)
        if case is not None and not case.is_fetched:
            try:
                self._fetch(image_id)
            except StoreError:
                if case.fetched is None:
                    raise
                logger.warning("A case that grew at the store is used as it was fetched before.")
        return super().get_image_uri(image_id)

    def cases_at_hand(self) -> list[str]:
        """Ids of the cases that need no fetching, and of the labelled ones, which are fetched now.

        Raises:
            StoreError: a labelled case is not here and the store cannot be used.
        """
        for image in self.get_labeled_images():
            try:
                self.get_image_uri(image)
            except UnsuitableInputError:
                logger.warning("A labelled case of the store cannot be used and is left out.")
        fetched = {image for image, case in self._journal.cases().items() if case.fetched is not None}
        return [image for image in self.list_images() if image in fetched]

    def datalist(self, full_path: bool = True) -> list[dict[str, Any]]:
        """Image and label of each case labelled under ``final``, fetched now."""
        self.cases_at_hand()
        return super().datalist(full_path)

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Refuse: images come from the store.

        Raises:
            UnsuitableInputError: always.
        """
        raise UnsuitableInputError(
            f"Images come from the DICOMweb store at {self._client.address} here; one was sent to this server. Send it "
            "to the store."
        )

    def remove_image(self, image_id: str) -> None:
        """Refuse: what is at the store is removed there.

        Raises:
            UnsuitableInputError: always.
        """
        self._present(image_id)
        raise UnsuitableInputError(
            f"A case of a DICOMweb store is removed there; {image_id!r} is at {self._client.address}. Remove its study "
            "in the store."
        )

    # Labels

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Store a region or an answer here and at the store; where that does not answer, it is sent later.

        Raises:
            UnknownNameError: there is no such case.
            StoreRefusedError: the store does not take it; the former label is unchanged.
            UnsuitableInputError: no label of these images, a name DICOM cannot hold, or the disk is full.
        """
        suffix = known_suffix(label_filename, LABEL_SUFFIXES, "label")
        case = load_case(self.case_source(image_id))
        path, info = Path(label_filename), dict(label_info or {})
        text = path.read_bytes() if suffix == ANSWER_SUFFIX else b"{}"
        note = self._note(image_id, kind_of(suffix), plain(label_tag), reader_of(info, text))
        if suffix == ANSWER_SUFFIX:
            dataset = text_object(case, _json_text(text), note)
        else:
            dataset = region_object(case, path, note, _segment_names(info))
        with self._delivered(dataset):
            super().save_label(image_id, label_filename, label_tag, label_info)
            if suffix == ANSWER_SUFFIX:
                self._journal.add_answers(dataset.SeriesInstanceUID, image_id, note, answers_in(text))
            else:
                self._journal.add(dataset.SeriesInstanceUID, image_id, note, (kind_of(suffix),), is_mark=False)
        return image_id

    def remove_label(self, label_id: str, label_tag: str, kind: str | None = None) -> None:
        """Remove what a case has under a tag here; at the store a mark says that it holds no longer.

        Raises:
            StoreError: the case is not here and the store cannot be used, or it does not take the mark.
        """
        tag = plain(label_tag)
        at_store = self._journal.labelled_kinds(label_id, tag)
        self.see_new_files()
        for entry in self._index.entries(LABELS, image=label_id, tag=tag):
            if kind in (None, entry.kind):
                kinds = (entry.kind,) if entry.kind in at_store else ()
                remove = partial(super().remove_label, label_id, tag, entry.kind)
                self._marked(label_id, tag, kinds, remove, entry.reader)

    def reopen(self, case_id: str, tag: str = FINAL) -> list[str]:
        """As :meth:`.LiverDatastore.reopen`, on every server of the store.

        Raises:
            UnknownNameError: no such case, or it has no label under the tag.
            StoreError: the case is not here and the store cannot be used, or it does not take the mark.
        """
        kinds = tuple(sorted({entry.kind for entry in self.labels_of(case_id) if entry.tag == tag}))
        return self._marked(case_id, tag, kinds, partial(super().reopen, case_id, tag))

    def status(self) -> dict[str, Any]:
        """As :meth:`.Catalogue.status`, with how the store is."""
        store = {
            "address": self._client.address,
            "is_reachable": self._trouble is None,
            "message": str(self._trouble or ""),
            "n_labels_waiting": len(self._outbox),
        }
        return {**super().status(), "store": store}

    def name(self) -> str:
        """Address of the store."""
        return self._client.address

    # Fetching and sending

    def _fetch(self, image_id: str) -> None:
        with self._fetching[image_id]:
            case = self._journal.case(image_id)
            if case is None or case.is_fetched:
                return
            staging = Path(tempfile.mkdtemp(prefix=FETCHING, dir=self.folder))
            try:
                images = staging / image_id
                counts = self._client.fetch(case.study, case.modality, images, **self._search)
                self._import(images, staging / "studies", image_id)
                target = files_folder(self.folder, image_id)
                with self._index.lock:
                    target.parent.mkdir(exist_ok=True)
                    shutil.rmtree(target, ignore_errors=True)
                    files_folder(staging / "studies", image_id).rename(target)
                manifest = manifest_path(staging / "studies", image_id).read_bytes()
                self._store.write([plan(IMAGES, manifest, {}, image=image_id, ext=CASE_SUFFIX)], lambda: None)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
            self._journal.set_fetched(image_id, counts)

    @staticmethod
    def _import(images: Path, studies: Path, image_id: str) -> None:
        try:
            report = import_source(images, studies, case_id=image_id)
        except UnsuitableInputError as error:
            raise UnsuitableInputError(f"{error} If the study is still arriving at the store, try again.") from error
        if len(report.case_ids) != 1:
            raise UnsuitableInputError(
                f"A case of a store needs one multi-echo acquisition in its study; {image_id!r} has "
                f"{len(report.case_ids)}. Set MONAI_LABEL_DICOMWEB_SEARCH_FILTER to choose the series of one."
            )

    def _note(self, image_id: str, what: str, tag: str, reader: str = "") -> LabelNote:
        case = self._journal.case(image_id)
        if case is None:
            raise UnknownNameError(f"There is no case {image_id!r} at the store. GET /liver/cases lists them.")
        # DICOM knows microseconds.
        return LabelNote(case.modality, what, tag, reader, round(time.time(), 6))

    def _marked(
        self, image_id: str, tag: str, kinds: tuple[str, ...], change: Callable[[], Any], removed_of: str = ""
    ) -> Any:
        """Change what is here once the store was told, or the mark waits; it names the reader of a removed label."""
        if not kinds:
            return change()
        note = self._note(image_id, REOPENED, tag, removed_of)
        dataset = mark_object(load_case(self.case_source(image_id)), kinds, note)
        with self._delivered(dataset):
            done = change()
            self._journal.add(dataset.SeriesInstanceUID, image_id, note, kinds, is_mark=True)
        return done

    @contextmanager
    def _delivered(self, dataset: Dataset) -> Iterator[None]:
        """Send an object first; a look at the store passes it over until it is entered here too."""
        uid = dataset.SeriesInstanceUID
        self._own.add(uid)
        try:
            self._outbox.deliver(dataset)
            yield
        finally:
            # What could not be entered here comes back with the next look.
            self._own.discard(uid)

    def _unless_in_trouble(self, found: list[Any]) -> list[Any]:
        trouble = self._trouble
        if not found and trouble is not None:
            raise type(trouble)(str(trouble))
        return found


def _segment_names(info: Mapping[str, Any]) -> dict[int, str]:
    """Label -> name, as MONAI Label's clients send them."""
    listed = info.get("label_info")
    named = [item for item in listed if isinstance(item, Mapping)] if isinstance(listed, list) else []
    return {item["idx"]: str(item["name"]) for item in named if isinstance(item.get("idx"), int) and item.get("name")}


def _json_text(content: bytes) -> str:
    try:
        json.loads(content)
        return content.decode("utf-8")
    except ValueError as error:
        raise UnsuitableInputError("An answer needs to be JSON in UTF-8; this one is not. Store it again.") from error
