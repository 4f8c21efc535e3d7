"""Which series belong to one acquisition: magnitude and phase, or single echoes, may be stored apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from ..errors import UnsuitableInputError
from .study import MIN_ECHOES

_COUNTERPART = {"phase": "magnitude", "imaginary": "real"}


@dataclass(frozen=True)
class Series:
    """What decides whether series belong together."""

    label: str
    """How to name it to the user."""
    visit: Hashable
    """Equal within one visit of one patient; series of different visits never join."""
    parts: frozenset[str]
    """Parts it holds: magnitude, phase, real, imaginary, complex."""
    echo_times_us: frozenset[int]
    """Echo times it holds, µs."""
    geometry: Hashable
    """Matrix, orientation and spacing."""
    protocol: Hashable = None
    """Equal for the echoes of one acquisition that are stored as a series each."""
    acquired: str = ""
    """When it was acquired; equal for the magnitude and phase series of one acquisition."""
    number: int = 0
    """The scanner's series number."""


def acquisitions(series: Sequence[Series]) -> list[list[int]]:
    """Group series into acquisitions.

    First the series of one echo each that agree in visit, protocol, geometry and parts are joined; then a phase series
    joins the magnitude series it fits best (by geometry, echo times, acquisition time, then series number), and an
    imaginary series its real one.

    Args:
        series: In a fixed order.
    Returns:
        For each acquisition the indices of its series, in order.
    Raises:
        UnsuitableInputError: a phase series fits several magnitude series equally well.
    """
    groups = _join_single_echoes(series)
    for part, counterpart in _COUNTERPART.items():
        groups = _join_counterparts(series, groups, part, counterpart)
    return sorted(sorted(group) for group in groups)


def _join_single_echoes(series: Sequence[Series]) -> list[list[int]]:
    together = defaultdict(list)
    groups = []
    for index, item in enumerate(series):
        if len(item.echo_times_us) == 1:
            together[item.visit, item.protocol, item.geometry, item.parts].append(index)
        else:
            groups.append([index])
    for members in together.values():
        times = [time for index in members for time in series[index].echo_times_us]
        is_one = len(times) >= MIN_ECHOES and len(set(times)) == len(times)
        groups.extend([members] if is_one else [[index] for index in members])
    return groups


def _join_counterparts(series, groups, part: str, counterpart: str) -> list[list[int]]:
    def parts(group):
        return frozenset().union(*(series[i].parts for i in group))

    lonely = [g for g in groups if part in parts(g) and counterpart not in parts(g)]
    hosts = [g for g in groups if counterpart in parts(g) and part not in parts(g)]
    candidates = []
    for guest in lonely:
        for host in hosts:
            score = _mismatch([series[i] for i in guest], [series[i] for i in host])
            if score is not None:
                candidates.append((score, guest, host))
    candidates.sort(key=lambda candidate: candidate[0])
    taken: list[list[int]] = []
    joined = []
    for score, guest, host in candidates:
        if guest in taken or host in taken:
            continue
        rivals = [h for s, g, h in candidates if g is guest and h is not host and h not in taken and s == score]
        if rivals:
            names = ", ".join(sorted(series[h[0]].label for h in [host, *rivals]))
            raise UnsuitableInputError(
                f"Each {part} series needs one {counterpart} series; {series[guest[0]].label} fits several equally "
                f"well ({names}). Give the folder of one acquisition at a time."
            )
        taken += [guest, host]
        joined.append(host + guest)
    return [g for g in groups if g not in taken] + joined


def _mismatch(guest: list[Series], host: list[Series]) -> tuple | None:
    """How badly two groups fit, smaller is better; None if they cannot belong together."""
    guest_times = frozenset().union(*(s.echo_times_us for s in guest))
    host_times = frozenset().union(*(s.echo_times_us for s in host))
    shared = len(guest_times & host_times)
    if guest[0].visit != host[0].visit or 2 * shared < max(len(guest_times), len(host_times)):
        return None
    steps = min(abs(g.number - h.number) for g in guest for h in host)
    return (
        guest[0].geometry != host[0].geometry,
        guest_times != host_times,
        guest[0].acquired != host[0].acquired,
        steps,
    )
