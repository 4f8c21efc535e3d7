"""What runs around the library: the MONAI Label app and the command that starts it.

Nothing here is science; it adapts :mod:`liver_models` to HTTP. The package is installed as ``liver_apps``.
"""
