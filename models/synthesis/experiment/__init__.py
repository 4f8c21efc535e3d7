"""The experiments on generated images: units that any number of processes share, then tables, figures, one page."""
