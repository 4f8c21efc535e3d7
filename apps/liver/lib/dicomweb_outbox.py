"""Labels that a store could not take yet, as files, sent in the order they were stored."""

from __future__ import annotations

import logging
import time
from io import BytesIO
from pathlib import Path

import pydicom
from liver_models.io.files import write_atomically
from pydicom.dataset import Dataset

from .dicomweb_client import StoreClient
from .failures import StoreRefusedError, StoreUnreachableError

logger = logging.getLogger(__name__)


class Outbox:
    """A folder of DICOM objects that wait.

    Args:
        folder: Made with the first object.
        client: Of the store.
    """

    def __init__(self, folder: Path, client: StoreClient):
        self._folder, self._client = folder, client
        self._refused: set[Path] = set()

    def deliver(self, dataset: Dataset) -> None:
        """Send an object, or keep it until the store answers.

        Raises:
            StoreRefusedError: the store answers and does not take it; it is not kept.
            UnsuitableInputError: it could be neither sent nor kept.
        """
        try:
            self._client.send(dataset)
        except StoreUnreachableError as error:
            buffer = BytesIO()
            dataset.save_as(buffer, enforce_file_format=True)
            write_atomically(self._folder / f"{time.time_ns()}.dcm", buffer.getvalue())
            logger.warning("A label waits to be sent: %s", error)

    def send_waiting(self) -> None:
        """Send what waits, oldest first; what the store refused is tried again after a restart only.

        Raises:
            StoreUnreachableError: the store still does not answer.
        """
        for path in self._files():
            if path in self._refused:
                continue
            try:
                self._client.send(pydicom.dcmread(path))
            except StoreRefusedError as error:
                logger.warning("A label that waits was refused: %s", error)
                self._refused.add(path)
                continue
            path.unlink(missing_ok=True)

    def __len__(self) -> int:
        return len(self._files())

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.dcm"))
