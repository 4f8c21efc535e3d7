"""The studies folder as MONAI Label's datastore: cases, images, their labels and the maps computed from them.

The files are the truth and may be copied, restored and edited by hand; :mod:`.index` only spares reading them.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from liver_models.errors import UnsuitableInputError
from liver_models.io.case import CASE_SUFFIX, ID_PATTERN, files_folder
from liver_models.io.files import write_atomically
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.exception import ImageNotFoundException, LabelNotFoundException
from monailabel.utils.others.generic import file_ext

from .failures import UnknownNameError
from .index import INDEX_NAME, Index
from .layout import (
    ANSWER,
    FORMER_FOLDER,
    IMAGE_SUFFIXES,
    IMAGES,
    KINDS,
    LABEL_SUFFIXES,
    LABELS,
    READER_LABELS,
    REGION,
    Entry,
    Layout,
    digest,
    kind_of,
    reader_in_answer,
    split_name,
)
from .old_index import take_over
from .readers import disagreements
from .reconcile import FolderWatch
from .storing import Store, plan
from .verification import problems

FINAL = "final"
"""The tag of labels that methods learn from."""
MAP_SUFFIX = ".nii.gz"
NAME_FILE = ".liverlabel-datastore.json"


def open_datastore(studies: str, remote: Callable[[], Datastore] | None = None) -> Datastore:
    """The datastore at a place: a folder, or the address of a DICOMweb server such as Orthanc's.

    Args:
        studies: The folder or the address.
        remote: Opens MONAI Label's own datastore of the address; needed for an address only.
    Raises:
        UnsuitableInputError: an address where only folders are served.
    """
    if not str(studies).startswith(("http://", "https://")):
        return LiverDatastore(studies)
    if remote is None:
        raise UnsuitableInputError(f"A folder of cases is needed for --studies; found the address {studies}.")
    return remote()


class LiverDatastore(Datastore):
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
        with self._index.lock:
            self._watch.reconcile_all(self._index)

    def close(self) -> None:
        """Let go of the index."""
        self._index.close()

    def see_new_files(self) -> None:
        """Bring the index up to date with the folder if that has changed."""
        with self._index.lock:
            self._watch.see_new_files(self._index)

    def refresh(self) -> None:
        """Compare every file with the index."""
        with self._index.lock:
            self._watch.reconcile_all(self._index)

    # Cases and images

    def list_images(self) -> list[str]:
        """Ids of the cases and images."""
        return [row[0] for row in self._rows("SELECT image FROM images ORDER BY image")]

    def listing(self) -> list[tuple[str, Path, int, list[str]]]:
        """Each case or image by id: its file, the file's time stamp in nanoseconds, and the tags of its labels."""
        tags: dict[str, set[str]] = {}
        with self._index.lock:
            rows = self._rows("SELECT image, ext, mtime_ns FROM images ORDER BY image")
            for image, tag in self._index.read("SELECT image, tag FROM labels"):
                tags.setdefault(image, set()).add(tag)
        return [(image, self.folder / (image + ext), stamp, sorted(tags.get(image, ()))) for image, ext, stamp in rows]

    def case_source(self, case_id: str) -> Path:
        """The file of a case or image.

        Raises:
            UnknownNameError: there is none.
        """
        path = self.get_image_uri(case_id)
        if not path or not os.path.isfile(path):
            raise UnknownNameError(f"There is no case {case_id!r} on this server. GET /liver/cases lists them.")
        return Path(path)

    def get_image_uri(self, image_id: str) -> str:
        """Path of a case or image; empty when there is none."""
        entry = self._image(image_id)
        return os.path.realpath(self._layout.file(IMAGES, entry)) if entry else ""

    def get_image(self, image_id: str, params: Any = None) -> Any:
        """The bytes of a case or image as a stream; None when there is none."""
        uri = self.get_image_uri(image_id)
        return io.BytesIO(Path(uri).read_bytes()) if uri else None

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """What is stored with an image, and its path; empty when there is none."""
        entry = self._image(image_id)
        return {**entry.info, "path": os.path.realpath(self._layout.file(IMAGES, entry))} if entry else {}

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Add to what is stored with an image.

        Raises:
            ImageNotFoundException: there is none.
        """
        with self._index.lock:
            entry = self._image(image_id)
            if entry is None:
                raise ImageNotFoundException(f"Image {image_id} not found")
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
            entry = self._image(image_id)
            if entry is None:
                raise ImageNotFoundException(f"Image {image_id} not found")
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

    def label_file(self, case_id: str, tag: str, kind: str | None = None) -> Path | None:
        """The region or answer of a case under a tag; with no ``kind`` the region before the answer; None: no such one.

        Raises:
            UnsuitableInputError: the file is damaged.
        """
        entry = self._label(case_id, tag, kind)
        if entry is None:
            return None
        try:
            return self._layout.file(LABELS, self._checked(LABELS, entry))
        except FileNotFoundError:
            return None

    def labels_of(self, case_id: str) -> list[Entry]:
        """Everything stored with a case under any tag.

        Raises:
            UnknownNameError: there is no such case.
        """
        with self._index.lock:
            self.see_new_files()
            self._known(case_id)
            return self._index.entries(LABELS, image=case_id)

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

        Raises:
            UnknownNameError: there is no such image.
            UnsuitableInputError: a file of another kind, a reader of no name, or the disk is full.
        """
        self.see_new_files()
        self._known(image_id)
        suffix = known_suffix(label_filename, LABEL_SUFFIXES, "label")
        content, info = Path(label_filename).read_bytes(), dict(label_info or {})
        reader = reader_of(info, content if suffix.endswith(".json") else b"{}")
        named = {"image": image_id, "ext": suffix, "tag": _plain(label_tag), "kind": kind_of(suffix), "reader": reader}
        tables = (READER_LABELS, LABELS) if reader else (LABELS,)
        self._store.write([plan(table, content, info, **named) for table in tables], lambda: self._known(image_id))
        return image_id

    def remove_label(self, label_id: str, label_tag: str, kind: str | None = None) -> None:
        """Remove what a case has under a tag, or the one of a kind, with the same reader's own copy."""
        with self._index.lock:
            self.see_new_files()
            named = {"image": label_id, "tag": _plain(label_tag)} | ({"kind": kind} if kind else {})
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

    def get_labels_by_image_id(self, image_id: str) -> dict[str, str]:
        """Tag -> id of each label of an image."""
        query = "SELECT DISTINCT tag FROM labels JOIN images USING (image) WHERE image = ? ORDER BY tag"
        return {row[0]: image_id for row in self._rows(query, image_id)}

    def get_label_by_image_id(self, image_id: str, tag: str) -> str:
        """Id of the label of an image under a tag; empty when there is none."""
        return self.get_labels_by_image_id(image_id).get(_plain(tag), "")

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        """Path of the region, or else of the answer; empty when there is none.

        Raises:
            UnsuitableInputError: the file is damaged.
        """
        path = self.label_file(label_id, label_tag)
        return os.path.realpath(path) if path else ""

    def get_label(self, label_id: str, label_tag: str, params: Any = None) -> Any:
        """The bytes of a label as a stream; None when there is none."""
        uri = self.get_label_uri(label_id, label_tag)
        return io.BytesIO(Path(uri).read_bytes()) if uri else None

    def get_label_info(self, label_id: str, label_tag: str) -> dict[str, Any]:
        """What is stored with the region, or else with the answer; empty when there is none."""
        entry = self._label(label_id, label_tag)
        return entry.info if entry else {}

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

    # The whole

    def get_labeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """Ids of the images with a label under a tag, ``final`` if none is named."""
        query = "SELECT DISTINCT image FROM labels JOIN images USING (image) WHERE tag = ? ORDER BY image"
        return [row[0] for row in self._rows(query, _plain(label_tag or FINAL))]

    def get_unlabeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """Ids of the images without a label under a tag, ``final`` if none is named."""
        query = "SELECT image FROM images WHERE image NOT IN (SELECT image FROM labels WHERE tag = ?) ORDER BY image"
        return [row[0] for row in self._rows(query, _plain(label_tag or FINAL))]

    def datalist(self, full_path: bool = True) -> list[dict[str, Any]]:
        """Image and label of each case labelled under ``final``."""
        pairs = []
        for image, ext, label in self._labelled():
            paths = (self.folder / (image + ext), self._layout.file(LABELS, label))
            shown = [os.path.realpath(path) if full_path else str(path.relative_to(self.folder)) for path in paths]
            pairs.append(dict(zip(("image", "label"), shown, strict=True)))
        return pairs

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        """The labelled images as a .zip file, which the next one replaces.

        Raises:
            UnknownNameError: none has a label under the tag ``final``.
            UnsuitableInputError: a label is damaged.
        """
        with self._index.lock:
            labelled = self._labelled()
            if not labelled:
                raise UnknownNameError("The data set holds cases with a label under the tag 'final'; there is none.")
            self._archive.unlink(missing_ok=True)
            with tempfile.NamedTemporaryFile(delete=False, suffix=".zip") as opened:
                self._archive = Path(opened.name)
                with zipfile.ZipFile(opened, mode="w") as archive:
                    for image, ext, _ in labelled[: limit_cases or None]:
                        archive.write(self.folder / (image + ext), f"image/{image}{ext}")
                        for entry in self._index.entries(LABELS, image=image, tag=FINAL):
                            path = self._layout.file(LABELS, self._checked(LABELS, entry))
                            archive.write(path, f"label/{entry.name}")
                    archive.writestr("metadata.json", json.dumps(self.json(), default=str))
            return str(self._archive)

    def verify(self, image_id: str | None = None) -> list[dict[str, str]]:
        """Read the files of one or of every image; those that are damaged or gone are listed."""
        return problems(self._index, self._layout, self._watch, image_id)

    def status(self) -> dict[str, Any]:
        """How many images there are, how many are labelled, and how many have each tag."""
        query = "SELECT tag, COUNT(DISTINCT image) FROM labels JOIN images USING (image) GROUP BY tag"
        with self._index.lock:
            tags = dict(self._rows(query))
            total = self._index.read("SELECT COUNT(*) FROM images")[0][0]
        return {"total": total, "completed": tags.get(FINAL, 0), "label_tags": tags}

    def json(self) -> dict[str, Any]:
        """Everything in the form of MONAI Label's own index; ``answers`` are those beside a region."""
        with self._index.lock:
            self.see_new_files()
            objects = {
                entry.image: {"image": {"ext": entry.ext, "info": entry.info}, "labels": {}}
                for entry in self._index.entries(IMAGES)
            }
            labels = self._index.entries(LABELS)
        for entry in sorted(labels, key=lambda item: KINDS.index(item.kind)):
            if (found := objects.get(entry.image)) is not None:
                place = "answers" if entry.tag in found["labels"] else "labels"
                found.setdefault(place, {})[entry.tag] = {"ext": entry.ext, "info": entry.info}
        return {**self._told, "images_dir": ".", "labels_dir": "labels", "objects": objects}

    def name(self) -> str:
        """Name of the data set."""
        return self._told["name"]

    def set_name(self, name: str) -> None:
        """Name the data set."""
        self._tell(name=name)

    def description(self) -> str:
        """Description of the data set."""
        return self._told["description"]

    def set_description(self, description: str) -> None:
        """Describe the data set."""
        self._tell(description=description)

    def _tell(self, **told: str) -> None:
        self._told |= told
        write_atomically(self.folder / NAME_FILE, json.dumps(self._told).encode())

    def _read_told(self) -> dict[str, str]:
        try:
            return dict(json.loads((self.folder / NAME_FILE).read_bytes()))
        except (OSError, ValueError, TypeError):
            return {}

    def _rows(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        with self._index.lock:
            self.see_new_files()
            return self._index.read(query, values)

    def _image(self, image_id: str) -> Entry | None:
        with self._index.lock:
            self.see_new_files()
            return next(iter(self._index.entries(IMAGES, image=image_id)), None)

    def _label(self, case_id: str, tag: str, kind: str | None = None) -> Entry | None:
        with self._index.lock:
            if self._image(case_id) is None:
                return None
            found = {entry.kind: entry for entry in self._index.entries(LABELS, image=case_id, tag=_plain(tag))}
        return found.get(kind) if kind else found.get(REGION) or found.get(ANSWER)

    def _labelled(self) -> list[tuple[str, str, Entry]]:
        with self._index.lock:
            self.see_new_files()
            exts = dict(self._index.read("SELECT image, ext FROM images"))
            labels: dict[str, Entry] = {}
            for entry in self._index.entries(LABELS, tag=FINAL):
                if entry.image in exts and (entry.kind == REGION or entry.image not in labels):
                    labels[entry.image] = entry
        return [(image, exts[image], labels[image]) for image in sorted(labels)]

    def _checked(self, table: str, entry: Entry) -> Entry:
        """The entry whose file has the bytes it was stored with, read without the lock unless something is amiss."""
        try:
            path = self._layout.file(table, entry)
            if entry.sha256 and entry.is_at(path.stat()) and digest(path) == entry.sha256:
                return entry
        except OSError:
            pass  # Replaced meanwhile, or gone: look again where nothing else moves.
        with self._index.lock:
            named = {"image": entry.image, "tag": entry.tag, "kind": entry.kind}
            named |= {"reader": entry.reader} if table == READER_LABELS else {}
            present = next(iter(self._index.entries(table, **named)), entry)
            return self._watch.checked(self._index, table, present)

    def _known(self, image_id: str, refusal: str = "") -> None:
        if not self._index.read("SELECT 1 FROM images WHERE image = ?", (image_id,)):
            raise UnknownNameError(
                refusal or f"There is no case {image_id!r} on this server. GET /liver/cases lists them."
            )


def known_suffix(file_name: str, known: tuple[str, ...], kind: str) -> str:
    """How a file's name ends.

    Raises:
        UnsuitableInputError: not in one of the ``known`` ways.
    """
    name = os.path.basename(file_name)
    suffix = next((end for end in (CASE_SUFFIX, *IMAGE_SUFFIXES, *LABEL_SUFFIXES) if name.endswith(end)), None)
    suffix = suffix or file_ext(name)
    if suffix not in known:
        advice = " A case has several files: import it with 'liverlabel import'." if suffix == CASE_SUFFIX else ""
        raise UnsuitableInputError(
            f"The file of {'an' if kind[0] in 'aeiou' else 'a'} {kind} needs a name that ends in "
            f"{', '.join(known)}; found {suffix or 'none'!r}.{advice or ' Rename or convert it.'}"
        )
    return suffix


def reader_of(info: Mapping[str, Any], answer: bytes) -> str:
    """Who drew or answered, as the request or the answer's own file says; empty when neither does.

    Raises:
        UnsuitableInputError: a name outside the allow-list, or two different ones.
    """
    named = sorted({str(name) for name in (info.get("reader") or "", reader_in_answer(answer)) if name})
    if len(named) > 1:
        raise UnsuitableInputError(
            f"A label needs one reader; the request and its file name {named[0][:80]!r} and {named[1][:80]!r}. "
            "Correct one of them."
        )
    if named and not ID_PATTERN.fullmatch(named[0]):
        raise UnsuitableInputError(
            "'reader' needs a name of up to 128 letters, digits, '_', '-' and '.', starting with a letter or digit; "
            f"found {named[0][:80]!r}. Use initials or a number."
        )
    return named[0] if named else ""


def _plain(tag: str) -> str:
    """The tag as plain text; MONAI Label's own are members of an enumeration."""
    return str(getattr(tag, "value", tag))
