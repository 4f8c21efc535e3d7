"""The subcommands of ``liverlabel``, one file each: ``HELP``, ``add_arguments(parser)`` and ``run(args) -> int``.

A subcommand imports nothing heavy before it runs, so that ``liverlabel --help`` answers at once.
"""
