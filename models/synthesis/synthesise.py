"""Draw a set of images from a trained generator: in chunks, into a folder that says what it is when it is complete.

1. ``unfinished.json`` says what is being drawn: generator, numbers, seed, sampler.
2. Chunk by chunk, pictures are written, each whole or not at all.
3. The manifest is written last, then ``unfinished.json`` is removed.

Stopped anywhere, even by a power cut or a full disk, the same call goes on with the first picture that lacks, to the
same bytes, because image k depends on the seed and k only.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UnsuitableInputError
from ..io.files import inside, read_bytes, sha256_of_bytes, write_atomically
from ..io.synthetic_set import (
    IMAGES_FOLDER,
    MANIFEST,
    SyntheticImage,
    SyntheticManifest,
    picture_bytes,
    read_images,
    read_manifest,
    write_manifest,
)
from ..reports.folder import check_own_folder
from ..weights import Weights, digest_of_weights, load_weights
from .generator import Generator, load_generator

UNFINISHED = "unfinished.json"
"""What is being drawn, as long as it is."""
MOST_IMAGES = 99_999
"""Of one set: pictures have five digits."""
_CARD_KEYS = ("name", "architecture", "version", "trained_on", "seed", "frames_sha256")
"""Of the generator's card that a manifest repeats."""
_LEFT_OVER = ".writing-*"
"""Pictures that a killed process had not finished."""

Audit = Callable[[np.ndarray, np.ndarray], Mapping[str, Any]]
"""Images and what they were asked to be -> what was found when they were compared with the training images."""


