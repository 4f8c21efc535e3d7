"""Images to outline the liver on, and the regions readers saved, from cases of either kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from ..errors import UnsuitableInputError
from ..io.case import CASE_SUFFIX, Case, load_case
from ..io.cohort import case_source
from ..io.picture_file import PICTURE_AFFINE
from ..io.reading import read_study
from ..io.study import MultiEchoStudy
from ..io.ultrasound_folder import SourceImage, is_subject
from ..io.volumes import read_labels
from ..ultrasound.reading import paired_images, read_picture_region, read_subject
from .region_image import RegionExample


@dataclass(frozen=True)
class SliceView:
    """How slices (x, y) of a volume become images (row, column): front at the top, the patient's right at the left."""

    is_transposed: bool
    is_flipped_rows: bool
    is_flipped_columns: bool

    @classmethod
    def of(cls, affine: np.ndarray) -> SliceView:
        """By the direction of the volume's first two axes; RAS+."""
        directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
        is_transposed = abs(directions[0, 0]) >= abs(directions[0, 1])
        across, down = (directions[:, 0], directions[:, 1]) if is_transposed else (directions[:, 1], directions[:, 0])
        axis = 1 if abs(down[1]) >= abs(down[2]) else 2
        return cls(bool(is_transposed), bool(down[axis] > 0), bool(across[0] > 0))

    def image(self, slice_xy: np.ndarray) -> np.ndarray:
        """The image of a slice."""
        image = slice_xy.T if self.is_transposed else slice_xy
        image = image[::-1] if self.is_flipped_rows else image
        return np.ascontiguousarray(image[:, ::-1] if self.is_flipped_columns else image)

    def slice_xy(self, image: np.ndarray) -> np.ndarray:
        """The slice of an image."""
        image = image[:, ::-1] if self.is_flipped_columns else image
        image = image[::-1] if self.is_flipped_rows else image
        return np.ascontiguousarray(image.T if self.is_transposed else image)


@dataclass(frozen=True)
class RegionFrame:
    """What the label volume of a region has to fit."""

    shape: tuple[int, ...]
    """Voxels along x, y and z."""
    affine: np.ndarray
    """Index to world millimetres, RAS+."""
    is_picture: bool
    """Of an ultrasound picture, whose position is not compared."""


@dataclass(frozen=True)
class RegionCase:
    """Images of one case, in order, and how their regions become one label volume."""

    case_id: str
    patient_id: str
    kind: str
    """One of :data:`.region_options.KINDS`."""
    images: tuple[np.ndarray, ...]
    """Each of shape (rows, columns); an MRI's slices, or the first B-mode image."""
    affine: np.ndarray
    """Of the label volume: index to world millimetres, RAS+."""
    is_simulated: bool
    view: SliceView | None = None
    """Of an MRI."""

    @property
    def frame(self) -> RegionFrame:
        """What its label volume has to fit."""
        return RegionFrame(self.volume(list(self.images)).shape, self.affine, self.view is None)

    def volume(self, images: list[np.ndarray]) -> np.ndarray:
        """One array per image as a volume of shape (x, y, z)."""
        if self.view is None:
            return images[0].T[:, :, None]
        return np.stack([self.view.slice_xy(image) for image in images], axis=2)

    def images_of(self, volume: np.ndarray) -> list[np.ndarray]:
        """The slices of a volume of shape (x, y, z) as images."""
        if self.view is None:
            return [volume[:, :, 0].T]
        return [self.view.image(volume[:, :, k]) for k in range(volume.shape[2])]

    def row_and_column(self, i: float, j: float) -> list[float]:
        """Where a voxel of the label volume lies on its image."""
        if self.view is None:
            return [j, i]
        rows, columns = self.images[0].shape
        row, column = (j, i) if self.view.is_transposed else (i, j)
        row = rows - 1 - row if self.view.is_flipped_rows else row
        return [row, columns - 1 - column if self.view.is_flipped_columns else column]

    def examples(self, volume: np.ndarray, case_id: str | None = None) -> list[RegionExample]:
        """The images with their regions; slices that are black are left out.

        Args:
            volume: Bool, shape (x, y, z).
            case_id: Another id than the case's own.
        """
        regions = self.images_of(volume)
        name = case_id or self.case_id
        return [
            RegionExample(name, self.patient_id, self.kind, image, region, self.is_simulated)
            for image, region in zip(self.images, regions, strict=True)
            if image.any()
        ]


