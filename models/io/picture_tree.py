"""Any folder tree of pictures as a cohort: which part, patient, answer and source each picture belongs to.

The rule, told by folder names from the top:

1. The folders directly inside are *parts* if one of them is named as one (train, val, test, fold1 ...), or if folders
   or a synthetic set lie in them; otherwise they are patients.
2. A folder, or ``Class_0``/``Class_1`` in a name, that says healthy or fatty is the *answer*; ``images`` means nothing.
3. Of the folders that are left, the deepest is the *patient*, the first of several the *source*; without any, the
   file's name without its last number is the patient: ``10_3.png`` is of patient 10. DICOM's PatientID goes first.
4. Pictures in a folder with ``synthetic.json`` are synthetic, each a patient of its own.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import UnsuitableInputError
from .files import read_bytes, sha256_of_bytes
from .picture_file import PICTURE_SUFFIXES, PictureFile, open_picture
from .synthetic_set import MANIFEST, read_manifest

TREE_SUFFIXES = (*PICTURE_SUFFIXES, ".dcm", ".dicom")
"""Endings of the files that are read; others are counted only."""
_PART = re.compile(r"(train|training|val|valid|validation|test|testing|hold-?out|fold[_-]?\d+)$", re.I)
_HELD_OUT = re.compile(r"(val|valid|validation|test|testing|hold-?out)$", re.I)
_HEALTHY = re.compile(r"(healthy|normal|negative|no[_-]?(nafld|steatosis)|class[_-]?0|0)$", re.I)
_FATTY = re.compile(r"(fatty|fatty[_-]?liver|nafld|steatosis|positive|class[_-]?1|1)$", re.I)
_MEANS_NOTHING = re.compile(r"(images?|imgs?|pictures|frames|pngs?|jpe?gs?|dicom)$", re.I)
_CLASS_IN_NAME = re.compile(r"(?:^|_)class_([01])(?:_|$)", re.I)
_NUMBER_AT_END = re.compile(r"[_\-. ]+(?:(?:image|img|frame|slice)[_\-. ]*)?\d+$", re.I)


@dataclass(frozen=True)
class TreePicture:
    """One picture (or frame) of a tree; its pixels are read later."""

    name: str
    """Path inside the tree with forward slashes; ``#3`` follows for frame 3 of several."""
    picture: PictureFile
    """The opened file."""
    frame: int
    """Index in it."""
    sha256: str
    """Hex digest of the file's bytes, with the frame where it has several."""
    patient_id: str
    """Of whom it is; of a synthetic picture its own name."""
    part: str | None = None
    """Of a split, or the folder that stands for one."""
    is_fatty: bool | None = None
    """What its place says; None: nothing."""
    source: str | None = None
    """Folder between part and patient, or the kind of generator."""
    is_synthetic: bool = False
    """True when a generator made it."""
    training_patients: tuple[str, ...] = ()
    """Whom its generator was trained on."""


@dataclass(frozen=True)
class PictureTree:
    """All pictures below a folder."""

    pictures: tuple[TreePicture, ...]
    """In the order of their names."""
    n_skipped: int
    """Files that are no pictures."""


def is_held_out(part: str | None) -> bool:
    """Whether a part's name says that nothing may be learned from it."""
    return bool(part and _HELD_OUT.match(part))


