"""Whether a region that is sent fits its case, told before it is stored; what it has to fit is read once a case."""

from __future__ import annotations

import threading
from pathlib import Path

from liver_models.errors import UnsuitableInputError
from liver_models.io.volumes import read_volume
from liver_models.segmentation import region_reading
from liver_models.segmentation.region_reading import RegionFrame


class RegionCheck:
    """Refuses regions that no method could learn from."""

    def __init__(self):
        self._kept: dict[Path, tuple[int, tuple[RegionFrame, ...]]] = {}
        self._reading = threading.Lock()

    def refuse_unfit(self, case_id: str, source: Path, region: Path, computed: Path | None = None) -> None:
        """Compare a region with its case; one whose images cannot be read takes any region that is not empty.

        Args:
            case_id: Of the case.
            source: The case or image.
            region: NIfTI label volume.
            computed: A map of the case, if there is one: a region that fits it is taken without reading the images.
        Raises:
            UnsuitableInputError: it is empty, no label volume, or of another size or geometry.
        """
        try:
            if computed is not None and _misfit(region, self._frames(computed)) is None:
                return
        except (OSError, UnsuitableInputError):
            pass  # The map is gone or damaged.
        try:
            frames = self._frames(source)
        except (OSError, UnsuitableInputError):
            frames = ()
        refusal = _misfit(region, frames)
        if (refusal is not None or not frames) and _is_empty(region):
            raise UnsuitableInputError(
                f"The region of '{case_id}' needs a voxel that is set; none is. Outline the liver, or leave the case "
                "unlabelled."
            )
        if refusal is not None:
            sentence = str(refusal).replace(f"'{region.name}'", f"the region of '{case_id}'")
            raise UnsuitableInputError(sentence) from refusal

    def _frames(self, source: Path) -> tuple[RegionFrame, ...]:
        stamp = source.stat().st_mtime_ns
        kept = self._kept.get(source)
        if kept is None or kept[0] != stamp:
            with self._reading:  # Some need all their echoes in memory: one case at a time.
                kept = self._kept[source] = stamp, region_reading.read_frames(source)
        return kept[1]


def _is_empty(region: Path) -> bool:
    try:
        return not (read_volume(region)[0] > 0).any()
    except UnsuitableInputError:
        return False


def _misfit(region: Path, frames: tuple[RegionFrame, ...]) -> UnsuitableInputError | None:
    """Why a region fits none of the frames; None: it fits one, or there is none."""
    refusal = None
    for frame in frames:
        try:
            region_reading.fitting_region(region, frame)
            return None
        except UnsuitableInputError as error:
            refusal = error
    return refusal
