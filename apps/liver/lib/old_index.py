"""What MONAI Label's own index, which earlier versions kept, knows of the labels."""

from __future__ import annotations

import json
import logging
import os
from typing import Any

from .layout import IMAGES, LABELS, Entry, Layout, kind_of, sidecar, write_sidecar
from .reconcile import known_reader

logger = logging.getLogger(__name__)
OLD_NAME = "datastore_v2.json"


def take_over(layout: Layout) -> dict[str, str]:
    """Describe every file as the old index does, once; the old index is then renamed.

    Returns:
        Name and description of the data set, if there was an old index.
    """
    old = layout.root / OLD_NAME
    if not old.is_file():
        return {}
    told = {}
    try:
        content = json.loads(old.read_bytes())
        for image, item in content["objects"].items():
            _describe(layout, IMAGES, image, item["image"], "")
            for tag, label in item["labels"].items():
                _describe(layout, LABELS, image, label, tag)
        told = {key: str(content[key]) for key in ("name", "description") if key in content}
    except (ValueError, KeyError, TypeError, AttributeError):
        logger.warning("The old index %s cannot be read; the files are listed without what it knew of them.", OLD_NAME)
    os.sync()
    os.replace(old, f"{old}.former")
    return told


def _describe(layout: Layout, table: str, image: str, item: dict[str, Any], tag: str) -> None:
    info, is_label = dict(item["info"]), table == LABELS
    reader = known_reader(str(info.get("reader", ""))) if is_label else ""
    entry = Entry(
        image, item["ext"], tag, kind_of(item["ext"]) if is_label else "", reader, info, int(info.get("ts", 0))
    )
    path = layout.file(table, entry)
    if not path.is_file() or sidecar(path).exists():
        return
    found = path.stat()
    known = {"size": found.st_size, "mtime_ns": found.st_mtime_ns}
    write_sidecar(path, Entry(**{**vars(entry), **known}), is_synced=False)
