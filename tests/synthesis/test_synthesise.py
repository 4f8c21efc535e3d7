"""Sets of drawn images: complete or to be continued, to the same bytes."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from tiny_ldm import tiny_frames, tiny_options

from liver_models.__main__ import main
from liver_models.errors import UnsuitableInputError
from liver_models.io.synthetic_set import check_fold, read_images, read_manifest
from liver_models.synthesis.generator import train_generator
from liver_models.synthesis.samplers import SamplerOptions
from liver_models.synthesis.synthesise import answers_of, synthesise
from liver_models.weights import load_weights, save_weights

SAMPLER = SamplerOptions(steps=3)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    found = train_generator("ldm_class", tiny_frames(), tiny_options())
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_weights(path, found.tensors, found.card)
    return path


def drawn(weights, out, **changed):
    return synthesise(weights, 4, 9, 1, out, sampler=SAMPLER, batch=4, **changed)


def bytes_of(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def complete(weights, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets") / "complete"
    drawn(weights, folder)
    return folder


def test_a_set_is_bound_to_its_generator_and_fold(weights, complete):
    import hashlib

    manifest = read_manifest(complete)
    assert manifest.generator_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert manifest.training_patients == tuple(sorted(tiny_frames().patients))
    assert manifest.is_trained_on_simulated_data and manifest.sampler["steps"] == 3
    assert [one.is_fatty for one in manifest.images] == answers_of(4, 9).tolist()
    assert read_images(manifest, complete).shape == (13, 64, 64)
    assert sorted(p.name for p in complete.iterdir()) == ["images", "synthetic.json"]
    with pytest.raises(UnsuitableInputError, match="1 patient.s. held out here"):
        check_fold(manifest.training_patients, manifest.training_patients[1:], manifest.training_patients[:1])


def test_the_first_of_a_set_have_its_share_of_each_class():
    found = answers_of(40, 120)
    assert found.sum() == 120 and all(abs(found[:n].sum() - 0.75 * n) < 1 for n in range(1, 161))


def test_weights_in_memory_and_their_file_draw_the_same_set(weights, complete, tmp_path):
    drawn(load_weights(weights), tmp_path / "other")
    assert bytes_of(tmp_path / "other") == bytes_of(complete)


def test_a_set_that_was_stopped_goes_on_to_the_same_bytes(weights, complete, tmp_path):
    def stop(done, n):
        if done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drawn(weights, tmp_path / "set", progress=stop)
    with pytest.raises(UnsuitableInputError, match="unfinished|needs the file synthetic.json"):
        read_manifest(tmp_path / "set")
    (tmp_path / "set/images/.writing-x").write_bytes(b"left over")
    (tmp_path / "set/images/00002.png").write_bytes(b"damaged")
    seen = []
    drawn(weights, tmp_path / "set", progress=lambda done, n: seen.append(done))
    assert bytes_of(tmp_path / "set") == bytes_of(complete)
    assert drawn(weights, tmp_path / "set", progress=lambda *_: pytest.fail("it is complete")).seed == 1


def test_a_killed_process_leaves_what_the_next_one_completes(weights, complete, tmp_path):
    code = (
        "import sys, time\nfrom liver_models.synthesis.synthesise import synthesise\n"
        "from liver_models.synthesis.samplers import SamplerOptions\n"
        "def slowly(done, n):\n    time.sleep(0.2 if done else 0)\n"
        "synthesise(sys.argv[1], 4, 9, 1, sys.argv[2], sampler=SamplerOptions(steps=3), batch=4, progress=slowly)\n"
    )
    out = tmp_path / "set"
    process = subprocess.Popen([sys.executable, "-c", code, str(weights), str(out)])
    deadline = time.monotonic() + 120
    while len(list(out.glob("images/*.png"))) < 5 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 5 <= len(list(out.glob("images/*.png"))) < 13 and not (out / "synthetic.json").exists()
    drawn(weights, out)
    assert bytes_of(out) == bytes_of(complete)


def test_a_full_disk_is_said_and_the_set_goes_on(weights, complete, tmp_path):
    """The system itself refuses to write: no file may be longer than 300 bytes, from the second chunk on."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(done, n):
        if done > 4:
            resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))

    try:
        with pytest.raises(UnsuitableInputError, match=r"free space.*'00004.png'.*4 of 13 images are kept.*goes on"):
            drawn(weights, tmp_path / "set", progress=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(os.listdir(tmp_path / "set/images")) == 4
    drawn(weights, tmp_path / "set")
    assert bytes_of(tmp_path / "set") == bytes_of(complete)


def test_a_complete_set_whose_pictures_were_changed_is_refused(weights, complete, tmp_path):
    shutil.copytree(complete, tmp_path / "set")
    (tmp_path / "set/images/00003.png").unlink()
    with pytest.raises(UnsuitableInputError, match=r"'00003.png' is missing or was changed.*Remove the folder"):
        drawn(weights, tmp_path / "set")
    shutil.copy(complete / "images/00002.png", tmp_path / "set/images/00003.png")
    with pytest.raises(UnsuitableInputError, match=r"'00003.png' is missing or was changed.*Remove the folder"):
        drawn(weights, tmp_path / "set")


def test_a_complete_set_that_was_not_audited_is_audited_when_that_is_asked_for(weights, complete, tmp_path):
    shutil.copytree(complete, tmp_path / "set")
    found = drawn(weights, tmp_path / "set", audit=lambda images, answers: {"n": len(images)})
    assert found.audit == read_manifest(tmp_path / "set").audit == {"n": 13}
    assert found.images == read_manifest(complete).images
    drawn(weights, tmp_path / "set", audit=lambda *_: pytest.fail("it is audited"))


def test_pictures_are_not_all_held_in_memory_where_nothing_compares_them(weights, tmp_path, monkeypatch):
    monkeypatch.setattr("liver_models.synthesis.synthesise.read_images", lambda *_: pytest.fail("all are read"))
    drawn(weights, tmp_path / "set")


def test_another_set_in_the_folder_is_refused(weights, complete, tmp_path):
    with pytest.raises(UnsuitableInputError, match="what was begun in this folder has another seed"):
        synthesise(weights, 4, 9, 2, complete, sampler=SAMPLER)
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UnsuitableInputError, match="holds thesis.txt"):
        drawn(weights, tmp_path)
    (tmp_path / "set/images").mkdir(parents=True)
    (tmp_path / "set/images/a.png").write_bytes(b"")
    with pytest.raises(UnsuitableInputError, match="holds pictures only"):
        drawn(weights, tmp_path / "set")


