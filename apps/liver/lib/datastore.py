"""The studies folder as MONAI Label's datastore: cases, images and the maps computed from them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from liver_models.io.files import write_atomically
from monailabel.datastore.local import DataModel, LocalDatastore

from .failures import UnknownNameError

MAP_SUFFIX = ".nii.gz"
EXTENSIONS = ("*.nii", "*.nrrd", "*.dcm", "*.mat", "*.nii.gz", "*.label.json", "*.case.json")
"""What counts as an image or a label; where two fit, the later one names the extension."""


class StudiesDatastore(LocalDatastore):
    """MONAI Label's local datastore behind one lock.

    The stock class is used by several threads and reloads in another one, which empties its index for a moment. This
    one looks for new files itself, under the lock, when the time stamp of a folder has changed.
    """

    def __init__(self, folder: str):
        self._lock = threading.RLock()
        self._seen: tuple[int, ...] = ()
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
        """Store maps under their own names as tags, writing the index once.

        Each file is complete before it takes the place of an older one.

        Raises:
            UnknownNameError: the case is gone.
            UnsuitableInputError: the disk is full or the folder cannot be written.
        """
        with self._lock:
            entry = self._datastore.objects.get(case_id)
            if entry is None:
                raise UnknownNameError(
                    f"There is no case {case_id!r} on this server any more; its maps were not stored."
                )
            name = self._filename(case_id, MAP_SUFFIX)
            for tag, content in maps.items():
                folder = Path(self._datastore.label_path(tag))
                folder.mkdir(parents=True, exist_ok=True)
                write_atomically(folder / name, content)
                entry.labels[tag] = DataModel(info={**info, "ts": int(time.time()), "name": name}, ext=MAP_SUFFIX)
            self._update_datastore_file()
            self._seen = self._stamps()

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
    "add_image",
    "datalist",
    "get_dataset_archive",
    "get_image_info",
    "get_image_uri",
    "get_label_info",
    "get_label_uri",
    "get_labeled_images",
    "get_labels_by_image_id",
    "get_unlabeled_images",
    "json",
    "list_images",
    "remove_image",
    "remove_label",
    "save_label",
    "status",
    "update_image_info",
    "update_label_info",
):
    setattr(StudiesDatastore, _name, _behind_the_lock(_name))
