"""Stand-ins for packages that MONAI Label imports and that cannot run beside today's versions of others.

:mod:`liver_apps.entry` puts this folder on the import path, for itself and for the processes MONAI Label starts.
"""
