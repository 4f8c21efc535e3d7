"""NIfTI with JSON: BIDS and its inheritance, dcm2niix names, single files."""

import gzip
import json

import nibabel as nib
import numpy as np
import pytest
from make_studies import affine_of, make_study

from liver_models.errors import UnsuitableInputError
from liver_models.io.export import write_bids
from liver_models.io.reading import read_study
from liver_models.io.volumes import write_volume


def _refused(path, sentence):
    with pytest.raises(UnsuitableInputError, match=sentence):
        read_study(path)


def _sidecars(folder):
    return sorted(path for path in folder.rglob("*.json") if "_echo-" in path.name)


def _change(path, **values):
    content = json.loads(path.read_text()) | values
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def _save(path, array, affine, **sidecar):
    nib.save(nib.Nifti1Image(array, affine), path)
    stem = path.name.replace(".nii.gz", "").replace(".nii", "")
    if sidecar:
        path.with_name(f"{stem}.json").write_text(json.dumps(sidecar))


def test_fields_common_to_all_images_are_inherited_from_the_root(tmp_path):
    study = make_study()
    write_bids(study, tmp_path)
    for path in _sidecars(tmp_path):
        _change(path, MagneticFieldStrength=None, PrecessionIsClockwise=None)
    _refused(tmp_path, "no JSON of .* gives MagneticFieldStrength")
    (tmp_path / "MEGRE.json").write_text(json.dumps({"MagneticFieldStrength": 7.0, "PrecessionIsClockwise": 1}))
    read = read_study(tmp_path)
    assert (read.field_strength_t, read.precession) == (7.0, 1)
    assert "MEGRE.json" in {source.name for source in read.sources}


@pytest.mark.parametrize("value", [float("inf"), float("nan"), True, "0.002", {}])
def test_an_echo_time_that_is_no_finite_number_is_refused(tmp_path, value):
    write_bids(make_study(), tmp_path)
    _change(_sidecars(tmp_path)[0], EchoTime=value)
    _refused(tmp_path, "Echo times need to be numbers in seconds; those of .* are not. Correct the JSON")


def test_an_orientation_that_is_not_stated_is_not_claimed(tmp_path):
    study = make_study()
    sidecar = {"EchoTimes": list(study.echo_times_s), "MagneticFieldStrength": 1.5}
    _save(tmp_path / "a.nii.gz", np.moveaxis(study.signal, 0, -1), study.affine, **sidecar)
    assert read_study(tmp_path / "a.nii.gz").is_orientation_known
    _save(tmp_path / "a.nii.gz", np.moveaxis(study.signal, 0, -1), None, **sidecar)
    read = read_study(tmp_path / "a.nii.gz")
    assert not read.is_orientation_known and any("no position or orientation" in note for note in read.warnings)


def test_a_nearer_sidecar_prevails(tmp_path):
    write_bids(make_study(), tmp_path)
    (tmp_path / "MEGRE.json").write_text(json.dumps({"MagneticFieldStrength": 7.0}))
    assert read_study(tmp_path).field_strength_t == 2.89


def test_two_sessions_are_two_acquisitions(tmp_path):
    for session in ("1", "2"):
        write_bids(make_study(), tmp_path / session)
        for path in (tmp_path / session).rglob("*_MEGRE.*"):
            path.rename(path.with_name(path.name.replace("_echo", f"_ses-{session}_echo")))
    _refused(tmp_path, "'.*' holds 2: 'sub-P7_ses-1_MEGRE'; 'sub-P7_ses-2_MEGRE'")


@pytest.mark.parametrize("kind", ["complex", "real and imaginary", "magnitude and phase"])
def test_one_file_may_hold_all_echoes(tmp_path, kind):
    study = make_study(echo_times_s=(0.001, 0.0024, 0.0039))
    signal = np.moveaxis(study.signal, 0, -1)
    sidecar = {"EchoTimes": list(study.echo_times_s), "MagneticFieldStrength": 3.0}
    path = tmp_path / "liver scan.nii.gz"
    if kind == "complex":
        _save(path, signal, study.affine, **sidecar)
    elif kind == "real and imaginary":
        path = tmp_path / "scan_real.nii"
        _save(path, signal.real.copy(), study.affine, **sidecar)
        _save(tmp_path / "scan_imag.nii", signal.imag.copy(), study.affine, **sidecar)
    else:
        path = tmp_path / "scan_mag.nii.gz"
        _save(path, np.abs(signal), study.affine)
        _save(tmp_path / "scan_phase.nii.gz", np.degrees(np.angle(signal)), study.affine)
        (tmp_path / "scan.json").write_text(json.dumps(sidecar))
    read = read_study(path)
    np.testing.assert_allclose(read.signal, study.signal, rtol=1e-4, atol=0.05)
    np.testing.assert_allclose(read.affine, study.affine, atol=1e-5)


