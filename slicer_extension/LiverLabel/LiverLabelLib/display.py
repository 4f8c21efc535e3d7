"""How maps look: one window and unit for every patient, uncertain voxels left out, colour bars with the unit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import slicer
import slicer.util

from .case_nodes import caseOf, roleOf
from .errors import UnsuitableInputError
from .mrml_io import UNIT_ATTRIBUTE, affineOf, pictureOnImage, turnedLike, volumeFromArray, voxelsOf

COLOUR_BAR_SIZE = (0.1, 0.32)
"""Of the view's width and height."""
SHOWN = ".shown"
"""Ends the role of the volume that is displayed in a map's place while uncertain voxels are left out."""
COLOURS = {
    "Grey": ((0, 0, 0), (255, 255, 255)),
    "Inferno": ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)),
    "Viridis": ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)),
    "DivergingBlueRed": ((59, 76, 192), (221, 221, 221), (180, 4, 38)),
}
"""Colour tables that 3D Slicer has, and steps to make them of where it was started without its own files."""


@dataclass(frozen=True)
class MapLook:
    """How one kind of map is shown."""

    title: str
    """For people."""
    unit: str
    """For the colour bar."""
    low: float | None
    """Lower end of the window, in ``unit``; None: the volume's own 1st percentile."""
    high: float | None
    """Upper end of the window, in ``unit``; None: the volume's own 99th percentile."""
    colours: str = "Grey"
    """A name in ``COLOURS``."""
    decimals: int = 0
    """Of the numbers at the colour bar."""
    nLabels: int = 6
    """Numbers at the colour bar: as many as give round ones."""


LOOKS = {
    "pdff_percent": MapLook("PDFF", "%", 0, 50, "Inferno"),
    "pdff_std_percent": MapLook("PDFF standard deviation", "percentage points", 0, 10, "Viridis"),
    "r2_star_per_s": MapLook("R2*", "1/s", 0, 200, "Inferno", nLabels=5),
    "r2_star_std_per_s": MapLook("R2* standard deviation", "1/s", 0, 20, "Viridis", nLabels=5),
    "field_map_hz": MapLook("Field", "Hz", -200, 200, "DivergingBlueRed", nLabels=5),
    "field_map_std_hz": MapLook("Field standard deviation", "Hz", 0, 20, "Viridis", nLabels=5),
    "water": MapLook("Water", "units of the input", None, None),
    "fat": MapLook("Fat", "units of the input", None, None),
    "swap_probability": MapLook("Probability of a swap", "0 to 1", 0, 1, "Viridis", decimals=1),
    "valid_mask": MapLook("Estimated", "1: estimated, 0: not", 0, 1, nLabels=2),
    "grad_cam": MapLook("Grad-CAM", "share of the largest", 0, 1, "Inferno", decimals=1),
    "nafld_grad_cam": MapLook("Grad-CAM", "share of the largest", 0, 1, "Inferno", decimals=1),
    "nafld_gradient_shap": MapLook(
        "Gradient SHAP", "share of the largest, signed", -1, 1, "DivergingBlueRed", decimals=1, nLabels=5
    ),
}
"""The maps that the server is known to answer with (``GET /liver/tasks``)."""


def lookOf(role: str, unit: str = "") -> MapLook:
    """The look of a map; one that is not known is shown in grey in its own range.

    Args:
        role: The map's name.
        unit: As the reply says; it stands in the colour bar instead of ours.
    """
    look = LOOKS.get(role.removesuffix(SHOWN), MapLook(role, unit, None, None))
    return replace(look, unit=unit) if unit else look


def applyLook(node, look: MapLook | None = None) -> MapLook:
    """Give a map its fixed window and colours; voxels that are NaN become transparent.

    Returns:
        The look, with the window filled in.
    """
    look = look or lookOf(roleOf(node) or node.GetName(), node.GetAttribute(UNIT_ATTRIBUTE) or "")
    values = voxelsOf(node)
    finite = values[np.isfinite(values)]
    if look.low is None or look.high is None:
        low, high = np.percentile(finite, (1, 99)) if finite.size else (0.0, 1.0)
        low, high = (low if look.low is None else look.low), (high if look.high is None else look.high)
        look = replace(look, low=float(low), high=float(max(high, low + 1e-6)))
    display = node.GetDisplayNode()
    with slicer.util.NodeModify(display):
        display.AutoWindowLevelOff()
        display.SetWindowLevelMinMax(look.low, look.high)
        display.AutoThresholdOff()
        # NaN lies within no threshold, so it is drawn as nothing. Where nothing is left the range has to be empty too.
        display.SetThreshold(*((float(finite.min()), float(finite.max())) if finite.size else (1.0, 0.0)))
        display.ApplyThresholdOn()
        # Between a voxel and a NaN there is nothing to interpolate; single voxels are also what was measured.
        display.InterpolateOff()
        display.SetAndObserveColorNodeID(colourNode(look.colours).GetID())
    return look


