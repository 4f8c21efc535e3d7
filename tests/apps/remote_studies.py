"""Simulated studies as DICOM files, as a store holds them, and regions drawn on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from liver_models.io.dicom_export import write_dicom
from liver_models.io.picture_file import PICTURE_AFFINE
from liver_models.io.reading import read_study
from liver_models.io.volumes import write_volume

ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6.1"


def write_mri(folder: Path, seed: int = 7, layout: str = "classic") -> str:
    """A tiny oblique multi-echo study; its case's id."""
    from liver_models.mri.phantom import make_phantom

    study, _ = make_phantom("vials", snr=100, size=16, n_slices=2, oblique_deg=20, seed=seed)
    paths = write_dicom(study.with_fields(patient_id=f"P{seed}"), folder, layout=layout)
    return f"mr-{pydicom.dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID}"


def write_ultrasound(folder: Path, seed: int = 1, n_images: int = 2) -> str:
    """B-mode images of one study, wider than tall; the case's id."""
    study, series = generate_uid(entropy_srcs=["study", str(seed)]), generate_uid(entropy_srcs=["series", str(seed)])
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, n_images + 1):
        pixels = np.random.default_rng([seed, number]).integers(20, 200, (48, 64), np.uint8)
        instance = generate_uid(entropy_srcs=["image", str(seed), str(number)])
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = ULTRASOUND
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = instance
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.StudyInstanceUID, image.SeriesInstanceUID, image.Modality = study, series, "US"
        image.PatientID, image.PatientName = f"U{seed}", f"Simulated^{seed}"
        image.SeriesNumber, image.InstanceNumber, image.SeriesDescription = 1, number, "Abdomen"
        image.StudyDate, image.StudyTime, image.ImageComments = "20000101", "000000", "SIMULATED"
        image.Rows, image.Columns = pixels.shape
        image.SamplesPerPixel, image.PhotometricInterpretation, image.PixelRepresentation = 1, "MONOCHROME2", 0
        image.BitsAllocated, image.BitsStored, image.HighBit = 8, 8, 7
        image.PixelData = pixels.tobytes()
        # Names that sort against the numbers of the images.
        image.save_as(folder / f"{9 - number}.dcm", enforce_file_format=True)
    return f"us-{study}"


def draw_region(store, case_id: str, path: Path, shift: int = 0) -> Path:
    """A label volume on the images of a case."""
    source = store.case_source(case_id)
    if case_id.startswith("us-"):
        labels, affine = np.zeros((64, 48, 1), np.uint8), PICTURE_AFFINE
        labels[10 + shift : 30 + shift, 5:21] = 1
    else:
        study = read_study(source)
        labels, affine = np.zeros(study.signal.shape[1:], np.uint8), study.affine
        labels[2 + shift : 7 + shift, 3:11, 1] = 1
    write_volume(path, labels, affine)
    return path
