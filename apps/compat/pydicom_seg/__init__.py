"""Lets ``import pydicom_seg`` succeed, and nothing more.

MONAI Label 0.8.5 imports the real package at start, which fails with pydicom 3, and calls it only to convert DICOM SEG.
"""


def __getattr__(name: str):
    raise AttributeError(
        f"pydicom_seg.{name} is not available: the package does not run with pydicom 3. This server reads and writes "
        "label volumes as NIfTI."
    )