def read_region_case(path: Path | str) -> RegionCase:
    """The images of a case or of files, ultrasound or MRI; of one file those in it, whatever lies beside it.

    Raises:
        UnsuitableInputError: no image to outline the liver on, or one that cannot be used.
    """
    path = Path(path)
    return _ultrasound(path) if is_ultrasound(path) else of_study(read_study(path))


def is_ultrasound(path: Path) -> bool:
    """Whether a case or files are read as ultrasound: a case that also has an MRI is."""
    if path.name.endswith(CASE_SUFFIX):
        return load_case(path).ultrasound is not None
    return is_subject(path)


def magnitude_of(study: MultiEchoStudy) -> np.ndarray:
    """The root mean square of the echoes' magnitudes, shape (x, y, z), float32; one echo at a time in memory."""
    power = np.zeros(study.signal.shape[1:], np.float32)
    for echo in study.signal:
        power += np.abs(echo) ** 2
    return np.sqrt(power / len(study.signal))


def of_study(study: MultiEchoStudy) -> RegionCase:
    """The slices of an MRI: the root mean square of its echoes' magnitudes."""
    view = SliceView.of(study.affine)
    magnitude = magnitude_of(study)
    images = tuple(view.image(magnitude[:, :, k]) for k in range(magnitude.shape[2]))
    patient = study.patient_id or study.case_id
    return RegionCase(study.case_id, patient, "mri", images, study.affine, study.is_simulated, view)


def read_region(path: Path | str, case: RegionCase) -> np.ndarray:
    """The reader's region of a case, every label of the file taken together, shape (x, y, z), bool.

    Raises:
        UnsuitableInputError: another size or geometry, an empty mask, or no label volume.
    """
    return fitting_region(path, case.frame)


def fitting_region(path: Path | str, frame: RegionFrame) -> np.ndarray:
    """A region that fits a frame, every label of the file taken together, shape (x, y, z), bool.

    Raises:
        UnsuitableInputError: another size or geometry, an empty mask, or no label volume.
    """
    if frame.is_picture:
        columns, rows, _ = frame.shape
        return read_picture_region(path, (rows, columns)).T[:, :, None]
    return read_labels(path, frame.shape, frame.affine) > 0


def read_frames(path: Path | str) -> tuple[RegionFrame, ...]:
    """What the region of a stored case or image may fit: its first B-mode image, its MRI; no pixels where headers do.

    Raises:
        UnsuitableInputError: no image, or one that cannot be read.
    """
    path = Path(path)
    if path.name.endswith((".nii.gz", ".nii")):
        return (_frame_of_nifti(path),)
    if path.name.endswith(".nrrd"):
        raise UnsuitableInputError(f"NIfTI, DICOM or a case is needed; '{path.name}' is NRRD. Convert it.")
    if not path.name.endswith(CASE_SUFFIX):
        return (of_study(read_study(path)).frame,)
    case = load_case(path)
    frames = []
    if case.ultrasound is not None and (picture := _first_b_mode(case, path.parent)) is not None:
        rows, columns = picture.open().shape
        frames.append(RegionFrame((columns, rows, 1), PICTURE_AFFINE, True))
    if case.cse_mri is not None and case.cse_mri.format == "nifti":
        image = next(file for file in case.cse_mri.files if file.part != "sidecar")
        frames.append(_frame_of_nifti(case.path_of(image)))
    elif case.cse_mri is not None:
        frames.append(of_study(read_study(path)).frame)
    return tuple(frames)


def _frame_of_nifti(path: Path) -> RegionFrame:
    try:
        image = nib.load(path)
    except (OSError, EOFError, ValueError, nib.filebasedimages.ImageFileError) as error:
        raise UnsuitableInputError(f"A NIfTI image is needed; '{path.name}' cannot be read. Copy it again.") from error
    shape = (*image.shape, 1, 1)[:3]
    return RegionFrame(shape, np.asarray(image.affine, np.float64), False)


def _first_b_mode(case: Case, studies_dir: Path) -> SourceImage | None:
    """The image that an ultrasound case is outlined on; None: it has no B-mode image."""
    pairs = paired_images(case_source(case, studies_dir))
    return next((images["bmode"] for _, images in pairs if "bmode" in images), None)


def _ultrasound(path: Path) -> RegionCase:
    subject = read_subject(path, needs_stiffness=False)
    image = next((pair.b_mode for pair in subject.pairs if pair.b_mode is not None), None)
    if image is None:
        raise UnsuitableInputError(
            f"The liver is outlined on a B-mode image; the case '{subject.case_id}' has none. Import one."
        )
    return RegionCase(subject.case_id, subject.patient_id, "ultrasound", (image,), PICTURE_AFFINE, subject.is_simulated)
