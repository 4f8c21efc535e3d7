"""A set of generated images on disk: pictures, and the manifest that binds them to the fold their generator saw.

``images/*.png`` are grey pictures of one size; ``synthetic.json`` says which generator made them, from whose images it
learnt, with which seed, and holds the answer and the SHA-256 of each picture. It is written last: without it a folder
is an unfinished set.
"""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UnsuitableInputError
from .files import inside, read_bytes, sha256_of_bytes, write_atomically
from .manifest_checks import check_sha256, check_type, checked

SCHEMA = "liverlabel.synthetic_set"
SCHEMA_VERSION = 1
MANIFEST = "synthetic.json"
IMAGES_FOLDER = "images"
_N_SHOWN = 5


@dataclass(frozen=True)
class SyntheticImage:
    """One picture of a set."""

    file: str
    """Inside the set's folder."""
    is_fatty: bool
    """What the generator was asked for."""
    sha256: str
    """Hex digest of the file."""


@dataclass(frozen=True)
class SyntheticManifest:
    """What is known of a set."""

    kind: str
    """Of generator, such as ldm_class."""
    generator_sha256: str
    """Hex digest of the generator's weights."""
    generator: Mapping[str, Any]
    """Its architecture, version and what it was trained on, as its card says."""
    training_patients: tuple[str, ...]
    """Everybody whose images the generator saw, sorted."""
    seed: int
    """Image k is made from this seed and k."""
    sampler: Mapping[str, Any]
    """How the images were drawn, JSON-ready."""
    is_trained_on_simulated_data: bool
    """Whether any image that the generator saw was computed."""
    images: tuple[SyntheticImage, ...]
    """In the order they were made."""
    audit: Mapping[str, Any] = field(default_factory=dict)
    """What was found when the images were compared with the training images; empty: not compared."""


def picture_bytes(image: np.ndarray) -> bytes:
    """A grey image, shape (rows, columns), uint8, as PNG; the same image gives the same bytes."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def write_manifest(manifest: SyntheticManifest, folder: Path | str) -> None:
    """Write the manifest of a set whose pictures are there; the same manifest gives the same bytes.

    Raises:
        UnsuitableInputError: the disk is full or the folder cannot be written.
    """
    content = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **asdict(manifest)}
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(Path(folder) / MANIFEST, (text + "\n").encode("utf-8"))


def read_manifest(folder: Path | str) -> SyntheticManifest:
    """Read what is known of a set; pictures are not opened.

    Raises:
        UnsuitableInputError: no manifest, as in an unfinished set, or one with a fault.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise UnsuitableInputError(
            f"A synthetic set needs the file {MANIFEST}, which is written when it is complete; '{Path(folder).name}' "
            "has none. Finish it with the command that began it, or give another folder."
        )
    data = read_bytes(path)
    try:
        content = json.loads(data.decode("utf-8"))
    except ValueError as error:
        raise UnsuitableInputError(f"'{MANIFEST}' needs to be JSON; it cannot be read. Make the set again.") from error
    found = (content.get("schema"), content.get("schema_version")) if isinstance(content, dict) else None
    if found != (SCHEMA, SCHEMA_VERSION):
        raise UnsuitableInputError(
            f'A synthetic set needs "schema": "{SCHEMA}" and "schema_version": {SCHEMA_VERSION}; \'{MANIFEST}\' has '
            "others. Update LiverLabel or make the set again."
        )
    values = {key: value for key, value in content.items() if key not in ("schema", "schema_version")}
    values = checked(SyntheticManifest, values, MANIFEST)
    kinds = {"kind": (str,), "generator_sha256": (str,), "generator": (dict,), "training_patients": (list,)}
    kinds |= {"seed": (int,), "sampler": (dict,), "is_trained_on_simulated_data": (bool,), "images": (list,)}
    for key, types in kinds.items():
        check_type(values, key, types, MANIFEST)
    check_type(values, "audit", (dict,), MANIFEST)
    patients = values["training_patients"]
    if not patients or not all(isinstance(one, str) and one.strip() for one in patients):
        raise UnsuitableInputError(
            f"In '{MANIFEST}', training_patients needs the id of everybody whose images the generator saw; found "
            "none, or an empty one. Make the set again."
        )
    return SyntheticManifest(
        **{
            **values,
            "training_patients": tuple(sorted(patients)),
            "images": tuple(_image(one) for one in values["images"]),
        }
    )


def _image(values: object) -> SyntheticImage:
    values = checked(SyntheticImage, values, MANIFEST)
    check_type(values, "file", (str,), MANIFEST)
    check_type(values, "is_fatty", (bool,), MANIFEST)
    check_sha256(values, MANIFEST)
    return SyntheticImage(**values)


def read_images(manifest: SyntheticManifest, folder: Path | str) -> np.ndarray:
    """The pictures of a set, shape (n, rows, columns), uint8.

    Raises:
        UnsuitableInputError: no picture, one that is missing, was changed since, or is of another size than the others.
    """
    from PIL import Image, UnidentifiedImageError

    found = []
    for one in manifest.images:
        data = read_bytes(inside(Path(folder), one.file))
        if sha256_of_bytes(data) != one.sha256:
            raise UnsuitableInputError(
                f"The picture '{one.file}' needs to be as it was made; it was changed since. Make the set again."
            )
        try:
            found.append(np.asarray(Image.open(io.BytesIO(data)).convert("L")))
        except (UnidentifiedImageError, OSError) as error:
            raise UnsuitableInputError(f"'{one.file}' needs to be a picture; it is not. Make the set again.") from error
    shapes = sorted({image.shape for image in found})
    if len(shapes) != 1:
        sizes = ", ".join(f"{columns} x {rows}" for rows, columns in shapes) or "no picture"
        raise UnsuitableInputError(f"A synthetic set needs pictures of one size; found {sizes}. Make the set again.")
    return np.stack(found)


def check_fold(
    training_patients: Collection[str],
    fold_patients: Collection[str],
    held_out_patients: Collection[str],
    what: str = "The synthetic images",
) -> None:
    """Refuse images whose generator saw anybody but the training patients of the fold they are offered to.

    Args:
        training_patients: Whom the generator saw.
        fold_patients: Who may be learnt from.
        held_out_patients: Who is validated or tested on.
        what: Subject of the sentence.
    Raises:
        UnsuitableInputError: a held-out patient, or one that the fold does not train on.
    """
    seen = set(training_patients)
    for others, words in (
        (seen & set(held_out_patients), "held out here"),
        (seen - set(fold_patients), "not in this fold's training part"),
    ):
        if others:
            listed = ", ".join(f"'{one}'" for one in sorted(others)[:_N_SHOWN])
            more = f" and {len(others) - _N_SHOWN} more" if len(others) > _N_SHOWN else ""
            found = f"{what} need a generator that saw training patients of this fold only; theirs saw {len(others)} "
            found, advice = f"{found}patient(s) {words}", "Train a generator on this fold."
            raise UnsuitableInputError(f"{found}: {listed}{more}. {advice}", unnamed=f"{found}. {advice}")
