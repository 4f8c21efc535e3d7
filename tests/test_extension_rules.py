"""What the Slicer extension may use, read from its source: it installs nothing and keeps Qt out of its library."""

import ast
import json
import re
import sys
from pathlib import Path

import pytest

EXTENSION = Path(__file__).parents[1] / "slicer_extension"
LIBRARY = EXTENSION / "LiverLabel" / "LiverLabelLib"
WITH_SLICER = {"case_nodes", "display", "mrml_io", "roi", "segments"}
"""Files of the library that use the scene; the others run without Slicer."""
FILES = sorted(LIBRARY.glob("*.py"))


def imported(source: str) -> set[str]:
    """Top names of every absolute import, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_of_the_library_imports_only_what_slicer_ships(path):
    allowed = {"numpy", "pydicom"} | ({"slicer", "vtk"} if path.stem in WITH_SLICER else set())
    assert imported(path.read_text(encoding="utf-8")) - set(sys.stdlib_module_names) <= allowed
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 350


def test_the_rule_sees_late_and_dotted_imports():
    assert imported("def f():\n    import qt.core\n    from vtk.util import x\n    from . import y") == {"qt", "vtk"}


def test_nothing_is_installed_into_slicer():
    for path in EXTENSION.rglob("*.py"):
        assert not re.search(r"pip_install|\bensurepip\b|-m['\", ]+pip", path.read_text(encoding="utf-8")), path


def test_the_catalog_entry_has_the_keys_of_its_schema():
    """Keys and types of slicer-extension-catalog-entry-schema-v1.0.1; the catalog refuses others."""
    entry = json.loads((EXTENSION / "LiverLabel.json").read_text(encoding="utf-8"))
    types = {"$schema": str, "category": str, "scm_url": str, "scm_revision": str, "build_subdirectory": str}
    types |= {"scm_type": str, "build_dependencies": list, "enabled": bool, "tier": int}
    assert {"$schema", "category", "scm_url"} <= set(entry) <= set(types)
    assert all(isinstance(value, types[key]) for key, value in entry.items())
    assert entry["$schema"].endswith("slicer-extension-catalog-entry-schema-v1.0.1.json#") and 1 <= entry["tier"] <= 5


def test_the_build_names_the_project_and_its_three_modules():
    build = (EXTENSION / "CMakeLists.txt").read_text(encoding="utf-8")
    entry = json.loads((EXTENSION / "LiverLabel.json").read_text(encoding="utf-8"))
    assert "project(LiverLabel)" in build and f'set(EXTENSION_CATEGORY "{entry["category"]}")' in build
    for module in re.search(r"foreach\(module (.+)\)", build)[1].split():
        script = (EXTENSION / module / "CMakeLists.txt").read_text(encoding="utf-8")
        assert f"set(MODULE_NAME {module})" in script and "slicerMacroBuildScriptedModule" in script
