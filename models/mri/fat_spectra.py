"""Named models of the fat spectrum; which one was used is part of every result."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UnsuitableInputError

WATER_REFERENCE_PPM = 4.7
"""Where the published tables put the water peak at body temperature, ppm."""


@dataclass(frozen=True)
class FatSpectrum:
    """A fat spectrum: peaks at fixed shifts with fixed relative amplitudes."""

    name: str
    """The name in ``--spectrum``, requests and results."""
    shifts_ppm: tuple[float, ...]
    """Shift of each peak relative to water, ppm; main methylene peak near -3.4."""
    amplitudes: tuple[float, ...]
    """Relative amplitude of each peak; they are divided by their sum on construction."""
    doi: str
    """Where the numbers were published."""
    description: str
    """One line for help texts and reports."""

    def __post_init__(self):
        if len(self.shifts_ppm) != len(self.amplitudes) or not self.amplitudes:
            raise ValueError(
                f"A spectrum needs one amplitude a peak; {self.name} has {len(self.amplitudes)} amplitudes for "
                f"{len(self.shifts_ppm)} peaks."
            )
        total = sum(self.amplitudes)
        object.__setattr__(self, "amplitudes", tuple(a / total for a in self.amplitudes))


SPECTRA = {
    spectrum.name: spectrum
    for spectrum in (
        FatSpectrum(
            "hamilton_2011",
            (-3.80, -3.40, -2.60, -1.94, -0.39, 0.60),
            (0.087, 0.693, 0.128, 0.004, 0.039, 0.048),
            "10.1002/nbm.1622",
            "human liver fat at 3 T, six peaks (Hamilton et al., NMR Biomed 2011); the default",
        ),
        FatSpectrum(
            "hamilton_2011_nine",
            (-3.80, -3.40, -3.10, -2.68, -2.46, -1.95, -0.50, 0.49, 0.59),
            (88, 642, 58, 62, 58, 6, 39, 10, 37),
            "10.1002/nbm.1622",
            "the same liver fat resolved into nine peaks (Hamilton et al., NMR Biomed 2011)",
        ),
        FatSpectrum(
            "ren_2008",
            (-3.80, -3.40, -3.10, -2.68, -2.46, -1.95, -0.50, 0.49, 0.59),
            (0.0899, 0.5834, 0.0599, 0.0849, 0.0599, 0.0150, 0.0400, 0.0100, 0.0569),
            "10.1194/jlr.D800010-JLR200",
            "human marrow and adipose fat at 7 T, nine peaks (Ren et al., J Lipid Res 2008)",
        ),
        FatSpectrum(
            "single_peak",
            (-3.40,),
            (1.0,),
            "10.1148/radiology.153.1.6089263",
            "methylene only, as in Dixon's method (Radiology 1984); biased, for comparison",
        ),
    )
}
"""Every known spectrum by name; the first is the default."""


def get_spectrum(name: str) -> FatSpectrum:
    """Spectrum of a name.

    Raises:
        UnsuitableInputError: unknown name.
    """
    try:
        return SPECTRA[name]
    except (KeyError, TypeError):
        known = ", ".join(SPECTRA)
        raise UnsuitableInputError(f"The fat spectrum needs to be one of {known}; found {name!r}.") from None


def water_shift_ppm(temperature_c: float) -> float:
    """Position of the water peak at a temperature, for phantoms scanned at room temperature.

    1.3 + 3.748 - 0.01085·T ppm: methylene at 1.3 ppm does not move, water does.

    Args:
        temperature_c: Degrees Celsius.
    Returns:
        ppm, in the scale where methylene is 1.3 (4.65 at 37 °C).
    Source: Hernando et al., Magn Reson Med 2014, 10.1002/mrm.24951.
    """
    return 1.3 + 3.748 - 0.01085 * temperature_c


def at_temperature(spectrum: FatSpectrum, temperature_c: float) -> FatSpectrum:
    """The spectrum with water where it lies at a temperature.

    Args:
        spectrum: Tabulated with water at ``WATER_REFERENCE_PPM``.
        temperature_c: Degrees Celsius.
    """
    move = WATER_REFERENCE_PPM - water_shift_ppm(temperature_c)
    return FatSpectrum(
        f"{spectrum.name}@{temperature_c:g}C",
        tuple(shift + move for shift in spectrum.shifts_ppm),
        spectrum.amplitudes,
        spectrum.doi,
        f"{spectrum.description}, water at {temperature_c:g} °C",
    )
