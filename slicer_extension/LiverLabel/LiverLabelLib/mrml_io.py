"""Volumes of the server, pictures and cines <-> MRML volume nodes, in the exact place.

Arrays are (x, y, z) as in NIfTI and in the library; affines map voxel indices to world millimetres, RAS+. Slicer's own
arrays are (z, y, x): they are turned here and nowhere else. A voxel that was not estimated is NaN and stays so.
"""

from __future__ import annotations

import math

import numpy as np
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import get_vtk_array_type, numpy_to_vtk

from .case_nodes import nodeFor
from .errors import UnsuitableInputError

CALIBRATED_ATTRIBUTE = "LiverLabel.isCalibrated"
UNIT_ATTRIBUTE = "LiverLabel.unit"
GEOMETRY_TOLERANCE_MM = 1e-3
"""How far corners of two volumes of one geometry may lie apart; float32 headers round that much."""
PICTURE_AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Where 3D Slicer puts a picture (LPS, pixels of 1 mm): the geometry of labels and maps of an uncalibrated picture."""


def volumeFromArray(values, affine, *, case: str, role: str, name: str = "", unit: str = "", isLabel: bool = False):
    """Show a volume as a node; a later one of the same case and role takes its place.

    Args:
        values: Shape (x, y, z); (x, y) is one slice. NaN is a voxel that was not estimated.
        affine: Index to world millimetres, RAS+, shape (4, 4): oblique, anisotropic and mirrored are kept as they are.
        case: The case's id.
        role: The name of the map, or ``image``.
        unit: As the server names it.
        isLabel: Make a label map volume.
    Returns:
        The vtkMRMLScalarVolumeNode or vtkMRMLLabelMapVolumeNode.
    Raises:
        UnsuitableInputError: no volume of numbers, or an affine that is none.
    """
    values = _checkedValues(values, role)
    affine = checkedAffine(affine, role)
    node = nodeFor("vtkMRMLLabelMapVolumeNode" if isLabel else "vtkMRMLScalarVolumeNode", case, role, name or role)
    _setVolume(node, values, affine)
    if unit:
        node.SetAttribute(UNIT_ATTRIBUTE, unit)
    return node


def arrayFromVolume(node) -> tuple[np.ndarray, np.ndarray]:
    """A copy of a scalar volume's values, shape (x, y, z), and its affine, RAS+, shape (4, 4).

    Raises:
        UnsuitableInputError: the node holds no voxels or more than one number for each.
    """
    return np.array(voxelsOf(node).T, order="C"), affineOf(node)


def voxelsOf(node) -> np.ndarray:
    """A scalar volume's own values, to be read only, in Slicer's order: shape (z, y, x).

    Raises:
        UnsuitableInputError: as :func:`arrayFromVolume`.
    """
    if node is None or node.GetImageData() is None or node.GetImageData().GetNumberOfPoints() == 0:
        found = "none is chosen" if node is None else f"'{node.GetName()}' holds no voxels"
        raise UnsuitableInputError(f"A volume is needed; {found}. Load the image again.")
    if (n := node.GetImageData().GetNumberOfScalarComponents()) != 1:
        raise UnsuitableInputError(
            f"A volume with one number for each voxel is needed; '{node.GetName()}' has {n}. Choose a grey one."
        )
    return slicer.util.arrayFromVolume(node)


def affineOf(node) -> np.ndarray:
    """Index to world millimetres as the volume itself says, without transforms that it was put under; shape (4, 4)."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def shapeOf(node) -> tuple[int, int, int]:
    """Voxels along x, y and z; zeros where there is no image."""
    data = node.GetImageData()
    return tuple(data.GetDimensions()) if data is not None else (0, 0, 0)


