"""Which echoes the chosen files of a scan hold, read from their headers before anything is sent.

The rules are the server's: DICOM images are told apart by series, EchoTime, component and position, NIfTI images by
their name and the JSON beside them. This is a preview for the reader; the server reads the files itself and decides.
Echo times are milliseconds here, as in DICOM; JSON beside NIfTI holds seconds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import CancelledError, UnsuitableInputError
from .mr_headers import PARTS, Image, dicom_images, nifti_images

MIN_ECHOES = 3
MAX_FILES = 20_000
_NEEDS = {"phase": "magnitude", "real": "imaginary", "imaginary": "real"}


@dataclass(frozen=True)
class Echo:
    """A row of the table: one part of one echo of one series."""

    echo_time_ms: float
    """Milliseconds."""
    part: str
    """One of ``PARTS``."""
    n_slices: int
    """Different positions."""
    size: tuple[int, int]
    """(columns, rows)."""
    series: str
    """For people."""


@dataclass(frozen=True)
class Scan:
    """What the chosen files hold."""

    root: Path
    """The folder that the files' names are given relative to."""
    files: tuple[Path, ...]
    """Worth sending; empty where nothing can be used."""
    echoes: tuple[Echo, ...]
    """By series, part and echo time; empty for files whose headers only the server reads."""
    problems: tuple[str, ...]
    """Sentences on what the server will most likely refuse."""
    remarks: tuple[str, ...]
    """Sentences on what is left out or worth knowing."""


def files_in(chosen: Sequence[Path | str]) -> tuple[Path, list[Path]]:
    """The folder of what was chosen and the files in it, hidden ones left out.

    Raises:
        UnsuitableInputError: nothing is there, or far too much.
    """
    paths = [Path(one) for one in chosen]
    root = paths[0] if len(paths) == 1 and paths[0].is_dir() else Path(*_common([one.parent.parts for one in paths]))
    found = []
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and not any(part.startswith(".") for part in file.relative_to(root).parts):
                found.append(file)
            if len(found) > MAX_FILES:
                raise UnsuitableInputError(
                    f"The folder of one scan is needed; '{root.name}' holds more than {MAX_FILES} files. Choose the "
                    "folder of the scan itself."
                )
    if not found:
        raise UnsuitableInputError(f"The files of a scan are needed; '{root.name}' holds none. Choose another folder.")
    return root, found


