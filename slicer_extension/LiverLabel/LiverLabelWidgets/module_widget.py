"""What the three modules have in common: a form, and panels that are told when it is entered and left."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import slicer.util
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget

from . import app
from .panel import Panel


class ModuleWidget(ScriptedLoadableModuleWidget):
    """A module says by :meth:`build` which panels its form has."""

    def setup(self):
        """Load the module's form and build its panels."""
        ScriptedLoadableModuleWidget.setup(self)
        form = slicer.util.loadUI(self.resourcePath(f"UI/{self.moduleName}.ui"))
        self.layout.addWidget(form)
        self.ui = slicer.util.childWidgetVariables(form)
        self.panels = self.build(self.ui, app.session())

    @abstractmethod
    def build(self, ui, session) -> Sequence[Panel]:
        """The panels, in the order in which they are told."""

    def enter(self):
        """The user opened the module."""
        for panel in self.panels:
            panel.enter()

    def exit(self):
        """The user went to another module."""
        for panel in self.panels:
            panel.exit()

    def cleanup(self):
        """The module is taken down."""
        for panel in self.panels:
            panel.close()
