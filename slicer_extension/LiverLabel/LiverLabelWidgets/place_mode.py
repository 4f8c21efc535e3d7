"""The mouse places points of a chosen markup in the views, until it is ended by a button, by Escape or by itself."""

from __future__ import annotations

from collections.abc import Callable

import slicer
from LiverLabelLib.roi import Observers
from LiverLabelLib.session import Session

from .panel import Panel


class PlaceMode(Panel):
    """3D Slicer's place mode for one node at a time; its Escape key works meanwhile only.

    Args:
        ui, session: As for any panel.
        onChange: Called when it begins or ends.
    """

    def __init__(self, ui, session: Session, onChange: Callable[[], None]):
        super().__init__(ui, session)
        self._onChange = onChange
        self._nodeId = ""
        self._following = Observers()
        self.addShortcut("Escape", self.stop)

    def isOn(self, node=None) -> bool:
        """Whether the mouse places points, of a certain node if one is given."""
        return bool(self._nodeId) and (node is None or node.GetID() == self._nodeId)

    def start(self, node) -> None:
        """Let the mouse place points of a node."""
        if self.isOn():
            self.stop()
        selection, interaction = _nodes()
        selection.SetReferenceActivePlaceNodeClassName(node.GetClassName())
        selection.SetActivePlaceNodeID(node.GetID())
        interaction.SetPlaceModePersistence(1)
        interaction.SetCurrentInteractionMode(interaction.Place)
        self._nodeId = node.GetID()
        self._following.add(interaction, interaction.InteractionModeChangedEvent, self._onMode)
        self._following.add(selection, selection.ActivePlaceNodeIDChangedEvent, self._onMode)
        self.enter()
        self._onChange()

    def stop(self) -> None:
        """Let the mouse do again what it does otherwise."""
        if not self.isOn():
            return
        selection, interaction = _nodes()
        self._following.removeAll()
        if interaction.GetCurrentInteractionMode() == interaction.Place:
            interaction.SetCurrentInteractionMode(interaction.ViewTransform)
        interaction.SetPlaceModePersistence(0)
        self._nodeId = ""
        self.exit()
        self._onChange()

    def close(self) -> None:
        """The module is taken down."""
        self.stop()
        super().close()

    def _onMode(self, *unused) -> None:
        # The user chose another tool, or a curve was ended by a double click: no new markup is begun in our name.
        selection, interaction = _nodes()
        isOurs = selection.GetActivePlaceNodeID() == self._nodeId
        if interaction.GetCurrentInteractionMode() != interaction.Place or not isOurs:
            self.stop()


def _nodes():
    logic = slicer.app.applicationLogic()
    return logic.GetSelectionNode(), logic.GetInteractionNode()
