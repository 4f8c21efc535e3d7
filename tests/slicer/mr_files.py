"""DICOM headers and small images of a multi-echo scan, written for the tests."""

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset

MR, US = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.6.1"


def writeImage(path, time=1.2, position=0.0, part="M", series=5, size=(6, 4), storage=MR, **elements):
    """One image of 6 columns and 4 rows; ``time``: echo time, ms, or None."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = storage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = pydicom.uid.generate_uid()
    data.Modality = "MR" if storage == MR else "US"
    data.StudyInstanceUID, data.SeriesInstanceUID, data.SeriesNumber = "1.2.3", f"1.2.3.{series}", series
    data.PatientID, data.SeriesDescription = "p", "multi-echo"
    data.ImageType = ["ORIGINAL", "PRIMARY", part]
    data.Columns, data.Rows = size
    data.ImagePositionPatient, data.ImageOrientationPatient = [0, 0, position], [1, 0, 0, 0, 1, 0]
    if time is not None:
        data.EchoTime = str(time)
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation, data.SamplesPerPixel = 15, 0, 1
    data.PhotometricInterpretation, data.PixelSpacing = "MONOCHROME2", [1.5, 1.5]
    data.PixelData = np.zeros(size, np.uint16).tobytes()
    for name, value in elements.items():
        setattr(data, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def writeEchoes(folder, times=(1.2, 3.2, 5.2), nSlices=2, parts=("M",), **how):
    """A folder for each echo and part, the same file names in each."""
    for part in parts:
        for time in times:
            for number in range(nSlices):
                writeImage(folder / f"{part}{time}" / f"IM{number}", time, 6.0 * number, part, **how)