def colourNode(name: str):
    """The scene's colour table of that name, made of our steps if Slicer's own is not there."""
    for node in slicer.util.getNodesByClass("vtkMRMLColorNode"):
        if node.GetName() == name:
            return node
    steps = np.array(COLOURS[name], float) / 255
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", name)
    node.SetTypeToUser()
    node.SetNumberOfColors(256)
    for index, share in enumerate(np.linspace(0, len(steps) - 1, 256)):
        colour = [float(np.interp(share, range(len(steps)), steps[:, channel])) for channel in range(3)]
        node.SetColor(index, str(index), *colour, 1.0)
    node.SetHideFromEditors(True)
    return node


def colourBarText(look: MapLook) -> str:
    """Title of the colour bar, such as "PDFF (%)"; long ones in two lines, because a view cuts them off."""
    if not look.unit:
        return look.title
    return f"{look.title}{chr(10) if len(look.title + look.unit) > 16 else ' '}({look.unit})"


def showColourBar(node, look: MapLook | None = None):
    """Show the map's colour bar with its unit, in the views that show the map; it is made once."""
    look = look or lookOf(roleOf(node) or node.GetName(), node.GetAttribute(UNIT_ATTRIBUTE) or "")
    logic = slicer.vtkSlicerColorLogic
    legend = logic.GetColorLegendDisplayNode(node) or logic.AddDefaultColorLegendDisplayNode(node)
    legend.SetTitleText(colourBarText(look))
    legend.SetLabelFormat(f"%.{look.decimals}f")
    legend.SetNumberOfLabels(look.nLabels)
    # The stock size cuts longer titles off in a small view.
    legend.GetTitleTextProperty().SetFontSize(12)
    legend.GetLabelTextProperty().SetFontSize(10)
    legend.SetSize(*COLOUR_BAR_SIZE)
    legend.SetVisibility(True)
    return legend


def hideUncertain(mapNode, stdNode, maximumStd: float | None):
    """The volume to display: the map without voxels whose standard deviation exceeds a limit.

    The map itself is not changed; what is measured in it stays complete.

    Args:
        mapNode: A map.
        stdNode: Its standard deviation, in the map's unit.
        maximumStd: Largest that is shown, in that unit; None shows all.
    Returns:
        The map itself, or the volume beside it that is shown instead.
    Raises:
        UnsuitableInputError: the two do not lie voxel on voxel.
    """
    if maximumStd is None:
        return mapNode
    values, affine = voxelsOf(mapNode).T, affineOf(mapNode)
    std = turnedLike(voxelsOf(stdNode).T, affineOf(stdNode), mapNode, f"'{stdNode.GetName()}'")
    # A voxel whose standard deviation is not known is not shown as certain.
    shown = np.where(std <= maximumStd, values, np.nan).astype(np.float32)
    role = (roleOf(mapNode) or mapNode.GetName()) + SHOWN
    name = f"{mapNode.GetName()}, SD up to {maximumStd:g}"
    unit = mapNode.GetAttribute(UNIT_ATTRIBUTE) or ""
    node = volumeFromArray(shown, affine, case=caseOf(mapNode) or "", role=role, name=name, unit=unit)
    node.SetName(name)
    node.SetAndObserveTransformNodeID(mapNode.GetTransformNodeID())
    applyLook(node)
    return node


def overlayExplanation(values, image, *, role: str, case: str, opacity: float = 0.4):
    """Lay an explanation map on its B-mode image and show both; returns the map's node.

    Args:
        values: 0 to 1, or -1 to 1 where it is signed, columns x rows x 1.
        image: The B-mode image's node.
        role: The map's name, in ``LOOKS``.
    Raises:
        UnsuitableInputError: another number of columns or rows.
    """
    node = pictureOnImage(values, image, role=role, case=case, name=LOOKS[role].title)
    look = applyLook(node, LOOKS[role])
    showInSlices(image, node, opacity=opacity)
    showColourBar(node, look)
    return node


def showInSlices(background, foreground=None, *, opacity: float = 0.6, views=None) -> None:
    """Put an image and a map over it into slice views.

    Args:
        background: Volume node, or None for nothing.
        foreground: Volume node, or None.
        opacity: Of the foreground, 0 to 1.
        views: Names such as ``("Red",)``; None for all.
    Raises:
        UnsuitableInputError: an opacity that is none.
    """
    if not 0 <= opacity <= 1:
        raise UnsuitableInputError(f"An opacity from 0 to 1 is needed; found {opacity}. Move the slider.")
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        if views is None or composite.GetLayoutName() in views:
            with slicer.util.NodeModify(composite):
                composite.SetBackgroundVolumeID(background.GetID() if background else None)
                composite.SetForegroundVolumeID(foreground.GetID() if foreground else None)
                composite.SetForegroundOpacity(opacity)


def alignSlices(volume, views=None) -> None:
    """Turn slice views into the planes of an oblique volume and fit them to it, so that its voxels are square on."""
    for sliceNode in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        if views is None or sliceNode.GetLayoutName() in views:
            sliceNode.RotateToVolumePlane(volume)
            logic = slicer.app.applicationLogic().GetSliceLogic(sliceNode)
            if logic is not None:
                logic.FitSliceToVolume(volume, *sliceNode.GetDimensions()[:2])
                logic.SnapSliceOffsetToIJK()