def checkSameGeometry(shape, affine, reference, what: str) -> None:
    """Refuse a volume that does not lie voxel on voxel on another.

    Args:
        shape: (x, y, z) of the volume.
        affine: Of the volume; None leaves its place uncompared, as for pictures.
        reference: Volume node.
        what: What the volume is called in the sentence.
    Raises:
        UnsuitableInputError: another matrix or another place.
    """
    needed, found = shapeOf(reference), tuple(shape)
    if needed != found:
        raise UnsuitableInputError(
            f"{what} needs the {_times(needed)} voxels of '{reference.GetName()}'; it has {_times(found)}. "
            "It belongs to another image: open that one, or ask the server again."
        )
    if affine is None:
        return
    corners = np.array(
        [[x, y, z, 1] for x in (0, needed[0] - 1) for y in (0, needed[1] - 1) for z in (0, needed[2] - 1)]
    )
    apart = np.linalg.norm((corners @ (np.asarray(affine, float) - affineOf(reference)).T)[:, :3], axis=1).max()
    if not apart <= GEOMETRY_TOLERANCE_MM:
        raise UnsuitableInputError(
            f"{what} needs to lie where '{reference.GetName()}' lies; it is {apart:.3g} mm away. "
            "It belongs to another image: open that one, or ask the server again."
        )


def turnedLike(values, affine, reference, what: str) -> np.ndarray:
    """A volume with its axes in the order and direction of another that lies in the same place.

    3D Slicer turns a left-handed volume when it reads it from a file, so an image that was saved with the scene and
    opened again may count its slices the other way than the server does.

    Args:
        values: Shape (x, y, z).
        affine: Of ``values``.
        reference: Volume node.
        what: What the volume is called in the sentence.
    Returns:
        The same values in the reference's order.
    Raises:
        UnsuitableInputError: they do not lie voxel on voxel.
    """
    values, affine = turned(values, checkedAffine(affine, what), affineOf(reference))
    checkSameGeometry(values.shape, affine, reference, what)
    return values


def turned(values, affine, target) -> tuple[np.ndarray, np.ndarray]:
    """A volume with its axes in the order and direction of another affine, as far as whole turns lead there.

    Args:
        values: Shape (x, y, z).
        affine: Of ``values``, shape (4, 4).
        target: Whose order is wanted, shape (4, 4).
    Returns:
        (the same values in that order, their affine); where no whole turn does, both as they were.
    """
    turn = np.linalg.solve(target, affine)[:3, :3]
    signs = np.rint(turn)
    if np.array_equal(np.abs(signs).sum(axis=0), [1, 1, 1]) and np.array_equal(np.abs(signs).sum(axis=1), [1, 1, 1]):
        affine, source = np.array(affine, float), np.abs(signs).argmax(axis=1)
        for axis in np.flatnonzero(signs.sum(axis=0) < 0):
            values = np.flip(values, axis)
            affine[:3, 3] += (values.shape[axis] - 1) * affine[:3, axis]
            affine[:3, axis] *= -1
        values, affine = values.transpose(source), affine[:, [*source, 3]]
    return values, affine


def pictureFromPixels(pixels, spacingMm, *, case: str, role: str = "image", name: str = "", isCalibrated: bool = True):
    """Show one ultrasound picture.

    Args:
        pixels: As pydicom and Pillow give them: (rows, columns), or (rows, columns, 3) for RGB.
        spacingMm: (along a row, along a column) of a pixel, that is x then y. Slicer and ITK lose it for ultrasound.
        isCalibrated: False where the spacing is a stand-in, so that nothing is measured in millimetres.
    Returns:
        A vtkMRMLScalarVolumeNode, or vtkMRMLVectorVolumeNode for RGB, of columns x rows x 1.
    Raises:
        UnsuitableInputError: without spacing, or no picture.
    """
    pixels = np.asarray(pixels)
    isColour = pixels.ndim == 3 and pixels.shape[-1] == 3
    if pixels.ndim != 2 + isColour or 0 in pixels.shape:
        raise UnsuitableInputError(
            f"An ultrasound picture of rows x columns is needed; found {_times(pixels.shape)}. Open cines as sequences."
        )
    affine = pictureAffine(spacingMm)
    node = nodeFor("vtkMRMLVectorVolumeNode" if isColour else "vtkMRMLScalarVolumeNode", case, role, name or role)
    _setVolume(node, pixels.swapaxes(0, 1)[:, :, np.newaxis], affine)
    node.SetAttribute(CALIBRATED_ATTRIBUTE, "true" if isCalibrated else "false")
    return node


