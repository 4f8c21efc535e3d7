"""The studies folder as MONAI Label's datastore: cases, images and the maps computed from them."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from liver_models.errors import UnsuitableInputError
from liver_models.io.case import CASE_SUFFIX, files_folder
from liver_models.io.files import cannot_write, write_atomically
from monailabel.datastore.local import DataModel, ImageLabelModel, LocalDatastore

from .failures import UnknownNameError

MAP_SUFFIX = ".nii.gz"
EXTENSIONS = ("*.nii", "*.nrrd", "*.dcm", "*.mat", "*.nii.gz", "*.label.json", "*.case.json")
"""What counts as an image or a label; where two fit, the later one names the extension."""
IMAGE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".dcm", ".mat")
"""What may be stored as an image over HTTP; a case has several files and is imported."""
LABEL_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".label.json")
"""What may be stored as a label over HTTP."""


class StudiesDatastore(LocalDatastore):
    """MONAI Label's local datastore behind one lock.

    The stock class is used by several threads and reloads in another one, which empties its index for a moment. This
    one looks for new files itself, under the lock, when the time stamp of a folder has changed.
    """

    def __init__(self, folder: str):
        self._lock = threading.RLock()
        self._seen: tuple[int, ...] = ()
        self._archive = Path(folder) / ".no-archive-yet"
        super().__init__(folder, extensions=list(EXTENSIONS), auto_reload=False)

    def see_new_files(self) -> None:
        """Bring the index up to date with the folder if that has changed."""
        with self._lock:
            stamps = self._stamps()
            if stamps != self._seen:
                self._seen = stamps
                self._reconcile_datastore()

    def case_source(self, case_id: str) -> Path:
        """The file of a case or image.

        Raises:
            UnknownNameError: there is none.
        """
        path = self.get_image_uri(case_id)
        if not path or not os.path.isfile(path):
            raise UnknownNameError(f"There is no case {case_id!r} on this server. GET /liver/cases lists them.")
        return Path(path)

    def label_file(self, case_id: str, tag: str) -> Path | None:
        """The label of a case under a tag; None when there is none."""
        path = self.get_label_uri(case_id, tag)
        return Path(path) if path and os.path.isfile(path) else None

    def save_maps(self, case_id: str, maps: Mapping[str, bytes], info: dict[str, Any]) -> None:
        """Store maps under their own names as tags, all of them or none, writing the index once.

        Raises:
            UnknownNameError: the case is gone.
            UnsuitableInputError: the disk is full or the folder cannot be written.
        """
        with self._lock:
            self.see_new_files()
            entry = self._datastore.objects.get(case_id)
            if entry is None:
                raise UnknownNameError(
                    f"There is no case {case_id!r} on this server any more; its maps were not stored."
                )
            self._store_labels(case_id, maps, MAP_SUFFIX, info)

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Store a label of an image, whole or not at all.

        Raises:
            UnknownNameError: there is no such image.
            UnsuitableInputError: a file of another kind, or the disk is full.
        """
        with self._lock:
            self.see_new_files()
            if image_id not in self._datastore.objects:
                raise UnknownNameError(f"There is no case {image_id!r} on this server. GET /liver/cases lists them.")
            suffix = self._known_suffix(label_filename, LABEL_SUFFIXES, "label")
            self._store_labels(image_id, {label_tag: Path(label_filename).read_bytes()}, suffix, label_info or {})
            return image_id

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Store an image under an id that is free, whole or not at all; the same bytes may be sent again.

        Raises:
            UnsuitableInputError: a file of another kind, an id that is taken, or the disk is full.
        """
        with self._lock:
            self.see_new_files()
            suffix = self._known_suffix(image_filename, IMAGE_SUFFIXES, "image")
            content = Path(image_filename).read_bytes()
            target = Path(self._datastore.image_path()) / self._filename(image_id, suffix)
            if image_id in self._datastore.objects:
                if target.is_file() and target.read_bytes() == content:
                    return image_id
                raise UnsuitableInputError(
                    f"A new image needs an id that is free; {image_id!r} is taken by another. Choose another id, or "
                    "delete that one first."
                )
            write_atomically(target, content)
            info = {**(image_info or {}), "ts": int(time.time()), "name": target.name}
            self._datastore.objects[image_id] = ImageLabelModel(image=DataModel(info=info, ext=suffix))
            self._index_changed()
            return image_id

    def remove_image(self, image_id: str) -> None:
        """Remove an image or a case with its labels, maps and raw files."""
        with self._lock:
            is_case = Path(self.get_image_uri(image_id)).name.endswith(CASE_SUFFIX)
            super().remove_image(image_id)
            if is_case:
                shutil.rmtree(files_folder(Path(self._datastore_path), image_id), ignore_errors=True)

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        """The labelled images as a .zip file, which the next one replaces.

        Raises:
            UnknownNameError: none has a label under the tag ``final``.
        """
        with self._lock:
            if not self.datalist():
                raise UnknownNameError("The data set holds cases with a label under the tag 'final'; there is none.")
            self._archive.unlink(missing_ok=True)
            self._archive = Path(super().get_dataset_archive(limit_cases))
            return str(self._archive)

    def _known_suffix(self, file_name: str, known: tuple[str, ...], kind: str) -> str:
        suffix = self._to_id(os.path.basename(file_name))[1]
        if suffix not in known:
            advice = " A case has several files: import it with 'liverlabel import'." if suffix == CASE_SUFFIX else ""
            raise UnsuitableInputError(
                f"The file of {'an' if kind[0] in 'aeiou' else 'a'} {kind} needs a name that ends in "
                f"{', '.join(known)}; found {suffix or 'none'!r}.{advice or ' Rename or convert it.'}"
            )
        return suffix

    def _store_labels(self, image_id: str, contents: Mapping[str, bytes], suffix: str, info: Mapping[str, Any]) -> None:
        """Write every label into a hidden folder first, then move each to its tag."""
        name = self._filename(image_id, suffix)
        labels = self._datastore.objects[image_id].labels
        staging = None
        try:
            staging = Path(tempfile.mkdtemp(prefix=".storing-", dir=self._datastore_path))
            for tag, content in contents.items():
                write_atomically(staging / tag / name, content)
            for tag in contents:
                folder = Path(self._datastore.label_path(tag))
                folder.mkdir(parents=True, exist_ok=True)
                os.replace(staging / tag / name, folder / name)
                if tag in labels and labels[tag].ext != suffix:
                    (folder / self._filename(image_id, labels[tag].ext)).unlink(missing_ok=True)
                labels[tag] = DataModel(info={**info, "ts": int(time.time()), "name": name}, ext=suffix)
        except OSError as error:
            raise cannot_write(Path(name), error) from error
        finally:
            if staging is not None:
                shutil.rmtree(staging, ignore_errors=True)
        self._index_changed()

    def _index_changed(self) -> None:
        self._update_datastore_file()
        self._seen = self._stamps()

    def _update_datastore_file(self, lock: bool = True) -> None:
        """Write the index whole or not at all: on a full disk the stock class leaves half of it, and starts no more.

        Args:
            lock: Not used; every caller holds this class's own lock.
        """
        content = json.dumps(self._datastore.model_dump(exclude={"base_path"}), indent=2, default=str)
        write_atomically(Path(self._datastore_config_path), content.encode())
        self._config_ts = os.stat(self._datastore_config_path).st_mtime

    def _stamps(self) -> tuple[int, ...]:
        labels = Path(self._datastore.label_path(None))
        folders = [
            Path(self._datastore.image_path()),
            labels,
            *sorted(path for path in labels.iterdir() if path.is_dir()),
        ]
        return tuple(folder.stat().st_mtime_ns for folder in folders)


def _behind_the_lock(name: str):
    stock = getattr(LocalDatastore, name)

    def method(self: StudiesDatastore, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            self.see_new_files()
            return stock(self, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = stock.__doc__
    return method


for _name in (
    "datalist",
    "get_image_info",
    "get_image_uri",
    "get_label_info",
    "get_label_uri",
    "get_labeled_images",
    "get_labels_by_image_id",
    "get_unlabeled_images",
    "json",
    "list_images",
    "remove_label",
    "status",
    "update_image_info",
    "update_label_info",
):
    setattr(StudiesDatastore, _name, _behind_the_lock(_name))
