"""A further process of an experiment: ``python -m …worker FOLDER`` works on its units until none is left."""

from __future__ import annotations

import sys
from pathlib import Path

from .run import join

if __name__ == "__main__":
    join(Path(sys.argv[1]))
