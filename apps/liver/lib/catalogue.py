"""What MONAI Label and our own routes read from the studies folder."""

from __future__ import annotations

import io
import json
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore

from .answers import tasks_answered
from .failures import UnknownNameError
from .index import Index
from .layout import ANSWER, IMAGES, KINDS, LABELS, READER_LABELS, REGION, Entry, Layout, digest
from .reconcile import FolderWatch

FINAL = "final"
"""The tag of labels that methods learn from."""


class Catalogue(Datastore):
    """The reading half of :class:`.datastore.LiverDatastore`."""

    folder: Path
    _layout: Layout
    _index: Index
    _watch: FolderWatch
    _archive: Path
    _told: dict[str, str]

    def see_new_files(self) -> None:
        """Bring the index up to date with the folder if that has changed."""
        with self._index.lock:
            self._watch.see_new_files(self._index)

    def list_images(self) -> list[str]:
        """Ids of the cases and images."""
        return [row[0] for row in self._rows("SELECT image FROM images ORDER BY image")]

    def cases_at_hand(self) -> list[str]:
        """Ids of the cases that a training reads when none are named."""
        return self.list_images()

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

    def get_labels_by_image_id(self, image_id: str) -> dict[str, str]:
        """Tag -> id of each label of an image."""
        query = "SELECT DISTINCT tag FROM labels WHERE image IN (SELECT image FROM images) AND image = ? ORDER BY tag"
        return {row[0]: image_id for row in self._rows(query, image_id)}

    def get_label_by_image_id(self, image_id: str, tag: str) -> str:
        """Id of the label of an image under a tag; empty when there is none."""
        return self.get_labels_by_image_id(image_id).get(plain(tag), "")

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

    def get_labeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """Ids of the images with a label under a tag, ``final`` if none is named."""
        query = "SELECT DISTINCT image FROM labels WHERE image IN (SELECT image FROM images) AND tag = ? ORDER BY image"
        return [row[0] for row in self._rows(query, plain(label_tag or FINAL))]

    def get_unlabeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """Ids of the images without a label under a tag, ``final`` if none is named."""
        query = "SELECT image FROM images WHERE image NOT IN (SELECT image FROM labels WHERE tag = ?) ORDER BY image"
        return [row[0] for row in self._rows(query, plain(label_tag or FINAL))]

    def labelled_with(self, kind: str, tag: str = FINAL, task: str | None = None) -> list[str]:
        """Ids of the images with a label of a kind, "region" or "answer", in the order of saving.

        Args:
            kind: Of the labels.
            tag: Under which they lie.
            task: Only images with an answer to it; a file that does not say what it answers counts.
        """
        query = (
            "SELECT image, ext, mtime_ns, size FROM labels WHERE kind = ? AND tag = ? AND image IN (SELECT image FROM "
            "images) ORDER BY ts"
        )
        folder, found = self._layout.folder(LABELS, tag), []
        for image, ext, *stamp in self._rows(query, kind, tag):
            tasks = None if task is None else tasks_answered(folder / f"{image}{ext}", *stamp)
            if tasks is None or task in tasks:
                found.append(image)
        return found

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

    def status(self) -> dict[str, Any]:
        """How many images there are, how many are labelled, and how many have each tag."""
        query = "SELECT tag, COUNT(DISTINCT image) FROM labels WHERE image IN (SELECT image FROM images) GROUP BY tag"
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

    def description(self) -> str:
        """Description of the data set."""
        return self._told["description"]

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
            found = {entry.kind: entry for entry in self._index.entries(LABELS, image=case_id, tag=plain(tag))}
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


def plain(tag: str) -> str:
    """The tag as plain text; MONAI Label's own are members of an enumeration."""
    return str(getattr(tag, "value", tag))
