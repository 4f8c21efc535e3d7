"""The MONAI Label app of LiverLabel: ``main.py`` is its table of tasks, ``server.py`` what stands in front of it."""
