"""A reader study: can people tell generated frames from real ones? Which images, in which order, and the key to them.

1. Real frames are dealt from the patients in turn, so that no patient is shown twice while another is not shown.
2. Generated images are drawn from each source, without repetition, healthy and fatty alike where that is known.
3. All are shown in one order, the same for every reader. Order and draw depend on the seed *and* on the pixels of all
   images at hand: who has the page alone cannot work them out.

Source: Hardy R et al., Sci Rep 2023, 10.1038/s41598-023-48062-z (Methods: 20 real, 15 and 15 synthetic images).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UnsuitableInputError
from ..io.files import read_bytes, write_atomically
from ..io.manifest_checks import check_type, checked

KEY_SCHEMA = "liverlabel.turing_key"
SCHEMA_VERSION = 1
REAL = "real"
"""Source of the real frames."""
MIN_SIDE = 32
"""Pixels; smaller images show nothing to judge."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Images of one source to draw from."""

    source: str
    """:data:`REAL`, or the name of a generator."""
    images: np.ndarray
    """Grey, shape (n, side, side), uint8."""
    names: tuple[str, ...]
    """Of the files; only the key holds them."""
    patient_ids: tuple[str, ...]
    """Of real frames; of generated ones anything, no two the same."""
    is_fatty: tuple[bool | None, ...]
    """The answer; None: not known."""
    is_simulated: bool = False
    """True when real frames were computed, or a generator was trained on such."""


@dataclass(frozen=True)
class TuringOptions:
    """The design.

    Raises:
        UnsuitableInputError: a count that is not positive.
    """

    n_real: int = 20
    """Real frames."""
    n_synthetic: int = 15
    """Generated images of each source."""
    seed: int = 0
    """Of draw and order."""

    def __post_init__(self):
        if min(self.n_real, self.n_synthetic) < 1:
            raise UnsuitableInputError(
                f"A reader study needs real and synthetic images; found counts of {self.n_real} and "
                f"{self.n_synthetic}. Ask for one of each at least."
            )


@dataclass(frozen=True)
class KeyImage:
    """What one shown image is."""

    source: str
    """:data:`REAL`, or the name of a generator."""
    is_fatty: bool | None
    """The answer; None: not known."""
    name: str
    """Of the file it came from."""


@dataclass(frozen=True)
class TuringKey:
    """What the readers must not see."""

    study: str
    """Of the page and the answers that belong to it; says nothing of the images."""
    seed: int
    """Of draw and order."""
    is_simulated: bool
    """Whether any image, or what a generator learnt from, was computed otherwise."""
    images: tuple[KeyImage, ...]
    """In the order shown."""

    @property
    def is_real(self) -> np.ndarray:
        """Of each image shown, shape (n,), bool."""
        return np.array([one.source == REAL for one in self.images])


def draw_study(
    real: Pool, synthetic: Sequence[Pool], options: TuringOptions | None = None
) -> tuple[np.ndarray, TuringKey]:
    """Choose the images and their order.

    Args:
        real: Real frames.
        synthetic: One pool a source; images of all pools have one size.
        options: The design.
    Returns:
        Images as shown, shape (n, side, side), uint8, and the key.
    Raises:
        UnsuitableInputError: too few images in a pool, none synthetic, two pools of one name, images too small.
    """
    options = options or TuringOptions()
    _check(real, synthetic, options)
    digest = hashlib.sha256(str(options).encode())
    for pool in (real, *synthetic):
        digest.update(np.ascontiguousarray(pool.images).tobytes())
    seeds = np.frombuffer(digest.digest(), np.uint32)
    rng = np.random.default_rng(seeds)
    chosen = [(real, k) for k in _patients_in_turn(real, options.n_real, rng)]
    for pool in synthetic:
        chosen += [(pool, k) for k in _answers_in_turn(pool, options.n_synthetic, rng)]
    chosen = [chosen[k] for k in rng.permutation(len(chosen))]
    images = tuple(KeyImage(pool.source, pool.is_fatty[k], pool.names[k]) for pool, k in chosen)
    study = hashlib.sha256(b"study" + digest.digest()).hexdigest()[:16]
    is_simulated = any(pool.is_simulated for pool in (real, *synthetic))
    return np.stack([pool.images[k] for pool, k in chosen]), TuringKey(study, options.seed, is_simulated, images)


