"""A result on disk: whole or not at all, and the same bytes for the same result."""

import errno
import json
import os
from dataclasses import replace

import jsonschema
import nibabel
import numpy as np
import pytest

from liver_models.errors import UnsuitableInputError
from liver_models.io.study import SourceFile
from liver_models.mri.maps import VOLUME_FIELDS
from liver_models.mri.pdff_files import RESULT_NAMES, result_json, result_schema, write_result


@pytest.fixture
def result(small_liver, maps_of):
    study, truth = small_liver
    study = study.with_fields(sources=(SourceFile("écho 1.nii.gz", "ab" * 32),), warnings=("Read with care.",))
    return study, maps_of(study, truth), truth.rois


def test_the_json_satisfies_its_schema_and_holds_what_is_needed_to_repeat_it(result):
    study, maps, rois = result
    found = result_json(study, maps, rois)
    jsonschema.Draft202012Validator.check_schema(result_schema())
    jsonschema.validate(json.loads(json.dumps(found, allow_nan=False)), result_schema())
    assert found["is_simulated"] is True
    assert found["acquisition"]["echo_times_ms"] == [1.3, 3.4, 5.5, 7.6, 9.7, 11.8]
    assert found["acquisition"]["voxel_size_mm"] == [4, 4, 6]
    assert found["inputs"] == [{"name": "écho 1.nii.gz", "sha256": "ab" * 32}]
    assert found["spectrum"]["doi"] == "10.1002/nbm.1622"
    assert [row["name"] for row in found["rois"]] == list(rois)
    assert "not a medical device" in found["notice"]
    assert "Read with care." in found["warnings"]


def test_a_number_that_is_none_is_null(result):
    assert result_json(*result)["settings"]["not_a_number"] is None


def test_voxels_left_out_are_said_in_a_warning(result):
    study, maps, _ = result
    region = maps.valid_mask.copy()
    region[:3, 0, 0] = True
    warnings = result_json(study, maps, {"big": region})["warnings"]
    assert any(f"3 of {region.sum()} voxels of the region 'big' hold no estimate" in text for text in warnings)


def test_every_map_is_written_with_the_geometry_of_the_study(result, tmp_path):
    study, maps, rois = result
    written = write_result(tmp_path / "out", study, maps, rois)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(RESULT_NAMES)
    assert written == json.loads((tmp_path / "out" / "result.json").read_text("utf-8"))
    for name in VOLUME_FIELDS:
        image = nibabel.load(tmp_path / "out" / f"{name}.nii.gz")
        # An oblique affine survives both of NIfTI's ways to store it.
        assert image.get_sform() == pytest.approx(study.affine, abs=1e-4)
        assert image.get_qform() == pytest.approx(study.affine, abs=1e-3)
        assert np.array_equal(np.asarray(image.dataobj), getattr(maps, name), equal_nan=True)
        assert image.get_data_dtype() == (np.uint8 if name == "valid_mask" else np.float32)


def test_the_same_result_gives_the_same_bytes(result, tmp_path):
    for name in ("a", "b"):
        write_result(tmp_path / name, *result)
    for file in RESULT_NAMES:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


def test_a_former_result_is_kept_unless_overwriting_is_allowed(result, tmp_path):
    study, maps, rois = result
    write_result(tmp_path / "out", study, maps, rois)
    before = (tmp_path / "out" / "result.json").read_bytes()
    changed = replace(maps, method="another")
    with pytest.raises(UnsuitableInputError, match="already holds a result.*--overwrite"):
        write_result(tmp_path / "out", study, changed, rois)
    assert (tmp_path / "out" / "result.json").read_bytes() == before
    write_result(tmp_path / "out", study, changed, rois, overwrite=True)
    assert json.loads((tmp_path / "out" / "result.json").read_text())["method"] == "another"
    assert os.listdir(tmp_path) == ["out"]


def test_a_folder_with_other_files_is_never_replaced(result, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UnsuitableInputError, match="folder of its own; .* also holds notes.txt"):
        write_result(tmp_path, *result, overwrite=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_file_in_the_place_of_the_folder_is_refused(result, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(UnsuitableInputError, match="needs to be a folder; .* is a file"):
        write_result(tmp_path / "out", *result)


def test_a_full_disk_leaves_nothing_behind(result, tmp_path, monkeypatch):
    from liver_models.mri import pdff_report

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pdff_report, "report_html", full)
    with pytest.raises(OSError, match="No space left"):
        write_result(tmp_path / "out", *result)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_the_former_result(result, tmp_path, monkeypatch):
    from liver_models.mri import pdff_report

    write_result(tmp_path / "out", *result)
    before = (tmp_path / "out" / "report.html").read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pdff_report, "report_html", full)
    with pytest.raises(OSError, match="No space left"):
        write_result(tmp_path / "out", *result, overwrite=True)
    assert os.listdir(tmp_path) == ["out"]
    assert (tmp_path / "out" / "report.html").read_bytes() == before


def test_a_result_that_cannot_take_its_place_gives_it_back_to_the_former(result, tmp_path, monkeypatch):
    write_result(tmp_path / "out", *result)
    before = (tmp_path / "out" / "report.html").read_bytes()
    real = os.replace

    def refuse(source, target):
        if str(source).endswith(".partial"):
            raise OSError(errno.EACCES, "Permission denied")
        real(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="Permission denied"):
        write_result(tmp_path / "out", *result, overwrite=True)
    assert os.listdir(tmp_path) == ["out"]
    assert (tmp_path / "out" / "report.html").read_bytes() == before


def test_paths_with_spaces_and_accents_work(result, tmp_path):
    write_result(tmp_path / "Grüße an alle" / "肝臓 1", *result)
    assert (tmp_path / "Grüße an alle" / "肝臓 1" / "report.html").is_file()


def test_what_the_study_says_is_said_once():
    from liver_models.mri.pdff import estimate
    from liver_models.mri.phantom import make_phantom

    study, _ = make_phantom("vials", snr=50, size=64)
    study = study.with_fields(warnings=("Something about how it was read.",))
    said = result_json(study, estimate(study), {})["warnings"]
    assert said.count("Something about how it was read.") == 1
