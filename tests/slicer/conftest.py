"""The extension's library is imported as 3D Slicer imports it: from the folder of its module."""

from __future__ import annotations

import sys
from pathlib import Path

EXTENSION = Path(__file__).resolve().parents[2] / "slicer_extension" / "LiverLabel"
if str(EXTENSION) not in sys.path:
    sys.path.insert(0, str(EXTENSION))
