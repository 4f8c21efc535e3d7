"""The panels of the three modules: Qt on top of ``LiverLabelLib``.

Written in PythonQt's way: properties are read as attributes, set by their setters, and signals are connected by
``connect("clicked(bool)", call)``. A panel gets the widgets of its module's ``.ui`` file and the shared session; it
makes no request itself but starts jobs.
"""
