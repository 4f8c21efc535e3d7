"""Images to outline the liver on, and the regions readers saved, from cases of either kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import UnsuitableInputError
from ..io.case import CASE_SUFFIX, load_case
from ..io.picture_file import PICTURE_AFFINE
from ..io.reading import read_study
from ..io.study import MultiEchoStudy
from ..io.ultrasound_folder import is_subject
from ..io.volumes import read_mask
from ..ultrasound.reading import read_picture_region, read_subject
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
    """The images of a case or of files, ultrasound or MRI; one file of a subject's folder means that subject.

    Raises:
        UnsuitableInputError: no image to outline the liver on, or one that cannot be used.
    """
    path = Path(path)
    if path.name.endswith(CASE_SUFFIX):
        is_ultrasound = load_case(path).ultrasound is not None
    else:
        path = path.parent if path.is_file() and is_subject(path.parent) else path
        is_ultrasound = is_subject(path)
    return _ultrasound(path) if is_ultrasound else of_study(read_study(path))


def of_study(study: MultiEchoStudy) -> RegionCase:
    """The slices of an MRI: the root mean square of its echoes' magnitudes."""
    view = SliceView.of(study.affine)
    magnitude = np.sqrt(np.mean(np.abs(study.signal) ** 2, axis=0)).astype(np.float32)
    images = tuple(view.image(magnitude[:, :, k]) for k in range(magnitude.shape[2]))
    patient = study.patient_id or study.case_id
    return RegionCase(study.case_id, patient, "mri", images, study.affine, study.is_simulated, view)


def read_region(path: Path | str, case: RegionCase) -> np.ndarray:
    """The reader's region of a case, every label of the file taken together, shape (x, y, z), bool.

    Raises:
        UnsuitableInputError: another size or geometry, an empty mask, or no label volume.
    """
    if case.view is None:
        return read_picture_region(path, case.images[0].shape).T[:, :, None]
    masks = read_mask(path, case.volume(list(case.images)).shape, case.affine)
    return np.any(list(masks.values()), axis=0)


def _ultrasound(path: Path) -> RegionCase:
    subject = read_subject(path, needs_stiffness=False)
    image = next((pair.b_mode for pair in subject.pairs if pair.b_mode is not None), None)
    if image is None:
        raise UnsuitableInputError(
            f"The liver is outlined on a B-mode image; the case '{subject.case_id}' has none. Import one."
        )
    return RegionCase(subject.case_id, subject.patient_id, "ultrasound", (image,), PICTURE_AFFINE, subject.is_simulated)