def answers_of(n_healthy: int, n_fatty: int) -> np.ndarray:
    """Which images of a set are to be fatty, shape (n,), bool: spread evenly, so that the first of a set are one too.

    Raises:
        UnsuitableInputError: no image, or too many.
    """
    n = n_healthy + n_fatty
    if min(n_healthy, n_fatty) < 0 or not 1 <= n <= MOST_IMAGES:
        raise UnsuitableInputError(
            f"A synthetic set needs 1 to {MOST_IMAGES} images; found {n_healthy} healthy and {n_fatty} fatty. Ask for "
            "others."
        )
    return np.diff(np.arange(n + 1) * n_fatty // n) > 0


def synthesise(
    weights: Weights | Path | str,
    n_healthy: int,
    n_fatty: int,
    seed: int,
    out: Path | str,
    *,
    sampler: Any = None,
    audit: Audit | Mapping[str, Any] | None = None,
    batch: int = 32,
    progress: Callable[[int, int], None] | None = None,
) -> SyntheticManifest:
    """Draw images into a folder.

    Args:
        weights: Of a generator of any kind, or their file.
        n_healthy: Images without fatty liver.
        n_fatty: Images with.
        seed: From 0; image k is made from it and k.
        out: New, empty, or begun by the same call.
        sampler: How to draw, for kinds that know several ways: a :class:`.samplers.SamplerOptions`; None: their own.
        audit: What was found when images are compared with training images, or what finds it; None: not compared.
        batch: Images drawn between two looks at the disk.
        progress: Called with images done and in all; it may raise to stop.
    Returns:
        The manifest of the complete set.
    Raises:
        UnsuitableInputError: weights of no generator, a folder of something else or of another set, or a disk that is
            full, after which the same call goes on.
    """
    out, answers = Path(out), answers_of(n_healthy, n_fatty)
    if seed < 0 or batch < 1:
        raise UnsuitableInputError(f"A set needs a seed from 0 and a batch from 1; found {seed} and {batch}.")
    if not isinstance(weights, Weights):
        weights = load_weights(weights)
    generator = _with_sampler(load_generator(weights), sampler)
    begun = {
        "generator_sha256": digest_of_weights(weights),
        "kind": generator.kind,
        "n_healthy": n_healthy,
        "n_fatty": n_fatty,
        "seed": seed,
        "sampler": json.loads(json.dumps(dict(generator.sampler()))),
    }
    check_own_folder(out, (IMAGES_FOLDER, MANIFEST, UNFINISHED))
    if (out / MANIFEST).exists():
        found = _finished(out, begun)
        manifest = _audited(found, out, audit)
        if manifest is not found:
            write_manifest(manifest, out)
        return manifest
    _begin(out, begun)
    names = [f"{IMAGES_FOLDER}/{k:05d}.png" for k in range(len(answers))]
    _draw(generator, answers, seed, out, names, batch, progress)
    images = tuple(
        SyntheticImage(name, bool(answer), sha256_of_bytes(read_bytes(out / name)))
        for name, answer in zip(names, answers, strict=True)
    )
    manifest = SyntheticManifest(
        kind=generator.kind,
        generator_sha256=begun["generator_sha256"],
        generator={key: weights.card[key] for key in _CARD_KEYS if key in weights.card},
        training_patients=tuple(generator.training_patients),
        seed=seed,
        sampler=begun["sampler"],
        is_trained_on_simulated_data=generator.is_trained_on_simulated_data,
        images=images,
    )
    manifest = _audited(manifest, out, audit)
    write_manifest(manifest, out)
    (out / UNFINISHED).unlink(missing_ok=True)
    if progress:
        progress(len(answers), len(answers))
    return manifest


def _with_sampler(generator: Generator, sampler: Any) -> Generator:
    if sampler is None:
        return generator
    if not hasattr(generator, "with_sampler"):
        raise UnsuitableInputError(
            f"A generator of kind '{generator.kind}' draws in one way only; found a sampler. Leave it out."
        )
    return generator.with_sampler(sampler)


def _audited(manifest: SyntheticManifest, out: Path, audit: Audit | Mapping[str, Any] | None) -> SyntheticManifest:
    """The manifest with what an audit says, unless it says something already; pictures are read for an audit only."""
    if audit is None or manifest.audit:
        return manifest
    if callable(audit):
        answers = np.array([one.is_fatty for one in manifest.images], bool)
        audit = audit(read_images(manifest, out), answers)
    return replace(manifest, audit=dict(audit))


def _finished(out: Path, begun: Mapping[str, Any]) -> SyntheticManifest:
    """The complete set that is there, if it is the one asked for and its pictures are as they were made."""
    manifest = read_manifest(out)
    n_fatty = sum(one.is_fatty for one in manifest.images)
    found = {"n_healthy": len(manifest.images) - n_fatty, "n_fatty": n_fatty}
    found |= {key: getattr(manifest, key) for key in ("generator_sha256", "kind", "seed", "sampler")}
    _check_same(found, begun)
    for one in manifest.images:
        path = inside(out, one.file)
        if not path.is_file() or sha256_of_bytes(read_bytes(path)) != one.sha256:
            raise UnsuitableInputError(
                f"A complete set needs its pictures as they were made; '{path.name}' is missing or was changed since. "
                "Remove the folder and draw the set again."
            )
    (out / UNFINISHED).unlink(missing_ok=True)
    return manifest


def _begin(out: Path, begun: Mapping[str, Any]) -> None:
    """Say what is being drawn, or check that it is what was begun."""
    path = out / UNFINISHED
    if path.exists():
        try:
            found = json.loads(read_bytes(path).decode("utf-8"))
        except ValueError as error:
            raise UnsuitableInputError(
                f"'{UNFINISHED}' needs to be as it was written; it cannot be read. Remove the folder and start again."
            ) from error
        _check_same(found, begun)
    elif out.is_dir() and any(out.glob(f"{IMAGES_FOLDER}/*.png")):
        raise UnsuitableInputError(
            f"A set needs a new folder or one that says what was begun in it; '{out.name}' holds pictures only. Choose "
            "a new folder."
        )
    else:
        write_atomically(path, (json.dumps(begun, indent=1) + "\n").encode("utf-8"))
    for folder in (out, out / IMAGES_FOLDER):
        for left in folder.glob(_LEFT_OVER):
            left.unlink()


def _check_same(found: Any, begun: Mapping[str, Any]) -> None:
    other = [key for key in begun if not isinstance(found, dict) or found.get(key) != begun[key]]
    if other:
        raise UnsuitableInputError(
            "Going on needs the same generator, numbers, seed and sampler; what was begun in this folder has another "
            f"{other[0]}. Choose a new folder."
        )


def _draw(generator: Generator, answers, seed, out: Path, names, batch, progress) -> None:
    n = len(answers)
    for start in range(0, n, batch):
        chosen = range(start, min(start + batch, n))
        lacking = [k for k in chosen if not _is_whole(out / names[k], generator.side)]
        if not lacking:
            continue
        first, end = lacking[0], lacking[-1] + 1

        def told(done: int, steps: int, first: int = first, end: int = end) -> None:
            progress(first + (end - first) * done // max(steps, 1), n)

        images = generator.sample(answers[first:end], seed, first=first, progress=told if progress else None)
        for k in lacking:
            _write_picture(out, names[k], picture_bytes(images[k - first]), k, n)


def _is_whole(path: Path, side: int) -> bool:
    """Whether a picture can be read, and is as large as the generator's."""
    from PIL import Image, UnidentifiedImageError

    if not path.is_file():
        return False
    try:
        with Image.open(io.BytesIO(read_bytes(path))) as picture:
            picture.load()
            return picture.size == (side, side) and picture.mode == "L"
    except (UnidentifiedImageError, OSError, SyntaxError):
        return False


def _write_picture(out: Path, name: str, data: bytes, n_before: int, n: int) -> None:
    try:
        write_atomically(out / name, data)
    except UnsuitableInputError as error:
        reason = getattr(error.__cause__, "strerror", None) or "write failed"
        raise UnsuitableInputError(
            f"A folder with free space that can be written is needed for '{Path(name).name}'; found: {reason}. "
            f"{n_before} of {n} images are kept. Free some space and start again: it goes on from there."
        ) from error
