"""What Slicer and its catalog ask of the extension, read from its source; what it imports: test_architecture.py."""

import json
import re
from pathlib import Path

import pytest

EXTENSION = Path(__file__).parents[1] / "slicer_extension"


@pytest.mark.parametrize("path", sorted(EXTENSION.rglob("*.py")), ids=lambda path: path.name)
def test_a_file_has_one_idea(path):
    is_module = path.stem == path.parent.name
    assert len(path.read_text(encoding="utf-8").splitlines()) <= (200 if is_module else 400)


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
