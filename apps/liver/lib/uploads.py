"""Files sent with a request, in a folder that lives as long as the request."""

from __future__ import annotations

import lzma
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from liver_models.errors import UnsuitableInputError
from liver_models.io.files import cannot_write

from .guards import check_upload_name

_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError, EOFError, OSError)
"""What reading a damaged or encrypted archive raises."""


@contextmanager
def received(
    files: Sequence[tuple[str, BinaryIO]], roi: tuple[str, BinaryIO] | None, max_bytes: int
) -> Iterator[tuple[Path, Path | None]]:
    """Write uploaded files to a temporary folder and remove it afterwards.

    Args:
        files: Name and content of each file of the study: DICOM files, NIfTI and JSON, a ``.mat``, or one ``.zip`` of
            a folder.
        roi: Name and content of a mask, if one was sent.
        max_bytes: Most that archives may hold.
    Yields:
        What a study is read from (the one file, or the folder) and the file of the mask.
    Raises:
        UnsuitableInputError: no file, a name twice, or an archive that cannot be used.
    """
    if not files:
        raise UnsuitableInputError(
            "The request needs the files of a study in fields named 'files', or the id of a case; found neither."
        )
    with tempfile.TemporaryDirectory(prefix="liverlabel-") as temporary:
        folder = Path(temporary) / "study"
        folder.mkdir()
        mask = _stored(Path(temporary), roi) if roi else None
        for item in files:
            if item[0].lower().endswith(".zip"):
                _unpack(item, folder, max_bytes)
            else:
                _stored(folder, item)
        contents = list(folder.iterdir())
        try:
            yield (contents[0] if len(contents) == 1 else folder), mask
        except UnsuitableInputError as error:
            raise UnsuitableInputError(without_folder(str(error), folder)) from error


def without_folder(sentence: str, folder: Path) -> str:
    """The sentence without the server's folder, which means nothing to a client."""
    return sentence.replace(f"{folder}/", "").replace(str(folder), "the upload")


def _stored(folder: Path, item: tuple[str, BinaryIO]) -> Path:
    path = folder / check_upload_name(item[0])
    _write(item[1], path)
    return path


def _write(source: BinaryIO, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
    except FileExistsError as error:
        raise UnsuitableInputError(
            f"Each file needs a name of its own; {path.name!r} was sent twice. Rename one, or send a .zip."
        ) from error
    except OSError as error:
        if error.errno is None:  # The library for one kind of compression says so that the archive is damaged.
            raise
        raise cannot_write(Path(path.name), error) from error


def _unpack(item: tuple[str, BinaryIO], folder: Path, max_bytes: int) -> None:
    name = check_upload_name(item[0])
    try:
        with zipfile.ZipFile(item[1]) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            places = [_place(folder, member.filename) for member in members]
            if sum(member.file_size for member in members) > max_bytes:
                raise UnsuitableInputError(
                    f"An archive may hold {max_bytes / 2**30:g} GiB at most; this one holds more. Send less."
                )
            for member, place in zip(members, places, strict=True):
                with opened.open(member) as content:
                    _write(content, place)
    except _DAMAGED as error:
        raise UnsuitableInputError(
            f"{name!r} is not an archive that can be read ({error}). Zip the folder again."
        ) from error


def _place(folder: Path, member: str) -> Path:
    name = PurePosixPath(member.replace("\\", "/"))
    if not name.parts or name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
        raise UnsuitableInputError(
            f"An archive may hold files inside its own folder only; found {member[:80]!r}. Zip the folder again."
        )
    return folder.joinpath(*name.parts)
