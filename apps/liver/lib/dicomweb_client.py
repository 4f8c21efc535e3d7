"""Searching, fetching from and sending to a DICOMweb server; every fault is one sentence and every request ends."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import requests
from dicomweb_client.web import DICOMwebClient
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from .failures import StoreRefusedError, StoreUnreachableError, UnknownNameError

logger = logging.getLogger(__name__)
CONNECT_S, READ_S = 5.0, 30.0
"""Longest wait for a connection, and for the next bytes of a reply."""
PAGE = 500
"""Series asked for at once."""
_PLAIN = re.compile(r"[A-Za-z0-9._-]+")
_UID = re.compile(r"[0-9.]{1,64}")
_FIELDS = ("SeriesDescription", "NumberOfSeriesRelatedInstances", "Modality")


@dataclass(frozen=True)
class RemoteSeries:
    """A series as a search finds it; nothing of its images is fetched."""

    study: str
    """StudyInstanceUID."""
    uid: str
    """SeriesInstanceUID."""
    description: str
    """SeriesDescription."""
    n_images: int
    """How many images it has at the store now; 0 when the store does not say."""


class StoreClient:
    """One DICOMweb server.

    Args:
        address: Root of its service, such as ``http://host:8042/dicom-web``.
        user: Name for HTTP basic authentication; empty: none is sent.
        password: Of the user.
    """

    def __init__(self, address: str, user: str = "", password: str = ""):
        self.address = address.rstrip("/")
        self._user = user
        session = requests.Session()
        session.auth = (user, password) if user else None
        self._client = DICOMwebClient(self.address, session=session, timeout=(CONNECT_S, READ_S))
        self._client.set_http_retry_params(retry=False)

    def series(self, modality: str, study: str | None = None, **filters: str) -> list[RemoteSeries]:
        """The series of a modality, of one study or all, page by page.

        Args:
            modality: Of the series.
            study: StudyInstanceUID; None: of every study.
            filters: Attribute -> value; ``*`` and ``?`` stand for any characters.
        Raises:
            StoreUnreachableError: the store does not answer.
            StoreRefusedError: it refuses, or answers with something else.
        """
        # Orthanc 1.10 compares what it was sent without decoding it, so only plain values are sent.
        asked = {key: value for key, value in filters.items() if _PLAIN.fullmatch(value)}
        matched = {key: value for key, value in filters.items() if key not in asked}
        seen: set[str] = set()
        found = []
        while True:
            with self._faults():
                rows = self._client.search_for_series(
                    study,
                    fields=(*_FIELDS, *matched),
                    limit=PAGE,
                    offset=len(seen),
                    search_filters={"Modality": modality, **asked},
                )
                if not all(isinstance(row, dict) for row in rows):
                    raise ValueError("no rows of attributes")
                page = [Dataset.from_json(row) for row in rows]
            new = [row for row in page if str(row.get("SeriesInstanceUID")) not in seen]
            seen |= {str(row.get("SeriesInstanceUID")) for row in new}
            found += [one for row in new if (one := _series(row, matched)) is not None]
            # A store that takes no offset sends the first page again.
            if len(rows) < PAGE or not new:
                return found

    def fetch(self, study: str, modality: str, folder: Path, **filters: str) -> dict[str, int]:
        """Write the images of a study into a folder, numbered by series and instance.

        Returns:
            Series -> how many images were fetched.
        Raises:
            UnknownNameError: the store has none any more.
            StoreUnreachableError: it does not answer, or delivered fewer than it has.
            StoreRefusedError: it refuses, or sends something else.
        """
        listed = self.series(modality, study, **filters)
        if not listed:
            raise UnknownNameError(f"The store at {self.address} has no {modality} images of this case any more.")
        folder.mkdir(parents=True)
        found: list[tuple[int, int, str, Path]] = []
        counts: dict[str, int] = {}
        for one in listed:
            for image in self._images(one.study, one.uid):
                uid = _checked_uid(str(image.get("SOPInstanceUID", "")))
                numbers = (_number(image, "SeriesNumber"), _number(image, "InstanceNumber"))
                path = folder / f"{uid}.part"
                image.save_as(path, enforce_file_format=True)
                found.append((*numbers, uid, path))
                counts[one.uid] = counts.get(one.uid, 0) + 1
            if counts.get(one.uid, 0) < max(one.n_images, 1):
                raise StoreUnreachableError(
                    f"The store at {self.address} delivered {counts.get(one.uid, 0)} of {one.n_images} images of a "
                    "series. Try again; nothing was kept."
                )
        for number, (*_, path) in enumerate(sorted(found), start=1):
            path.rename(folder / f"{number:05d}.dcm")
        return counts

    def objects(self, one: RemoteSeries) -> list[Dataset]:
        """The objects of a series, which is small.

        Raises:
            StoreUnreachableError: the store does not answer.
            StoreRefusedError: it refuses, or sends something else.
        """
        return list(self._images(one.study, one.uid))

    def send(self, dataset: Dataset) -> None:
        """Store an object; one that is there already is stored again.

        Raises:
            StoreUnreachableError: the store does not answer; whether it kept the object is not known.
            StoreRefusedError: it did not take it.
        """
        with self._faults():
            reply = self._client.store_instances([dataset])
            failed = reply.get("FailedSOPSequence")
        if failed:
            reason = failed[0].get("FailureReason", "unknown")
            raise StoreRefusedError(
                f"The store at {self.address} needs to take labels; it refused one (DICOM failure {reason}). Look into "
                "its log; the former label is unchanged."
            )

    def _images(self, study: str, uid: str) -> Iterator[Dataset]:
        with self._faults():
            # The images as they are stored: what is compressed stays so.
            kind = (("application/dicom", "*"),)
            yield from self._client.iter_series(study, uid, media_types=kind)

    @contextmanager
    def _faults(self):
        try:
            yield
        except requests.HTTPError as error:
            raise self._refusal(error.response.status_code) from error
        except (ValueError, KeyError, EOFError, InvalidDicomError) as error:
            raise StoreRefusedError(
                f"--studies needs the root of a DICOMweb service, such as http://host:8042/dicom-web; {self.address} "
                f"answered with something else ({type(error).__name__})."
            ) from error
        except requests.RequestException as error:
            raise StoreUnreachableError(
                f"The store at {self.address} needs to answer; it does not ({_cause(error)}). Start it, or check "
                "--studies and the network."
            ) from error

    def _refusal(self, status: int) -> Exception:
        if status in (401, 403):
            who = f"the user {self._user!r}" if self._user else "no user"
            return StoreRefusedError(
                f"The store at {self.address} needs a user it knows; it answered {status} to {who}. Set "
                "MONAI_LABEL_DICOMWEB_USERNAME and MONAI_LABEL_DICOMWEB_PASSWORD."
            )
        if status == 404:
            return StoreRefusedError(
                "--studies needs the root of a DICOMweb service, such as http://host:8042/dicom-web; "
                f"{self.address} answered 404."
            )
        if status >= 500 or status in (408, 429):
            return StoreUnreachableError(
                f"The store at {self.address} needs to answer; it failed with {status}. Look into its log."
            )
        return StoreRefusedError(f"The store at {self.address} refused a request with {status}. Look into its log.")


def _series(found: Dataset, matched: Mapping[str, str]) -> RemoteSeries | None:
    """A row of a search; None for one that does not match, or without UIDs, by which images are fetched."""
    study, uid = str(found.get("StudyInstanceUID", "")), str(found.get("SeriesInstanceUID", ""))
    if not _UID.fullmatch(study) or not _UID.fullmatch(uid):
        return None
    if not all(fnmatch(str(found.get(key, "")).lower(), value.lower()) for key, value in matched.items()):
        return None
    description = str(found.get("SeriesDescription", "") or "")
    return RemoteSeries(study, uid, description, _number(found, "NumberOfSeriesRelatedInstances"))


def _checked_uid(uid: str) -> str:
    if not _UID.fullmatch(uid):
        raise StoreRefusedError("The store needs to send images with a SOPInstanceUID; one has none. Correct it there.")
    return uid


def _number(dataset: Dataset, keyword: str) -> int:
    try:
        return int(dataset.get(keyword) or 0)
    except (ValueError, TypeError):
        return 0


def _cause(error: Exception) -> str:
    """The reason without addresses and objects' names."""
    if isinstance(error, requests.Timeout):
        return "no reply in time"
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, OSError) and one.strerror:
            return one.strerror
        if id(one) not in seen:
            seen.add(id(one))
            within = (one.__cause__, getattr(one, "reason", None), *one.args)
            waiting += [item for item in within if isinstance(item, Exception)]
    return "the connection ended"
