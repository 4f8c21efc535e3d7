"""Weights trained at this site: kept beside the studies, one version in use, the former ones kept.

A version is never changed. One small file, replaced atomically, says which is in use; version 0 are the weights that
come with the package. The server is the only one that writes here.
"""

from __future__ import annotations

import json
import os
import re
import threading
from pathlib import Path
from typing import Any

from liver_models.errors import UnsuitableInputError
from liver_models.io.files import cannot_write, write_atomically
from liver_models.weights import SUFFIX, Weights, card_markdown, load_weights

POINTER = "current.json"
SHIPPED = 0
"""The version that comes with the package."""


class PublishedWeights:
    """The versions of one network.

    Args:
        folder: Where they lie, named as the task; made when the first one is published.
        architecture: What the card of each must name, and how each file's name begins.
    """

    def __init__(self, folder: Path, architecture: str):
        self.folder = Path(folder)
        self.architecture = architecture
        self._rollback = f"/liver/train/{self.folder.name}/rollback"
        self._lock = threading.Lock()

    def file(self, version: int) -> Path | None:
        """Where a version lies; None for the weights of the package."""
        return self.folder / f"{self.architecture}-v{version}{SUFFIX}" if version != SHIPPED else None

    def history(self) -> tuple[int, ...]:
        """The versions that led to the one in use, which is the last.

        Raises:
            UnsuitableInputError: the file that says so was damaged.
        """
        path = self.folder / POINTER
        try:
            history = json.loads(path.read_text("utf-8"))["history"]
            if not history or not all(isinstance(item, int) and item >= SHIPPED for item in history):
                raise ValueError("no history")
        except FileNotFoundError:
            return (SHIPPED,)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UnsuitableInputError(
                f"'{POINTER}' beside the studies needs to say which weights are in use; it cannot be read. Choose a "
                f'version by POST {self._rollback} with {{"version": N}}; 0 are those of the package.'
            ) from error
        return tuple(history)

    def versions(self) -> list[int]:
        """Every version whose file exists, and 0."""
        pattern = re.compile(rf"{re.escape(self.architecture)}-v([1-9]\d*){re.escape(SUFFIX)}")
        names = os.listdir(self.folder) if self.folder.is_dir() else []
        return [SHIPPED, *sorted(int(found[1]) for name in names if (found := pattern.fullmatch(name)))]

    def next_version(self) -> int:
        """The version that the next one published will be."""
        return self.versions()[-1] + 1

    def load(self) -> Weights | None:
        """The weights in use; None: those of the package.

        Raises:
            UnsuitableInputError: they were damaged; how to return to the former ones is said.
        """
        file = self.file(self.history()[-1])
        if file is None:
            return None
        try:
            return load_weights(file, self.architecture)
        except UnsuitableInputError as error:
            raise UnsuitableInputError(f"{error} Or return to the former weights: POST {self._rollback}.") from error

    def describe(self) -> dict[str, Any]:
        """The version in use, the one a rollback returns to and all that exist, JSON-ready."""
        history = self.history()
        file = self.file(history[-1])
        return {
            "version": history[-1],
            "file": file.name if file else None,
            "former_version": history[-2] if len(history) > 1 else None,
            "versions": self.versions(),
        }

    def publish(self, finished: Path, version: int) -> None:
        """Take a finished file as a new version and use it from now on.

        Raises:
            UnsuitableInputError: the file is damaged, or the folder cannot be written; the former version stays in use.
        """
        with self._lock:
            weights = load_weights(finished, self.architecture)
            target = self.file(version)
            if target.exists():
                raise ValueError(f"version {version} is taken")
            try:
                history = self.history()
            except UnsuitableInputError:
                history = (SHIPPED,)
            try:
                os.replace(finished, target)
            except OSError as error:
                raise cannot_write(target, error) from error
            write_atomically(target.with_suffix(".md"), card_markdown(weights.card).encode())
            self._use((*history, version))

    def roll_back(self, version: int | None = None) -> int:
        """Return to the former version, or to the one named.

        Returns:
            The version in use from now on.
        Raises:
            UnsuitableInputError: there is none to return to, or its file was damaged; nothing changed then.
        """
        with self._lock:
            if version is None:
                history = self.history()[:-1]
                if not history:
                    raise UnsuitableInputError(
                        "A rollback needs a former version; the weights in use come with the package. Nothing changed."
                    )
            elif version not in self.versions():
                listed = ", ".join(str(item) for item in self.versions())
                raise UnsuitableInputError(f"The versions here are {listed}; found {version}. Choose one of them.")
            else:
                history = self._going_to(version)
            file = self.file(history[-1])
            if file is not None:
                load_weights(file, self.architecture)
            self._use(history)
            return history[-1]

    def _going_to(self, version: int) -> tuple[int, ...]:
        try:
            history = self.history()
        except UnsuitableInputError:
            return (SHIPPED, version) if version != SHIPPED else (SHIPPED,)
        return history[: history.index(version) + 1] if version in history else (*history, version)

    def _use(self, history: tuple[int, ...]) -> None:
        file = self.file(history[-1])
        pointer = {"version": history[-1], "file": file.name if file else None, "history": history}
        write_atomically(self.folder / POINTER, json.dumps(pointer, indent=1).encode())
