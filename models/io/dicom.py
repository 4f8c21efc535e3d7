"""DICOM folders: frames grouped by (series, position, component, EchoTime) and sorted by EchoTime.

A reader that stacks a series by position alone mixes echoes and components into one wrong volume; here each image goes
to the place its attributes name, whatever its file is called and in whatever order the files come.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ..errors import UnsuitableInputError
from .dicom_frames import Frame, frames_of
from .dicom_geometry import Stack, stack_of
from .echo_images import EchoImages, build_study, check_echoes, in_ms, used_parts
from .files import Found, FoundFile, FoundStudy, Skipped
from .pairing import Series, acquisitions
from .study import MIN_ECHOES, MultiEchoStudy, SourceFile


def find_dicom(files: Sequence[Path], root: Path) -> Found:
    """The multi-echo acquisitions in DICOM files.

    Args:
        files: The files to look at; others than DICOM are listed as skipped.
        root: Folder to which file names are given relative.
    Raises:
        UnsuitableInputError: a DICOM file that is cut short; a phase series that fits several magnitude series.
    """
    by_series: dict[tuple, list[Frame]] = defaultdict(list)
    skipped: list[Skipped] = []
    for path in sorted(files):
        frames, unused = frames_of(path, path.relative_to(root).as_posix())
        skipped += unused
        for frame in frames:
            by_series[*frame.visit, frame.series_number, frame.series_uid].append(frame)
    keys = sorted(by_series)
    series = [by_series[key] for key in keys]
    studies = []
    for members in acquisitions([_series(frames) for frames in series]):
        frames = _ordered([frame for index in members for frame in series[index]])
        label = _label([series[index][0] for index in members])
        n_echoes = len({frame.echo_time_us for frame in frames})
        if n_echoes < MIN_ECHOES:
            reason = f"PDFF needs at least {MIN_ECHOES} echoes; this series has {n_echoes}. Export every echo"
            skipped.append(Skipped(label, reason))
            continue
        try:
            parts = used_parts({frame.part for frame in frames})
        except UnsuitableInputError as error:
            skipped.append(Skipped(label, str(error).rstrip(".")))
            continue
        others = sorted({frame.part for frame in frames} - set(parts))
        if others:
            chosen = f"the {' and '.join(parts)} images of the same echoes are used"
            skipped.append(Skipped(label, f"{' and '.join(others)} images: {chosen}"))
        used = [frame for frame in frames if frame.part in parts]
        studies.append(FoundStudy(label, "dicom", _files(used), partial(_read, used, label)))
    return Found(tuple(studies), tuple(skipped))


def _ordered(frames: list[Frame]) -> list[Frame]:
    """In an order that depends on what the images are, not on the names of their files."""
    return sorted(frames, key=lambda f: (f.part, f.echo_time_us, f.position, f.series_uid, f.sha256, f.index or 0))


def _series(frames: list[Frame]) -> Series:
    first = min(frames, key=lambda frame: (frame.echo_time_us, frame.part, frame.position))
    rounded = tuple(round(value, 3) for value in (*first.orientation, *first.pixel_spacing))
    return Series(
        label=_label([first]),
        visit=first.visit,
        parts=frozenset(frame.part for frame in frames),
        echo_times_us=frozenset(frame.echo_time_us for frame in frames),
        geometry=(first.shape, rounded),
        protocol=first.protocol,
        acquired=min(frame.acquired for frame in frames),
        number=first.series_number,
    )


def _label(firsts: list[Frame]) -> str:
    described = [
        f"series {f.series_number}" + (f" '{f.series_description}'" if f.series_description else "") for f in firsts
    ]
    return " + ".join(dict.fromkeys(described))


def _files(frames: list[Frame]) -> tuple[FoundFile, ...]:
    by_path: dict[Path, list[Frame]] = defaultdict(list)
    for frame in frames:
        by_path[frame.path].append(frame)
    files = []
    for path, members in by_path.items():
        parts = {frame.part for frame in members}
        times = tuple(time / 1e6 for time in sorted({frame.echo_time_us for frame in members}))
        part = parts.pop() if len(parts) == 1 else "mixed"
        files.append(FoundFile(path, members[0].name, members[0].sha256, part, times))
    return tuple(files)


def _read(frames: list[Frame], label: str) -> MultiEchoStudy:
    shapes = {frame.shape for frame in frames}
    if len(shapes) > 1:
        listed = ", ".join(f"{columns} x {rows}" for rows, columns in sorted(shapes))
        raise UnsuitableInputError(
            f"All echoes need one geometry; the images of {label} have {listed} pixels. Export the echoes of one "
            "acquisition."
        )
    stack = stack_of(
        [frame.position for frame in frames],
        [frame.orientation for frame in frames],
        [frame.pixel_spacing for frame in frames],
        label,
        frames[0].slice_spacing,
    )
    images = EchoImages(label, _volumes(frames, stack, label))
    images.echo_numbers = {f.echo_time_us: f.echo_number for f in frames if f.echo_number is not None}
    check_echoes(images)
    _check_slices(frames, stack, label)
    images.phase_unit = next((f.phase_unit for f in frames if f.part == "phase" and f.phase_unit), None)
    images.fixes_alternating_slices = frames[0].is_ge_3d
    notes = ()
    if stack.is_thickness_assumed:
        notes = ("The one slice names no thickness; 1 mm was assumed.",)
    images.fields = {
        "affine": stack.affine,
        "field_strength_t": _field_strength(frames, label),
        "patient_id": frames[0].visit[1] or None,
        "is_simulated": all(frame.is_simulated for frame in frames),
        "sources": tuple(SourceFile(file.name, file.sha256) for file in _files(frames)),
        "warnings": notes,
    }
    return build_study(images)


def _volumes(frames: list[Frame], stack: Stack, label: str):
    """Part -> echo time -> loader of the volume.

    Raises:
        UnsuitableInputError: two images at one place.
    """
    places: dict[str, dict[int, dict[int, Frame]]] = defaultdict(lambda: defaultdict(dict))
    for frame, slice_number in zip(frames, stack.slice_of, strict=True):
        place = places[frame.part][frame.echo_time_us]
        if slice_number in place:
            names = " and ".join(sorted(f"'{twin.name}'" for twin in (place[slice_number], frame)))
            raise UnsuitableInputError(
                f"One {frame.part} image is needed for each slice and echo time; {label} has two at "
                f"{in_ms(frame.echo_time_us)}: {names}. Remove the duplicate "
                "or give the folder of one acquisition at a time."
            )
        place[slice_number] = frame
    return {
        part: {time: partial(_volume, slices, stack.n_slices) for time, slices in echoes.items()}
        for part, echoes in places.items()
    }


def _check_slices(frames: list[Frame], stack: Stack, label: str) -> None:
    """Refuse unless every echo of every part has every slice."""
    seen = defaultdict(set)
    for frame, slice_number in zip(frames, stack.slice_of, strict=True):
        seen[frame.part, frame.echo_time_us].add(slice_number)
    counts = {len(slices) for slices in seen.values()}
    for (part, time), slices in sorted(seen.items()):
        if len(slices) == stack.n_slices:
            continue
        if len(counts) == 1:
            raise UnsuitableInputError(
                f"All echoes need one geometry; the slices of {label} lie at {stack.n_slices} positions, the {part} "
                f"image at {in_ms(time)} has {len(slices)} of them. Export the echoes of one acquisition."
            )
        raise UnsuitableInputError(
            f"Every echo needs every slice; {label} has {stack.n_slices} slices, but its {part} image at {in_ms(time)} "
            f"has {len(slices)}. Export every image."
        )


def _volume(slices: dict[int, Frame], n_slices: int) -> np.ndarray:
    rows, columns = slices[0].shape
    volume = np.empty((columns, rows, n_slices), dtype=np.float32)
    for number, frame in slices.items():
        volume[:, :, number] = frame.pixels()
    return volume


def _field_strength(frames: list[Frame], label: str) -> float:
    fields = {frame.field_strength_t for frame in frames}
    if None in fields:
        raise UnsuitableInputError(
            f"The field strength is needed; {label} has neither MagneticFieldStrength nor ImagingFrequency. Export it "
            "without removing these attributes."
        )
    if max(fields) - min(fields) > 0.01 * max(fields):
        raise UnsuitableInputError(
            f"One field strength is needed; {label} has {min(fields):g} to {max(fields):g} T. Export one acquisition."
        )
    return min(fields)
