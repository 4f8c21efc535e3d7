"""Which server: its address, the token, and who reads."""

from __future__ import annotations

import qt
from LiverLabelLib.client import Server
from LiverLabelLib.errors import ConnectError, LiverLabelError
from LiverLabelLib.session import SERVER

from .panel import Panel
from .status_line import StatusLine

NOT_CONNECTED = "Not connected."


class ConnectionPanel(Panel):
    """Address, token, CA file, reader, and the button that tries them."""

    def __init__(self, ui, session):
        super().__init__(ui, session)
        self.status = StatusLine(session, ui, "connection")
        self.status.reset()
        self._suggested = ""
        self._doesAnswer = True
        settings = session.settings
        ui.addressEdit.setText(settings.address)
        ui.tokenEdit.setText(settings.token)
        ui.keepTokenCheckBox.setChecked(settings.isTokenKept)
        ui.caFileEdit.setText(settings.caFile)
        ui.readerEdit.setText(settings.reader)
        for edit in (ui.addressEdit, ui.tokenEdit, ui.caFileEdit, ui.readerEdit):
            edit.connect("returnPressed()", self.onConnect)
        ui.readerEdit.connect("editingFinished()", self.storeReader)
        ui.keepTokenCheckBox.connect("toggled(bool)", self.onKeepToken)
        ui.chooseCaFileButton.connect("clicked(bool)", self.onChooseCaFile)
        ui.connectButton.connect("clicked(bool)", self.onConnect)
        ui.useSuggestionButton.connect("clicked(bool)", self.onUseSuggestion)
        self.observe(SERVER, self.update)
        self._suggest("")
        self.storeReader()
        self.update()

    def update(self) -> None:
        """Say which server is connected and what it offers."""
        server = self.session.server
        if server is None:
            self.ui.serverLabel.setText(NOT_CONNECTED)
            return
        lines = [f"{task.name}: {task.description}" if task.description else task.name for task in server.tasks]
        how = "Connected to" if self._doesAnswer else "Connected before and not answering now:"
        offers = "\n".join(["It offers", *(f"• {line}" for line in lines)]) if lines else "It offers no task."
        self.ui.serverLabel.setText(f"{how} {server.address}, LiverLabel {server.version}.\n{offers}")

    def onConnect(self) -> None:
        """Store what was typed and try it."""
        settings = self.session.settings
        settings.address, settings.token = self.ui.addressEdit.text, self.ui.tokenEdit.text
        settings.caFile = self.ui.caFileEdit.text
        self.storeReader()
        self._suggest("")
        self.status.begin("Connecting")
        self.status.follow(self.session.connect(self.onConnected, self.onFailed))

    def onConnected(self, server: Server) -> None:
        """Show the address as the server is reached."""
        self._doesAnswer = True
        self.ui.addressEdit.setText(server.address)
        self.session.settings.address = server.address
        self.status.done()
        self.update()

    def onFailed(self, error: LiverLabelError) -> None:
        """Show why, and the address that may be meant; the former server stays."""
        server = self.session.server
        self.status.fail(error)
        self._doesAnswer = server is None or self.ui.addressEdit.text.strip().rstrip("/") != server.address
        self._suggest(error.suggested_address if isinstance(error, ConnectError) else "")
        self.update()

    def onUseSuggestion(self) -> None:
        """Take the suggested address and connect."""
        self.ui.addressEdit.setText(self._suggested)
        self.onConnect()

    def onKeepToken(self, isKept: bool) -> None:
        """Write the token into this computer's settings, or remove it there."""
        self.session.settings.isTokenKept = isKept
        self.session.settings.token = self.ui.tokenEdit.text

    def onChooseCaFile(self) -> None:
        """Choose the authority's file."""
        chosen = qt.QFileDialog.getOpenFileName(
            self.ui.caFileEdit, "CA file", self.ui.caFileEdit.text, "Certificates (*.pem *.crt *.cer);;All files (*)"
        )
        if chosen:
            self.ui.caFileEdit.setText(chosen)
            self.session.settings.caFile = chosen

    def storeReader(self) -> None:
        """Take the reader's name, or say what it needs; labels go under the former name until then."""
        problem = ""
        try:
            self.session.settings.reader = self.ui.readerEdit.text
        except ValueError as error:
            former = self.session.settings.reader
            under = f"under '{former}'" if former else "without a name"
            problem = f"{error} Until then labels are saved {under}."
        self.ui.readerProblemLabel.setText(problem)
        self.ui.readerProblemLabel.setVisible(bool(problem))

    def _suggest(self, address: str) -> None:
        self._suggested = address
        self.ui.useSuggestionButton.setText(f"Use {address}")
        self.ui.useSuggestionButton.setVisible(bool(address))
