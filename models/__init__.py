"""LiverLabel's library: reading the liver from images.

Arrays are (channel, x, y, z) as in MONAI; the echoes of a multi-echo study are its channels. Affines map voxel
indices to world millimetres in RAS+ (NIfTI's convention). Quantities are SI inside; where a value crosses a boundary
(a field of a result, JSON, a file, the command line) its name carries the unit, as in ``echo_times_s`` or
``pdff_percent``.
"""

__version__ = "0.1.0"