def read_scan(
    chosen: Sequence[Path | str],
    report: Callable[[int, int], None] = lambda done, total: None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Scan:
    """Read the headers of files, or of a folder's.

    Args:
        chosen: Files, or one folder.
        report: Called as report(files done, files in all).
        is_cancelled: Asked before each file.
    Raises:
        UnsuitableInputError: there are no files.
        CancelledError: it was cancelled.
    """
    root, paths = files_in(chosen)
    sent: list[Path] = []
    images: list[Image] = []
    left_out: dict[str, list[str]] = defaultdict(list)
    remarks: list[str] = []
    for number, path in enumerate(paths):
        if is_cancelled():
            raise CancelledError("Cancelled. Nothing was read.")
        report(number, len(paths))
        name = path.name.lower()
        try:
            if name.endswith((".nii", ".nii.gz")):
                images += nifti_images(path, paths)
            elif name.endswith((".mat", ".zip")):
                remarks.append(f"'{path.name}' is read by the server.")
            elif not name.endswith(".json"):
                images += dicom_images(path)
            sent.append(path)
        except UnsuitableInputError as error:
            left_out[str(error)].append(path.name)
    report(len(paths), len(paths))
    remarks += [f"Left out, {reason}: {_listed(names)}." for reason, names in left_out.items()]
    if all(path.suffix.lower() == ".json" for path in sent):
        needed = "DICOM files of an MRI, NIfTI with JSON, a .mat or a .zip are needed; none of the files is one."
        return Scan(root, (), (), (needed,), tuple(remarks))
    echoes, problems, notes = group(images)
    return Scan(root, tuple(sent), echoes, problems, (*notes, *remarks))


def group(images: Iterable[Image]) -> tuple[tuple[Echo, ...], tuple[str, ...], tuple[str, ...]]:
    """Images as echoes, with sentences.

    Returns:
        (echoes, problems, remarks) as :class:`Scan` holds them.
    """
    problems: list[str] = []
    remarks: list[str] = []
    places: dict[tuple, dict[tuple, dict[tuple, list[Image]]]] = defaultdict(lambda: defaultdict(dict))
    without_time: dict[str, int] = defaultdict(int)
    n_others = 0
    visits = set()
    for image in images:
        if image.part is None:
            n_others += 1
        elif image.echo_time_ms is None:
            without_time[image.series] += 1
        else:
            visits.add(image.visit)
            at = (PARTS.index(image.part), round(image.echo_time_ms * 1e3))
            places[image.key][at].setdefault(image.position, []).append(image)
    if n_others:
        remarks.append(f"Not magnitude, phase, real or imaginary images, so not used: {n_others}.")
    for series, count in without_time.items():
        problems.append(
            f"EchoTime is needed; {series} has images without it ({count}). Export them with this attribute."
        )
    if len(visits) > 1:
        problems.append(f"One visit of one patient is needed; these files are of {len(visits)}. Choose those of one.")
    echoes = []
    for key in sorted(places):
        for _, slices in sorted(places[key].items()):
            first = next(iter(slices.values()))[0]
            n_slices = sum(image[0].n_slices for image in slices.values())
            echoes.append(Echo(first.echo_time_ms, first.part, n_slices, first.size, first.series))
        problems += _of_series(places[key])
    problems += _of_all(echoes)
    if {echo.part for echo in echoes} == {"magnitude"}:
        remarks.append("Magnitude images only: fat fractions above about 40 % cannot be told, and no field is found.")
    return tuple(echoes), tuple(problems), tuple(remarks)


def _of_series(echoes: dict) -> list[str]:
    """What is wrong within a series, given (part, time) -> position -> images."""
    found = []
    images = [image for slices in echoes.values() for twins in slices.values() for image in twins]
    series, sizes = images[0].series, sorted({image.size for image in images})
    if len(sizes) > 1:
        listed = " and ".join(f"{columns} x {rows}" for columns, rows in sizes)
        found.append(
            f"All echoes need one size; {series} has images of {listed} pixels. Choose the files of one acquisition."
        )
    if any(len(twins) > 1 for slices in echoes.values() for twins in slices.values()):
        found.append(
            f"One image is needed for each slice, part and echo time; {series} has several. Choose the files of one "
            "acquisition, without copies."
        )
    counts = sorted({sum(twins[0].n_slices for twins in slices.values()) for slices in echoes.values()})
    if len(counts) > 1:
        found.append(
            f"Every echo needs every slice; those of {series} have {counts[0]} to {counts[-1]} slices. Choose every "
            "file of the scan."
        )
    return found


def _of_all(echoes: Sequence[Echo]) -> list[str]:
    """What is wrong with the echoes together."""
    if not echoes:
        return []
    found = []
    times = sorted({echo.echo_time_ms for echo in echoes})
    if len(times) < MIN_ECHOES:
        listed = ", ".join(f"{time:g} ms" for time in times)
        found.append(
            f"PDFF needs at least {MIN_ECHOES} echoes; these files have {len(times)} ({listed}). Choose the files of "
            "every echo."
        )
    seen: dict[tuple, str] = {}
    twins: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for echo in echoes:
        other = seen.setdefault((echo.part, echo.echo_time_ms), echo.series)
        if other != echo.series:
            twins[other, echo.series, echo.part].append(echo.echo_time_ms)
    for (one, other, part), shared in twins.items():
        found.append(
            f"One scan is needed; {one} and {other} both hold {part} images of the same echoes "
            f"({', '.join(f'{time:g}' for time in shared)} ms). Choose the files of one of them."
        )
    parts = {echo.part for echo in echoes}
    if "magnitude" not in parts and not {"real", "imaginary"} <= parts:
        lone = min(parts)
        found.append(
            f"Complex images need both of their parts; found {' and '.join(sorted(parts))} without {_NEEDS[lone]} "
            f"images. Choose the {_NEEDS[lone]} images of every echo too."
        )
    return found


def _common(parts: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    common = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        common.append(level[0])
    return tuple(common)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(f"'{name}'" for name in names[:3]) + more
