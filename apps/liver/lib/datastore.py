"""The studies folder as MONAI Label's datastore: cases, images, their labels and the maps computed from them.

The files are the truth and may be copied, restored and edited by hand; :mod:`.index` only spares reading them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from liver_models.errors import UnsuitableInputError
from liver_models.io.case import CASE_SUFFIX, files_folder
from liver_models.io.files import identifier, write_atomically
from liver_models.io.regions import REGION_SUFFIXES
from monailabel.config import settings
from monailabel.interfaces.exception import ImageNotFoundException, LabelNotFoundException

from .answers import beside_others
from .catalogue import FINAL, Catalogue, plain
from .failures import ServerBusyError, UnknownNameError
from .file_lock import alone
from .index import INDEX_NAME, KEYS, WAIT_S, Index
from .layout import (
    ANSWER,
    FORMER_FOLDER,
    IMAGE_SUFFIXES,
    IMAGES,
    LABEL_SUFFIXES,
    LABELS,
    READER_LABELS,
    REGION,
    Entry,
    Layout,
    kind_of,
    split_name,
)
from .label_names import known_suffix, reader_of
from .old_index import take_over
from .readers import disagreements
from .reconcile import FolderWatch
from .region_check import RegionCheck
from .storing import Store, plan
from .verification import problems

MAP_SUFFIX = ".nii.gz"
NAME_FILE = ".liverlabel-datastore.json"
ANSWERS_LOCK = ".liverlabel-answers.lock"
"""Held by the server that joins answers."""
STOCK_SEARCH = {"Modality": "CT"}
"""MONAI Label's default of MONAI_LABEL_DICOMWEB_SEARCH_FILTER."""


def open_datastore(studies: str) -> LiverDatastore:
    """The datastore at a place: a folder, or the address of a DICOMweb server such as Orthanc's.

    MONAI Label's settings hold the user, the password, what is searched for (its default of CT means no filter here)
    and how long a list may be kept.
    """
    if not is_address(studies):
        return LiverDatastore(studies)
    from .dicomweb import LOOK_EVERY_S, DicomWebDatastore
    from .dicomweb_client import StoreClient

    client = StoreClient(studies, settings.MONAI_LABEL_DICOMWEB_USERNAME, settings.MONAI_LABEL_DICOMWEB_PASSWORD)
    search = {key: str(value) for key, value in settings.MONAI_LABEL_DICOMWEB_SEARCH_FILTER.items()}
    look_every_s = min(LOOK_EVERY_S, settings.MONAI_LABEL_DICOMWEB_CACHE_EXPIRY)
    return DicomWebDatastore(client, site_folder(studies), {} if search == STOCK_SEARCH else search, look_every_s)


def is_address(studies: str) -> bool:
    """True for the address of a DICOMweb server, False for a folder."""
    return str(studies).startswith(("http://", "https://"))


def site_folder(studies: str) -> Path:
    """Where weights trained at this site lie, and what was fetched: the studies folder, or a cache for an address."""
    if not is_address(studies):
        return Path(studies)
    cache = settings.MONAI_LABEL_DICOMWEB_CACHE_PATH.strip()
    return (Path(cache) if cache else Path.home() / ".cache" / "liverlabel") / identifier(str(studies))


