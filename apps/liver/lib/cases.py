"""The stored cases as a client sees them."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from liver_models.io.case import CASE_SUFFIX
from liver_models.mri.maps import VOLUME_FIELDS

from .datastore import LiverDatastore
from .nafld_job import MAPS
from .nash_job import GRAD_CAM
from .region_job import MEASUREMENT_ROIS, REGION

MAP_NAMES = (*VOLUME_FIELDS, GRAD_CAM, *MAPS, REGION, MEASUREMENT_ROIS)
"""Tags under which results lie; every other one holds a reader's label."""


def listed_cases(datastore: LiverDatastore) -> list[dict[str, Any]]:
    """Each case or image with what is stored beside it, by id.

    ``is_simulated`` is None where it is not known: for a plain image, and for a case that was not fetched yet.
    """
    listed = []
    for case_id, path, time_stamp, tags in datastore.listing():
        is_case = path.name.endswith(CASE_SUFFIX)
        listed.append(
            {
                "id": case_id,
                "kind": "case" if is_case else "image",
                "is_simulated": _is_simulated(str(path), time_stamp) if is_case else None,
                "maps": [name for name in MAP_NAMES if name in tags],
                "labels": [tag for tag in tags if tag not in MAP_NAMES],
            }
        )
    return listed


@lru_cache(maxsize=65536)
def _is_simulated(path: str, _time_stamp: int) -> bool | None:
    """What the manifest says; None when it cannot be read, which measuring it will explain."""
    try:
        with open(path, encoding="utf-8") as opened:
            said = json.load(opened).get("is_simulated", False)
        return None if said is None else bool(said)
    except (OSError, ValueError, AttributeError):
        return None