def test_shuffled_echo_times_of_one_file_give_the_same_bits(tmp_path):
    study = make_study(echo_times_s=(0.001, 0.0024, 0.0039, 0.005))
    reads = []
    for name, order in (("a", [0, 1, 2, 3]), ("b", [2, 0, 3, 1])):
        times = [float(study.echo_times_s[i]) for i in order]
        path = tmp_path / f"{name}.nii.gz"
        _save(path, np.moveaxis(study.signal[order], 0, -1), study.affine, EchoTimes=times, MagneticFieldStrength=3)
        reads.append(read_study(path))
    assert reads[0].signal.tobytes() == reads[1].signal.tobytes()
    assert reads[0].echo_times_s.tobytes() == reads[1].echo_times_s.tobytes()


def test_the_names_dcm2niix_gives_are_understood(tmp_path):
    study = make_study()
    for number, (time, signal) in enumerate(zip(study.echo_times_s, study.signal, strict=True), start=1):
        sidecar = {"EchoTime": float(time), "EchoNumber": number, "MagneticFieldStrength": 3, "SeriesNumber": 5}
        _save(tmp_path / f"gre_5_e{number}.nii.gz", np.abs(signal), study.affine, **sidecar)
        sidecar["SeriesNumber"] = 6
        phase = np.round(np.angle(signal) / np.pi * 4096).astype(np.int16)
        _save(tmp_path / f"gre_6_e{number}_ph.nii.gz", phase, study.affine, **sidecar)
    read = read_study(tmp_path)
    np.testing.assert_allclose(read.signal, study.signal, rtol=0, atol=4)


def test_echoes_at_different_places_are_refused(tmp_path):
    study = make_study()
    write_bids(study, tmp_path)
    path = sorted(tmp_path.rglob("*_echo-2_part-mag*.nii.gz"))[0]
    write_volume(path, np.abs(study.signal[1]), affine_of(origin_mm=(-81.5, 41.0, 12.0)))
    _refused(tmp_path, "one geometry; .* differ in matrix or affine")
    write_volume(path, np.abs(study.signal[1, 1:]), study.affine)
    _refused(tmp_path, "one geometry; .* differ in matrix or affine")


def test_a_missing_echo_a_duplicate_one_and_too_few_are_refused(tmp_path):
    write_bids(make_study(), tmp_path)
    _change(next(p for p in _sidecars(tmp_path) if "echo-3_part-mag" in p.name), EchoTime=0.00318)
    _refused(tmp_path, "has two at 3.18 ms: '.*echo-2_part-mag.*' and '.*echo-3_part-mag.*'. Remove the duplicate")
    for path in tmp_path.rglob("*echo-3*"):
        path.unlink()
    _refused(tmp_path, "so echo 3 is missing")
    for path in [*tmp_path.rglob("*echo-[4-6]*")]:
        path.unlink()
    _refused(tmp_path, "PDFF needs at least 3 echoes; this image has 2")


def test_images_without_echo_time_or_phase_without_magnitude_are_refused(tmp_path):
    write_bids(make_study(), tmp_path)
    for path in tmp_path.rglob("*part-mag*"):
        path.unlink()
    _refused(tmp_path, "found phase without magnitude images")
    for path in _sidecars(tmp_path):
        path.unlink()
    _refused(tmp_path, "no echo time .no JSON beside it")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"EchoTime": "5 ms"}, "Echo times need to be numbers in seconds"),
        ({"EchoTime": [0.001, 0.002]}, "One echo time is needed for each volume"),
        ({"Units": "deg"}, "Phase declared in degrees .* which are radians"),
        ({"MagneticFieldStrength": 1.5}, "One field strength is needed; .* give .1.5, 2.89."),
    ],
)
def test_a_sidecar_with_a_fault_is_refused(tmp_path, values, sentence):
    write_bids(make_study(), tmp_path)
    path = next(p for p in _sidecars(tmp_path) if "echo-1_part-phase" in p.name)
    _change(path, **values)
    _refused(tmp_path, sentence)


def test_echo_times_in_milliseconds_are_refused(tmp_path):
    write_bids(make_study(), tmp_path)
    for path in _sidecars(tmp_path):
        _change(path, EchoTime=json.loads(path.read_text())["EchoTime"] * 1000)
    _refused(tmp_path, "They look like milliseconds")


def test_a_nifti_file_cut_short_anywhere_is_named(tmp_path):
    write_bids(make_study(shape=(4, 3, 2)), tmp_path)
    path = sorted(tmp_path.rglob("*_echo-2_part-mag*.nii.gz"))[0]
    data = path.read_bytes()
    for cut in range(0, len(data), 11):
        path.write_bytes(data[:cut])
        _refused(tmp_path, f"'.*{path.name}' is cut short, damaged or no NIfTI")
    plain = gzip.decompress(data)
    for cut in range(0, len(plain), 13):
        path.write_bytes(gzip.compress(plain[:cut]))
        _refused(tmp_path, f"'.*{path.name}' is cut short, damaged or no NIfTI")


def test_a_damaged_sidecar_is_named(tmp_path):
    write_bids(make_study(shape=(4, 3, 2)), tmp_path)
    path = _sidecars(tmp_path)[0]
    path.write_text('{"EchoTime": ')
    _refused(tmp_path, f"'.*{path.name}' cannot be read as JSON")
    path.write_text("[1]")
    _refused(tmp_path, f"A JSON object is needed; '.*{path.name}' holds something else")
