"""Training: what can be asked, what is known of a run, the process it runs in, and the trainers themselves.

What the child process imports (``job``, ``child`` and the jobs) imports nothing of MONAI Label, so that it starts fast.
"""