def test_numbers_that_make_no_set_are_refused(weights, tmp_path):
    for n_healthy, n_fatty, seed in ((0, 0, 0), (-1, 5, 0), (1, 1, -1)):
        with pytest.raises(UnsuitableInputError, match="needs"):
            synthesise(weights, n_healthy, n_fatty, seed, tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_an_audit_is_told_images_and_answers_and_kept(weights, tmp_path):
    def audit(images, is_fatty):
        return {"n": len(images), "n_fatty": int(is_fatty.sum())}

    assert dict(drawn(weights, tmp_path / "set", audit=audit).audit) == {"n": 13, "n_fatty": 9}
    assert read_manifest(tmp_path / "set").audit == {"n": 13, "n_fatty": 9}


def test_the_command_draws_and_goes_on(weights, tmp_path, capsys):
    words = ["synthesise", "draw", "--weights", str(weights), "--healthy", "2", "--fatty", "3", "--steps", "2"]
    assert main([*words, "--out", str(tmp_path / "set")]) == 0
    assert main([*words, "--out", str(tmp_path / "set")]) == 0
    told = capsys.readouterr().out
    assert "drew 2 healthy and 3 fatty images" in told and "simulated" in told and "4 patients" in told
    assert main([*words, "--seed", "9", "--out", str(tmp_path / "set")]) == 2
    assert "another seed" in capsys.readouterr().err


def test_a_sampler_for_a_generator_that_has_one_way_only_is_refused():
    from liver_models.synthesis.synthesise import _with_sampler

    class OneWay:
        kind = "stacked_gan"

    with pytest.raises(UnsuitableInputError, match="draws in one way only"):
        _with_sampler(OneWay(), SAMPLER)
    assert isinstance(_with_sampler(OneWay(), None), OneWay)


def test_images_look_different_from_each_other(complete):
    images = read_images(read_manifest(complete), complete).reshape(13, -1).astype(int)
    assert min(np.abs(images[i] - images[j]).max() for i in range(13) for j in range(i)) > 0
