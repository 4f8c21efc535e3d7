"""The comparison of PDFF methods as AI-DEAL's paper makes it, on measured cases and on simulated ones."""