class LiverDatastore(Catalogue):
    """Cases, images and labels in one folder; every method may be called by several threads.

    Args:
        folder: The studies folder; made if there is none.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self._layout = Layout(self.folder)
        for tag in (FINAL, "original"):
            (self._layout.labels / tag).mkdir(parents=True, exist_ok=True)
        self._archive = self.folder / ".no-archive-yet"
        told = take_over(self._layout)
        self._told = {"name": "new-dataset", "description": "New Dataset", **self._read_told()}
        if told and not (self.folder / NAME_FILE).exists():
            self._tell(**told)
        self._watch = FolderWatch(self._layout)
        self._index = Index(self.folder / INDEX_NAME, self._watch.reconcile_all)
        self._store = Store(self._layout, self._index, self._watch)
        self._region_check = RegionCheck()
        with self._index.lock:
            self._watch.reconcile_all(self._index)

    def close(self) -> None:
        """Let go of the index."""
        self._index.close()

    def refresh(self) -> None:
        """Compare every file with the index."""
        with self._index.lock:
            self._watch.reconcile_all(self._index)

    # Cases and images

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Add to what is stored with an image.

        Raises:
            ImageNotFoundException: there is none.
        """
        with self._index.lock:
            entry = self._present(image_id)
            self._store.describe(IMAGES, entry, entry.info | info)

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Store an image under an id that is free, whole or not at all; the same bytes may be sent again.

        Raises:
            UnsuitableInputError: a file of another kind, an id that is taken, or the disk is full.
        """
        suffix = known_suffix(image_filename, IMAGE_SUFFIXES, "image")
        content = Path(image_filename).read_bytes()
        image_id = image_id or Path(image_filename).name[: -len(suffix)]

        def is_free() -> bool:
            entry = self._image(image_id)
            if entry is None:
                return True
            if entry.ext == suffix and self._layout.file(IMAGES, entry).read_bytes() == content:
                return False
            raise UnsuitableInputError(
                f"A new image needs an id that is free; {image_id!r} is taken by another. Choose another id, or "
                "delete that one first."
            )

        self._store.write([plan(IMAGES, content, image_info or {}, image=image_id, ext=suffix)], is_free)
        return image_id

    def remove_image(self, image_id: str) -> None:
        """Remove an image or a case with its labels, former ones and those of every reader, maps and raw files.

        Raises:
            ImageNotFoundException: there is none.
        """
        with self._index.lock:
            entry = self._present(image_id)
            for table in (READER_LABELS, LABELS):
                self._store.remove(table, self._index.entries(table, image=image_id))
            for tag in self._layout.tags():
                folder = self._layout.folder(LABELS, tag) / FORMER_FOLDER
                for path in [*folder.glob("*"), *folder.glob(".info/*.json")]:
                    parts = split_name(path.name.removesuffix(".json").rpartition(".")[0], is_label=True)
                    if parts is not None and parts[0] == image_id and path.is_file():
                        path.unlink()
            self._store.remove(IMAGES, [entry])
            if entry.ext == CASE_SUFFIX:
                shutil.rmtree(files_folder(self.folder, image_id), ignore_errors=True)

    # Labels

    def save_maps(self, case_id: str, maps: Mapping[str, bytes], info: dict[str, Any]) -> None:
        """Store maps under their own names as tags, all of them or none.

        Raises:
            UnknownNameError: the case is gone.
            UnsuitableInputError: the disk is full or the folder cannot be written.
        """
        gone = f"There is no case {case_id!r} on this server any more; its maps were not stored."
        named = {"image": case_id, "ext": MAP_SUFFIX, "kind": REGION}
        planned = [plan(LABELS, content, info, tag=tag, **named) for tag, content in maps.items()]
        self._store.write(planned, lambda: self._known(case_id, gone))

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Store a region or an answer, whole or not at all; one of the other kind under the same tag stays.

        So do answers to other tasks.

        Raises:
            UnknownNameError: there is no such image.
            UnsuitableInputError: a file of another kind, a region under ``final`` that is empty or does not fit its
                case, a reader of no name, or the disk is full.
        """
        self.see_new_files()
        self._known(image_id)
        suffix = known_suffix(label_filename, LABEL_SUFFIXES, "label")
        content, info = Path(label_filename).read_bytes(), dict(label_info or {})
        reader = reader_of(info, content if suffix.endswith(".json") else b"{}")
        named = {"image": image_id, "ext": suffix, "tag": plain(label_tag), "kind": kind_of(suffix), "reader": reader}
        if named["tag"] == FINAL and suffix in REGION_SUFFIXES:
            self._refuse_unfit(image_id, Path(label_filename))
        tables = (READER_LABELS, LABELS) if reader else (LABELS,)
        with self._answers_alone() if named["kind"] == ANSWER else nullcontext():
            planned = [plan(table, self._with_others(table, content, named), info, **named) for table in tables]
            self._store.write(planned, lambda: self._known(image_id))
        return image_id

    def remove_label(self, label_id: str, label_tag: str, kind: str | None = None) -> None:
        """Remove what a case has under a tag, or the one of a kind, with the same reader's own copy."""
        with self._index.lock:
            self.see_new_files()
            named = {"image": label_id, "tag": plain(label_tag)} | ({"kind": kind} if kind else {})
            for entry in self._index.entries(LABELS, **named):
                own = {"image": label_id, "tag": entry.tag, "kind": entry.kind, "reader": entry.reader}
                self._store.remove(READER_LABELS, self._index.entries(READER_LABELS, **own) if entry.reader else [])
                self._store.remove(LABELS, [entry])

    def reopen(self, case_id: str, tag: str = FINAL) -> list[str]:
        """Set the labels of a case aside, so that it is unlabelled again; each reader's own copy stays.

        Returns:
            The names of the former labels inside the studies folder.
        Raises:
            UnknownNameError: no such case, or it has no label under the tag.
        """
        with self._index.lock:
            self.see_new_files()
            self._known(case_id)
            entries = self._index.entries(LABELS, image=case_id, tag=tag)
            if not entries:
                raise UnknownNameError(
                    f"The case {case_id!r} has no label under the tag {tag!r}. GET /liver/cases lists its labels."
                )
            return self._store.set_aside(entries)

    def disagreements(self, tag: str = FINAL) -> list[dict[str, Any]]:
        """The cases that readers answered differently, or whose regions hardly overlap."""
        self.see_new_files()
        return disagreements(self._index, self._layout, self._checked, tag)

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Add to what is stored with the region, or else with the answer.

        Raises:
            LabelNotFoundException: there is none.
            UnsuitableInputError: another reader is named.
        """
        with self._index.lock:
            entry = self._label(label_id, label_tag)
            if entry is None:
                raise LabelNotFoundException(f"Label: {label_id} Tag: {label_tag} not found")
            if info.get("reader", entry.reader) != entry.reader:
                raise UnsuitableInputError(
                    f"A label keeps the reader it was stored with, here {entry.reader or 'none'!r}; found "
                    f"{str(info['reader'])[:80]!r}. Store the label again under that reader's name."
                )
            self._store.describe(LABELS, entry, entry.info | info)

    def verify(self, image_id: str | None = None) -> list[dict[str, str]]:
        """Read the files of one or of every image; those that are damaged or gone are listed."""
        return problems(self._index, self._layout, self._watch, image_id)

    def set_name(self, name: str) -> None:
        """Name the data set."""
        self._tell(name=name)

    def set_description(self, description: str) -> None:
        """Describe the data set."""
        self._tell(description=description)

    @contextmanager
    def _answers_alone(self) -> Iterator[None]:
        """Held while answers are joined with those that are there: two that come at once are both kept.

        Other threads wait for the index, other servers of the folder for a file.

        Raises:
            ServerBusyError: another server does not let go of the file.
        """
        with self._index.lock, alone(self._layout.root / ANSWERS_LOCK, WAIT_S) as is_alone:
            if not is_alone:
                raise ServerBusyError(
                    "Another server of this studies folder is storing answers, and the answer was not stored. Try "
                    "again."
                )
            yield

    def _with_others(self, table: str, content: bytes, named: Mapping[str, str]) -> bytes:
        """What to store of a label: an answer is joined with those to other tasks that are there and not damaged."""
        if named["kind"] != ANSWER:
            return content
        keys = {key: named[key] for key in KEYS[table]}
        try:
            for entry in self._index.entries(table, **keys):
                path = self._layout.file(table, self._checked(table, entry))
                return beside_others(content, path.read_bytes())
        except (UnsuitableInputError, OSError):
            pass
        return content

    def _refuse_unfit(self, image_id: str, region: Path) -> None:
        with self._index.lock:
            source = self._layout.file(IMAGES, self._present(image_id))
            stored = self._index.entries(LABELS, image=image_id, kind=REGION)
        computed = (self._layout.file(LABELS, entry) for entry in stored if "model" in entry.info)
        self._region_check.refuse_unfit(image_id, source, region, next(computed, None))

    def _present(self, image_id: str) -> Entry:
        entry = self._image(image_id)
        if entry is None:
            raise ImageNotFoundException(f"Image {image_id} not found")
        return entry

    def _tell(self, **told: str) -> None:
        self._told |= told
        write_atomically(self.folder / NAME_FILE, json.dumps(self._told).encode())

    def _read_told(self) -> dict[str, str]:
        try:
            return dict(json.loads((self.folder / NAME_FILE).read_bytes()))
        except (OSError, ValueError, TypeError):
            return {}
