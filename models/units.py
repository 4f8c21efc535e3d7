"""Physical constants and the few conversions between units, each in one place."""

PROTON_GYROMAGNETIC_RATIO_HZ_PER_T = 42.577478518e6
"""γ/2π of the proton, Hz/T (CODATA 2018, shielded value not used)."""


def ppm_to_hz(shift_ppm, field_strength_t):
    """Chemical shift in Hz at a field strength.

    Args:
        shift_ppm: Shift relative to the carrier, ppm; scalar or array.
        field_strength_t: Main field, tesla.
    Returns:
        Same shape as ``shift_ppm``, Hz.
    """
    return shift_ppm * 1e-6 * PROTON_GYROMAGNETIC_RATIO_HZ_PER_T * field_strength_t
