"""Working units off: any number of processes that share the experiment's folder, on one machine or several."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ...learning.processes import die_with
from .leases import Leases
from .units import LEASES, Compute, Unit, UnitStore

WAIT_S = 1.0
"""Between two looks at what others do, when nothing is left to begin, seconds."""
LEAVE_S, CLOSE_S = 5.0, 20.0
"""A further process may take so long to end by itself, and when it is asked to, seconds."""


def work_off(
    units: Sequence[Unit],
    store: UnitStore,
    compute: Compute,
    *,
    progress: Callable[[int, int], None] | None = None,
    leases: Leases | None = None,
    wait_s: float = WAIT_S,
) -> None:
    """Compute what is missing and not being computed by others; comes back when every unit is there.

    Args:
        units: Needs before what needs them.
        store: Where results are.
        compute: Computes a unit.
        progress: Called as progress(done, total) in units; it may raise to stop. What was done is kept.
        leases: The claims; None: those in the experiment's folder.
        wait_s: See :data:`WAIT_S`.
    Raises:
        UnsuitableInputError: as the units raise; others go on.
    """
    leases = leases or Leases(store.out / LEASES)
    left = {unit.name: unit for unit in units}
    while left:
        if progress:
            progress(len(units) - len(left), len(units))
        if not _one(left, store, compute, leases):
            _drop_done(left, store)
            if left:
                time.sleep(wait_s)
    leases.tidy(unit.name for unit in units)
    if progress:
        progress(len(units), len(units))


def _one(left: dict[str, Unit], store: UnitStore, compute: Compute, leases: Leases) -> bool:
    """Do the first unit that nobody else does; False: there was none. What is found done leaves ``left``.

    Should this process have slept so long that another took over, what fails here since is no failure.
    """
    for unit in list(left.values()):
        if any(need.name in left for need in unit.needs.values()):
            continue
        if store.has(unit):
            del left[unit.name]
            continue
        lease = leases.claim(unit.name)
        if lease is None:
            continue
        with lease:
            if not store.has(unit):  # Else it was done between the look and the claim.
                try:
                    store.save(unit, *compute(unit))
                except Exception:
                    if not store.has(unit):
                        raise
                shutil.rmtree(store.unfinished(unit), ignore_errors=True)
        del left[unit.name]
        return True
    return False


def _drop_done(left, store):
    for unit in [unit for unit in left.values() if store.has(unit)]:
        del left[unit.name]


def collect(units: Sequence[Unit], store: UnitStore, compute: Compute, **how) -> dict[str, tuple[dict, dict]]:
    """The results of all units by name, read back: a resumed run must not differ from a fresh one.

    Args:
        units: As :func:`work_off`.
        store: As there.
        compute: As there.
        how: As there.
    """
    while True:
        work_off(units, store, compute, **how)
        found = {unit.name: store.load(unit) for unit in units}
        torn = [unit for unit in units if found[unit.name] is None]
        if not torn:
            return found
        for unit in torn:
            store.forget(unit)


@contextmanager
def helpers(out: Path, n: int, module: str):
    """Further processes that work on the same experiment while the block runs; they end with it, however it ends.

    One that fails only ends: what it was at is claimed anew, and fails here in its turn.

    Args:
        out: Folder of the experiment.
        n: How many.
        module: Run with the folder as its argument.
    """
    started: list[subprocess.Popen] = []
    try:
        for _ in range(n):
            begin = partial(die_with, os.getpid())
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", module, str(out)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    preexec_fn=begin,
                )
            )
        yield started
        _wait(started, LEAVE_S)  # When all is done they end by themselves.
    finally:
        for process in started:
            process.terminate()
        _wait(started, CLOSE_S)
        for process in started:
            process.kill()
            process.wait()


def _wait(processes, seconds: float) -> None:
    end = time.monotonic() + seconds
    for process in processes:
        try:
            process.wait(max(end - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            return