def check_side(side: int) -> int:
    """The side of the images, if something can be seen on them.

    Raises:
        UnsuitableInputError: below :data:`MIN_SIDE`.
    """
    if side < MIN_SIDE:
        raise UnsuitableInputError(
            f"A reader study needs images of {MIN_SIDE} pixels a side at least; found {side}. Make larger ones."
        )
    return side


def write_key(key: TuringKey, path: Path | str) -> None:
    """Write the key; the same key gives the same bytes.

    Raises:
        UnsuitableInputError: the disk is full or the folder cannot be written.
    """
    content = {"schema": KEY_SCHEMA, "schema_version": SCHEMA_VERSION, **asdict(key)}
    write_atomically(Path(path), (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode("utf-8"))


def read_key(path: Path | str) -> TuringKey:
    """Read a key.

    Raises:
        UnsuitableInputError: another file, or one with a fault.
    """
    name = Path(path).name
    values = read_record(path, KEY_SCHEMA, "The key of a reader study")
    values = checked(TuringKey, values, name)
    for kind, types in (("study", (str,)), ("seed", (int,)), ("is_simulated", (bool,)), ("images", (list,))):
        check_type(values, kind, types, name)
    images = []
    for one in values["images"]:
        one = checked(KeyImage, one, name)
        check_type(one, "source", (str,), name)
        check_type(one, "is_fatty", (bool, type(None)), name)
        images.append(KeyImage(**one))
    return TuringKey(**{**values, "images": tuple(images)})


def read_record(path: Path | str, schema: str, what: str) -> dict[str, Any]:
    """A JSON object of a schema, without its head.

    Args:
        path: The file.
        schema: Its name.
        what: Subject of the sentence when it is another file.
    Raises:
        UnsuitableInputError: unreadable, no JSON, or of another schema.
    """
    path = Path(path)
    data = read_bytes(path)
    try:
        content = json.loads(data.decode("utf-8"))
    except ValueError as error:
        raise UnsuitableInputError(
            f"{what} needs to be JSON; '{path.name}' is not. Give the file as it was."
        ) from error
    found = (content.get("schema"), content.get("schema_version")) if isinstance(content, dict) else None
    if found != (schema, SCHEMA_VERSION):
        raise UnsuitableInputError(
            f'{what} needs "schema": "{schema}" and "schema_version": {SCHEMA_VERSION}; \'{path.name}\' has others. '
            "Give another file."
        )
    return {key: value for key, value in content.items() if key not in ("schema", "schema_version")}


def _check(real: Pool, synthetic: Sequence[Pool], options: TuringOptions) -> None:
    if not synthetic:
        raise UnsuitableInputError(
            "A reader study needs synthetic images beside the real ones; found none. Give a set."
        )
    names = [pool.source for pool in synthetic]
    if len(set(names)) < len(names) or REAL in names:
        raise UnsuitableInputError(
            f"Each source of synthetic images needs a name of its own; found {', '.join(names)}. Rename a folder."
        )
    for pool, needed in ((real, options.n_real), *((pool, options.n_synthetic) for pool in synthetic)):
        if len(pool.images) < needed:
            raise UnsuitableInputError(
                f"The reader study needs {needed} images of '{pool.source}'; found {len(pool.images)}. Add images, or "
                f"ask for fewer with {'--n-real' if pool is real else '--n-synthetic'}."
            )
    check_side(real.images.shape[1])


def _patients_in_turn(pool: Pool, n: int, rng: np.random.Generator) -> list[int]:
    """Indices of n frames: one of every patient in random order, then a second of each, and so on."""
    frames: dict[str, list[int]] = {}
    for k in rng.permutation(len(pool.images)):
        frames.setdefault(pool.patient_ids[k], []).append(int(k))
    patients = list(frames)
    rounds = max(len(members) for members in frames.values())
    line = [frames[p][r] for r in range(rounds) for p in patients if r < len(frames[p])]
    return line[:n]


def _answers_in_turn(pool: Pool, n: int, rng: np.random.Generator) -> list[int]:
    """Indices of n images: healthy, fatty and unknown ones in turn while there are any."""
    groups: dict[bool | None, list[int]] = {}
    for k in rng.permutation(len(pool.images)):
        groups.setdefault(pool.is_fatty[k], []).append(int(k))
    order = sorted(groups, key=str)
    return [groups[a][r] for r in range(len(pool.images)) for a in order if r < len(groups[a])][:n]