def pictureAffine(spacingMm) -> np.ndarray:
    """Where a picture with pixels of that size lies: its first pixel at the origin, rows to the right of the reader.

    Raises:
        UnsuitableInputError: no spacing, or sizes that are none.
    """
    if spacingMm is None:
        raise UnsuitableInputError(
            "An ultrasound picture needs the size of its pixels in millimetres; the file has none. "
            "Open the DICOM file of the scanner, or enter the size."
        )
    spacing = np.asarray(spacingMm, float)
    if spacing.shape != (2,) or not np.all(np.isfinite(spacing)) or not np.all(spacing > 0):
        raise UnsuitableInputError(
            f"A picture needs two pixel sizes above 0 mm; found {spacingMm}. Correct them, or open the scanner's file."
        )
    return np.diag([-spacing[0], -spacing[1], 1.0, 1.0])


def pictureOnImage(values, image, *, role: str, case: str, name: str = "", unit: str = ""):
    """Lay a map of a picture, as the server answers it, on the picture in its own pixel size.

    The server gives maps of pictures in pixels of 1 mm and compares no positions (docs/contract.md), so only the
    number of columns and rows has to agree.

    Raises:
        UnsuitableInputError: another number of columns or rows.
    """
    checkSameGeometry(np.shape(values), None, image, f"The map {role}")
    return volumeFromArray(values, affineOf(image), case=case, role=role, name=name, unit=unit)


def cineFromFrames(frames, spacingMm, frameTimesS, *, case: str, name: str = "cine", isCalibrated: bool = True):
    """Show a cine as a sequence with a browser.

    Args:
        frames: Pictures of one size, each (rows, columns) or (rows, columns, 3).
        spacingMm: As for :func:`pictureFromPixels`.
        frameTimesS: When each was taken, increasing, in seconds; None numbers the frames instead.
    Returns:
        (vtkMRMLSequenceNode, vtkMRMLSequenceBrowserNode, the volume node that shows the chosen frame).
    Raises:
        UnsuitableInputError: no frames, frames of mixed sizes, times that do not fit, no spacing.
    """
    *_, made = cineSteps(frames, spacingMm, frameTimesS, case=case, name=name, isCalibrated=isCalibrated)
    return made