def read_picture_tree(
    folder: Path | str,
    patient_pattern: str | None = None,
    label_pattern: str | None = None,
    leave_out: str | None = None,
) -> PictureTree:
    """Find the pictures below a folder and what their places say of them.

    Args:
        folder: Holds PNG, JPEG or DICOM files at any depth; hidden ones are passed over.
        patient_pattern: Regular expression searched in each path inside the folder; its group ``patient``, or its
            first, is the patient. None: by the rule above.
        label_pattern: Pictures whose path it is found in are of fatty livers, the others healthy. None: by the rule.
        leave_out: Files whose path it is found in are not read, such as masks. None: all are.
    Raises:
        UnsuitableInputError: no folder, no pictures, a pattern that is none or does not match, a damaged picture.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UnsuitableInputError(f"A folder of pictures is needed; '{folder}' is none. Check the path.")
    find_patient, find_label = _compiled(patient_pattern, needs_group=True), _compiled(label_pattern)
    files, n_skipped = _files(folder)
    if (unwanted := _compiled(leave_out)) is not None:
        wanted = [path for path in files if not unwanted.search(path.relative_to(folder).as_posix())]
        files, n_skipped = wanted, n_skipped + len(files) - len(wanted)
    if not files:
        raise UnsuitableInputError(
            f"A folder of pictures is needed ({', '.join(TREE_SUFFIXES)}); '{folder.name}' holds none to be read among "
            f"{n_skipped} files. Check the path."
        )
    has_parts = _has_parts(folder, files)
    sets: dict[Path, dict[str, tuple]] = {}
    found = []
    for path in files:
        name = path.relative_to(folder).as_posix()
        home = next((p for p in path.parents if (p / MANIFEST).is_file() and p.is_relative_to(folder)), None)
        part = name.split("/")[0] if has_parts and "/" in name else None
        picture, digest = open_picture(path), sha256_of_bytes(read_bytes(path))
        if home is not None:
            if home not in sets:
                sets[home] = _synthetic(home)
            is_fatty, source, patients = sets[home].get(path.relative_to(home).as_posix(), (None, "synthetic", ()))
            found.append(TreePicture(name, picture, 0, digest, name, part, is_fatty, source, True, patients))
            continue
        is_fatty, patient, source = _by_rule(path.relative_to(folder), has_parts)
        patient = picture.patient_id or patient
        if find_patient is not None:
            match = find_patient.search(name)
            if match is None:
                raise UnsuitableInputError(
                    f"The patient pattern needs to be found in every path; '{name}' has no '{patient_pattern}'. "
                    "Change the pattern."
                )
            patient = match["patient"] if "patient" in find_patient.groupindex else match[1]
        if find_label is not None:
            is_fatty = find_label.search(name) is not None
        for frame in range(picture.n_frames):
            mark = f"#{frame}" if picture.n_frames > 1 else ""
            found.append(TreePicture(name + mark, picture, frame, digest + mark, patient, part, is_fatty, source))
    return PictureTree(tuple(found), n_skipped)


def _files(folder: Path) -> tuple[list[Path], int]:
    files, n_skipped = [], 0
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.startswith(".") or name == MANIFEST:
                continue
            if Path(name).suffix.lower() in TREE_SUFFIXES:
                files.append(Path(place) / name)
            else:
                n_skipped += 1
    return files, n_skipped


def _has_parts(folder: Path, files: list[Path]) -> bool:
    inner = [path.relative_to(folder).parts for path in files]
    tops = {parts[0] for parts in inner if len(parts) > 1}
    if any(_PART.match(top) or (folder / top / MANIFEST).is_file() for top in tops):
        return True
    deep = {parts[0] for parts in inner if len(parts) > 2 and not _MEANS_NOTHING.match(parts[1])}
    return any(not _is_answer(top) for top in deep)


def _is_answer(name: str) -> bool:
    return bool(_HEALTHY.match(name) or _FATTY.match(name))


def _by_rule(path: Path, has_parts: bool) -> tuple[bool | None, str, str | None]:
    """Answer, patient and source from a path inside the tree."""
    folders = list(path.parts[:-1])[1 if has_parts else 0 :]
    answer = next((bool(_FATTY.match(name)) for name in folders if _is_answer(name)), None)
    if answer is None and (match := _CLASS_IN_NAME.search(path.stem)):
        answer = match[1] == "1"
    left = [name for name in folders if not _is_answer(name) and not _MEANS_NOTHING.match(name)]
    patient = left[-1] if left else _NUMBER_AT_END.sub("", path.stem) or path.stem
    return answer, patient, left[0] if len(left) > 1 else None


def _synthetic(home: Path) -> dict[str, tuple]:
    """Path inside a synthetic set -> answer, source, training patients."""
    manifest = read_manifest(home)
    what = f"synthetic, {manifest.kind}"
    return {one.file: (one.is_fatty, what, manifest.training_patients) for one in manifest.images}


def _compiled(pattern: str | None, needs_group: bool = False) -> re.Pattern | None:
    if pattern is None:
        return None
    try:
        found = re.compile(pattern)
    except re.error as error:
        raise UnsuitableInputError(
            f"A pattern needs to be a regular expression; '{pattern}' is none: {error}. Correct it."
        ) from error
    if needs_group and not found.groups:
        raise UnsuitableInputError(
            f"A patient pattern needs a group in brackets, such as 'ID_([0-9]+)'; '{pattern}' has none. Add one."
        )
    return found
