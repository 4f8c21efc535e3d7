"""What can be asked of a PDFF estimate."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ..errors import UnsuitableInputError
from .fat_spectra import get_spectrum

METHODS = ("ai_deal", "ai_deal_one_shot", "graph_cut", "u_net", "mdwf_net", "vet_net")
"""Names of the methods, the default first."""
PRECESSIONS = {"auto": None, "+1": 1, "-1": -1}
"""How the sign of precession is asked for."""
READOUTS = ("auto", "unipolar", "bipolar")
"""How the polarity of the readouts is asked for."""
FITS = ("complex", "hybrid")
"""Complex fit; or magnitudes below, complex above 50 % fat, for scans with eddy-current phase errors."""


@dataclass(frozen=True)
class PdffOptions:
    """What can be asked of an estimate.

    Raises:
        UnsuitableInputError: a value that is not known, naming those that are.
    """

    spectrum: str = "hamilton_2011"
    """Name of the fat spectrum."""
    precession: str = "auto"
    """"auto": as declared, else found; "+1" or "-1" overrides."""
    readout: str = "auto"
    """"auto": an odd/even phase is removed if one is found; "unipolar": never; "bipolar": always."""
    fit: str = "complex"
    """"complex", or "hybrid" for scans with eddy-current phase errors."""

    def __post_init__(self):
        get_spectrum(self.spectrum)
        for name, known in (("precession", tuple(PRECESSIONS)), ("readout", READOUTS), ("fit", FITS)):
            if getattr(self, name) not in known:
                raise UnsuitableInputError(
                    f"The option {name} needs to be one of {', '.join(known)}; found {getattr(self, name)!r}."
                )

    @classmethod
    def from_request(cls, request: dict) -> PdffOptions:
        """Options from a request's JSON; unknown keys are refused, naming the known ones."""
        known = [f.name for f in fields(cls)]
        unknown = sorted(set(request) - set(known))
        if unknown:
            raise UnsuitableInputError(
                f"PDFF knows the options {', '.join(known)}; found {', '.join(unknown)}. Remove or rename it."
            )
        return cls(**{key: str(value) for key, value in request.items()})