def cineSteps(frames, spacingMm, frameTimesS, *, case: str, name: str = "cine", isCalibrated: bool = True):
    """:func:`cineFromFrames` frame by frame, so that a window can do other work between two.

    Yields:
        The number of frames that are in, after each; then what :func:`cineFromFrames` returns.
    """
    frames = [np.asarray(frame) for frame in frames]
    checkFrameShapes([frame.shape for frame in frames], name)
    times = range(len(frames)) if frameTimesS is None else [float(time) for time in frameTimesS]
    isRising = all(earlier < later for earlier, later in zip(times, times[1:], strict=False))
    if len(times) != len(frames) or not isRising or not all(map(math.isfinite, times)):
        raise UnsuitableInputError(
            f"'{name}' needs one rising time for each of its {len(frames)} frames; found {len(times)} times. "
            "Open it without times, or export it again."
        )
    proxy = pictureFromPixels(frames[0], spacingMm, case=case, role="cine.frame", name=name, isCalibrated=isCalibrated)
    sequence = nodeFor("vtkMRMLSequenceNode", case, "cine", f"{name} frames")
    sequence.RemoveAllDataNodes()
    sequence.SetIndexName("frame" if frameTimesS is None else "time")
    sequence.SetIndexUnit("" if frameTimesS is None else "s")
    for index, (frame, time) in enumerate(zip(frames, times, strict=True)):
        _setVolume(proxy, frame.swapaxes(0, 1)[:, :, np.newaxis], affineOf(proxy))
        sequence.SetDataNodeAtValue(proxy, f"{time:g}" if frameTimesS is None else f"{time:.6f}")
        yield index + 1
    browser = nodeFor("vtkMRMLSequenceBrowserNode", case, "cine.browser", f"{name} browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    browser.AddProxyNode(proxy, sequence, False)
    browser.SetSaveChanges(sequence, False)
    browser.SetSelectedItemNumber(0)
    yield sequence, browser, proxy


def checkSequence(sequence) -> None:
    """Refuse a sequence of volumes, loaded by whomever, whose frames differ in size.

    Raises:
        UnsuitableInputError: no frames, something else than volumes, or mixed sizes.
    """
    nodes = [sequence.GetNthDataNode(index) for index in range(sequence.GetNumberOfDataNodes())]
    if not all(node.IsA("vtkMRMLVolumeNode") for node in nodes):
        raise UnsuitableInputError(
            f"A sequence of images is needed; '{sequence.GetName()}' holds something else. Choose another."
        )
    shapes = [shapeOf(node) for node in nodes]
    checkFrameShapes([(y, x, z) if z > 1 else (y, x) for x, y, z in shapes], sequence.GetName())


def checkFrameShapes(shapes, name: str) -> None:
    """Refuse frames of mixed sizes; ``shapes`` are (rows, columns, …)."""
    if not shapes:
        raise UnsuitableInputError(f"A cine needs frames; '{name}' has none. Open it again.")
    for number, shape in enumerate(shapes, start=1):
        if shape != shapes[0]:
            raise UnsuitableInputError(
                f"A cine needs frames of one size; in '{name}' the first is {_times(shapes[0])} and frame {number} is "
                f"{_times(shape)} (rows x columns). Open the frames of each size on their own."
            )


def checkedAffine(affine, what: str) -> np.ndarray:
    """The affine as float64.

    Raises:
        UnsuitableInputError: no finite 4 x 4 matrix that can be inverted.
    """
    affine = np.asarray(affine, float)
    isAffine = affine.shape == (4, 4) and np.all(np.isfinite(affine)) and np.array_equal(affine[3], [0, 0, 0, 1])
    if not isAffine or abs(np.linalg.det(affine[:3, :3])) <= 1e-12:
        raise UnsuitableInputError(
            f"{what} needs a matrix that places its voxels in millimetres; found {affine.tolist()}. Export it again."
        )
    return affine


def _checkedValues(values, what: str) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim == 2:
        values = values[:, :, np.newaxis]
    if values.ndim != 3 or 0 in values.shape or values.dtype.kind not in "biuf":
        raise UnsuitableInputError(
            f"{what} needs a volume of x, y and z of numbers; found {_times(values.shape)} of {values.dtype}. "
            "Ask the server again."
        )
    return values


def _setVolume(node, values, affine) -> None:
    """``values``: (x, y, z) or (x, y, z, components)."""
    if values.dtype.kind == "b" or values.dtype == np.float16:
        values = values.astype(np.uint8 if values.dtype.kind == "b" else np.float32)
    nComponents = values.shape[3] if values.ndim == 4 else 1
    flat = np.ascontiguousarray(np.moveaxis(values, (2, 1, 0), (0, 1, 2)), dtype=values.dtype.newbyteorder("="))
    scalars = numpy_to_vtk(flat.reshape(-1, nComponents), deep=True, array_type=get_vtk_array_type(flat.dtype))
    image = vtk.vtkImageData()
    image.SetDimensions(*values.shape[:3])
    image.GetPointData().SetScalars(scalars)
    # One event at the end: a view that draws between image and matrix would show the one in the other's place.
    with slicer.util.NodeModify(node):
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(affine))
        node.SetAndObserveImageData(image)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()


def _times(shape) -> str:
    return " x ".join(map(str, shape)) or "a single number"
