"""The manifest: strict, versioned, and inside its folder."""

import json

import pytest
from make_studies import make_study

from liver_models.errors import UnsuitableInputError
from liver_models.io.case import ID_PATTERN, load_case, save_case
from liver_models.io.export import write_ismrm_mat
from liver_models.io.importer import import_source
from liver_models.io.reading import read_study


@pytest.fixture
def manifest(tmp_path):
    write_ismrm_mat(make_study(shape=(4, 3, 2)), tmp_path / "visit.mat")
    import_source(tmp_path / "visit.mat", tmp_path / "studies")
    return tmp_path / "studies" / "visit.case.json"


def _change(manifest, change):
    content = json.loads(manifest.read_text())
    change(content)
    manifest.write_text(json.dumps(content))


def test_a_manifest_saved_again_is_the_same(manifest):
    before = manifest.read_bytes()
    save_case(load_case(manifest), manifest.parent)
    assert manifest.read_bytes() == before
    assert load_case(manifest) == load_case(manifest)


def test_a_manifest_names_the_role_of_each_file(manifest):
    case = load_case(manifest)
    (file,) = case.cse_mri.files
    assert (file.path, file.part, len(file.echo_times_s)) == ("visit.mat", "complex", 6)
    assert case.source.name == "visit.mat"
    assert case.path_of(file).read_bytes()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c.update(colour="red"), "the keys of Case are case_id, cse_mri, .*; found colour"),
        (lambda c: c["cse_mri"].update(te=[1]), "the keys of CseMri are format, .*; found te"),
        (lambda c: c["cse_mri"]["files"][0].update(role="x"), "the keys of CaseFile are path, .*; found role"),
        (lambda c: c.update(folder="/tmp"), "found folder"),
        (lambda c: c.update(schema_version=2), "version 1 is needed; .* has version 2"),
        (lambda c: c.update(schema="other"), 'needs "schema": "liverlabel.case"'),
        (lambda c: c.pop("case_id"), "Case needs case_id"),
        (lambda c: c["cse_mri"].pop("files"), "CseMri needs files"),
        (lambda c: c.update(case_id="other"), "holds case_id 'other'"),
        (lambda c: c.update(case_id="../x"), "A case id needs 1 to 128 ASCII letters"),
        (lambda c: c.update(is_simulated="yes"), "is_simulated needs to be of type bool; found 'yes'"),
        (lambda c: c["cse_mri"].update(format="raw"), "format needs to be one of dicom, nifti, ismrm_mat; found 'raw'"),
        (lambda c: c["cse_mri"].update(precession=2), "precession needs to be one of 1, -1, None; found 2"),
        (lambda c: c["cse_mri"].update(field_strength_t="3"), "field_strength_t needs to be of type int or float"),
        (lambda c: c["cse_mri"].update(echo_times_s="all"), "echo_times_s needs a list of seconds"),
        (lambda c: c["cse_mri"]["files"][0].update(sha256="ab"), "sha256 needs 64 hexadecimal digits"),
        (lambda c: c["cse_mri"]["files"][0].update(path="gone.mat"), "'gone.mat' of case 'visit' is missing"),
    ],
)
def test_a_manifest_with_a_fault_is_refused_by_name(manifest, change, sentence):
    _change(manifest, change)
    with pytest.raises(UnsuitableInputError, match=sentence):
        load_case(manifest)


@pytest.mark.parametrize("name", ["../visit.mat", "/etc/hostname", "a/../../x", "", "./visit.mat", "a//b", "a\\b"])
def test_a_file_outside_the_folder_of_the_case_is_refused(manifest, name):
    _change(manifest, lambda content: content["cse_mri"]["files"][0].update(path=name))
    with pytest.raises(UnsuitableInputError, match="needs a name inside the folder of the case"):
        load_case(manifest)


def test_a_link_that_leads_outside_the_folder_of_the_case_is_refused(manifest, tmp_path):
    file = manifest.parent / "files" / "visit" / "visit.mat"
    file.unlink()
    file.symlink_to(tmp_path / "visit.mat")
    with pytest.raises(UnsuitableInputError, match="needs a name inside the folder of the case"):
        load_case(manifest)


def test_a_manifest_cut_short_is_refused(manifest):
    manifest.write_bytes(manifest.read_bytes()[:-20])
    with pytest.raises(UnsuitableInputError, match="needs to be JSON; 'visit.case.json' cannot be read"):
        load_case(manifest)


def test_a_file_changed_since_the_import_is_refused(manifest):
    write_ismrm_mat(make_study(shape=(4, 3, 2), seed=5), manifest.parent / "files" / "visit" / "visit.mat")
    with pytest.raises(UnsuitableInputError, match="'visit.mat' of case 'visit' has changed"):
        read_study(manifest)


def test_what_the_manifest_declares_prevails_over_the_files(manifest):
    _change(manifest, lambda content: content["cse_mri"].update(precession=-1, is_bipolar=True))
    study = read_study(manifest)
    assert (study.precession, study.is_bipolar, study.case_id) == (-1, True, "visit")


@pytest.mark.parametrize("name", ["a", "A.b-c_1", "x" * 128])
def test_an_id_is_plain(name):
    assert ID_PATTERN.fullmatch(name)


@pytest.mark.parametrize("name", ["", ".a", "-a", "a/b", "a b", "ä", "x" * 129, "a\n", "..", "a\\b"])
def test_an_id_that_could_name_another_place_is_none(name):
    assert not ID_PATTERN.fullmatch(name)
