"""The studies folder as a datastore: what a killed process, a full disk, damage and two readers do to it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from liver_apps import entry
from liver_models.errors import UnsuitableInputError

entry.make_stand_ins_importable()

from monailabel.interfaces.exception import ImageNotFoundException, LabelNotFoundException  # noqa: E402
from stored_labels import CASES, answer, deleted, region, told  # noqa: E402

from liver_apps.liver.lib.datastore import LiverDatastore, open_datastore, site_folder  # noqa: E402
from liver_apps.liver.lib.failures import UnknownNameError  # noqa: E402
from liver_apps.liver.lib.readers import lowest_dice  # noqa: E402

# Two kinds, several readers


def test_a_region_and_an_answer_lie_under_one_tag(opened, sent):
    store = opened()
    sent(store, "one", answer(True), ".label.json")
    assert store.get_label_uri("one", "final").endswith("one.label.json")
    sent(store, "one", b"region")
    assert store.get_label_uri("one", "final").endswith("one.nii.gz")
    assert store.label_file("one", "final", "answer").read_bytes() == answer(True)
    sent(store, "one", answer(False), ".label.json")
    assert store.label_file("one", "final", "region").read_bytes() == b"region"
    assert store.get_labels_by_image_id("one") == {"final": "one"} and store.status()["completed"] == 1
    assert store.json()["objects"]["one"]["answers"]["final"]["ext"] == ".label.json"
    store.remove_label("one", "final", "region")
    assert store.label_file("one", "final").name == "one.label.json"
    assert store.label_file("one", "final", "region") is None


def test_each_readers_latest_is_kept(folder, opened, sent):
    store = opened()
    sent(store, "one", b"first", reader="anna")
    sent(store, "one", b"second", reader="ben")
    sent(store, "one", b"third", ".nrrd", reader="ben")
    readers = folder / "labels" / "final" / ".readers"
    kept = {path.relative_to(readers).as_posix(): path.read_bytes() for path in readers.glob("*/[!.]*")}
    assert kept == {"anna/one.nii.gz": b"first", "ben/one.nrrd": b"third"}
    assert store.label_file("one", "final").read_bytes() == b"third"


def test_an_answer_that_came_by_hand_is_kept_when_another_reader_answers(folder, opened, sent):
    (folder / "labels" / "final").mkdir(parents=True)
    (folder / "labels" / "final" / "one.label.json").write_bytes(answer(True, "anna"))
    store = opened()
    sent(store, "one", answer(False, "ben"), ".label.json")
    assert store.disagreements() == [
        {
            "id": "one",
            "kind": "answer",
            "task": "fibrotic_nash",
            "is_labelled": True,
            "readers": {"anna": True, "ben": False},
        }
    ]


def test_answers_that_differ_and_regions_that_hardly_overlap_are_listed(opened, sent):
    store = opened()
    for reader, value, shift in (("anna", True, 0), ("ben", False, 1), ("cleo", True, 4)):
        sent(store, "one", answer(value, reader), ".label.json")
        sent(store, "two", region(shift), reader=reader)
        sent(store, "three", answer(True, reader), ".label.json")
    answers, regions = store.disagreements()
    assert answers["id"] == "one" and answers["readers"] == {"anna": True, "ben": False, "cleo": True}
    assert regions["id"] == "two" and regions["kind"] == "region"
    dice = {tuple(pair["readers"]): pair["dice"] for pair in regions["dice"]}
    # A block of 8 voxels moved by k shares 8 - k of them: the Dice is 1 - k / 8.
    assert dice == {("anna", "ben"): 0.875, ("anna", "cleo"): 0.5, ("ben", "cleo"): 0.625}
    sent(store, "two", region(0), reader="cleo")
    assert [item["id"] for item in store.disagreements()] == ["one"]


def test_the_dice_of_two_regions_is_computed_once(opened, sent, monkeypatch):
    from liver_apps.liver.lib import readers

    store = opened()
    sent(store, "one", region(0), reader="anna")
    sent(store, "one", region(4), reader="ben")
    first = store.disagreements()
    monkeypatch.setattr(readers, "lowest_dice", lambda *_: pytest.fail("computed again"))
    assert store.disagreements() == first


def test_regions_in_other_geometries_do_not_agree(tmp_path):
    for name, content in (("a.nii.gz", region(0)), ("b.nii.gz", region(0, 2.5))):
        (tmp_path / name).write_bytes(content)
    assert lowest_dice(tmp_path / "a.nii.gz", tmp_path / "a.nii.gz") == 1
    assert lowest_dice(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz") == 0


def test_a_region_that_cannot_be_read_is_named(opened, sent):
    store = opened()
    sent(store, "one", b"no image", reader="anna")
    sent(store, "one", region(4), reader="ben")
    assert list(store.disagreements()[0]["unreadable"])


def test_a_reader_needs_one_name_from_the_allow_list(opened, sent):
    store = opened()
    for name in ("../anna", "Dr. Anna", ".hidden", "x" * 200):
        with pytest.raises(UnsuitableInputError, match="'reader' needs a name"):
            sent(store, "one", reader=name)
    with pytest.raises(UnsuitableInputError, match="needs one reader.*'anna' and 'ben'"):
        sent(store, "one", answer(True, "anna"), ".label.json", reader="ben")
    sent(store, "one", reader="anna")
    with pytest.raises(UnsuitableInputError, match="keeps the reader it was stored with, here 'anna'"):
        store.update_label_info("one", "final", {"reader": "ben"})


def test_a_reopened_case_is_unlabelled_and_keeps_what_it_had(folder, opened, sent):
    store = opened()
    for content in (b"first", b"second"):
        sent(store, "one", content, reader="anna")
        assert store.get_unlabeled_images() == ["three", "two"]
        store.reopen("one")
        assert store.get_unlabeled_images() == ["one", "three", "two"]
    former = folder / "labels" / "final" / ".former"
    assert [(former / f"one.nii.gz.{n}").read_bytes() for n in (1, 2)] == [b"first", b"second"]
    assert json.loads((former / ".info" / "one.nii.gz.2.json").read_text())["now"]["reader"] == "anna"
    with pytest.raises(UnknownNameError, match="has no label under the tag 'final'"):
        store.reopen("one")
    assert store.verify() == []
    store.remove_image("one")
    assert not [path for path in folder.rglob("one.*")]


# Damage


def damaged(path):
    """Flip one bit as a failing disk does, under the same time stamp."""
    stamp, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


def test_a_damaged_label_is_found_and_not_read(folder, opened, sent):
    store = opened()
    sent(store, "one", reader="anna")
    sent(store, "two")
    assert store.verify() == []
    damaged(folder / "labels" / "final" / "one.nii.gz")
    damaged(folder / "two.nrrd")
    (folder / "labels" / "final" / "two.nii.gz").unlink()
    assert {item["file"]: item["problem"] for item in store.verify()} == {
        "labels/final/one.nii.gz": "damaged",
        "labels/final/two.nii.gz": "gone",
        "two.nrrd": "damaged",
    }
    assert [item["id"] for item in store.verify("one")] == ["one"]
    for read in (store.label_file, store.get_label_uri, store.get_label):
        with pytest.raises(UnsuitableInputError, match="is damaged .* Restore it from a backup, or store it again"):
            read("one", "final")
    with pytest.raises(UnsuitableInputError, match="damaged"):
        store.get_dataset_archive(None)
    sent(store, "one")
    sent(store, "two")
    assert [item["file"] for item in store.verify()] == ["two.nrrd"]


def test_damage_is_found_without_the_index_too(folder, opened, sent):
    store = opened()
    sent(store, "one")
    store.close()
    deleted(folder)
    damaged(folder / "labels" / "final" / "one.nii.gz")
    with pytest.raises(UnsuitableInputError, match="damaged"):
        opened().label_file("one", "final")


def test_training_learns_from_no_damaged_answer(folder, opened, sent):
    from liver_apps.liver.lib.trainers.answered_cases import read_answered

    (folder / "four.case.json").write_text("{}")
    sent(opened(), "four", answer(True, "anna"), ".label.json")
    damaged(folder / "labels" / "final" / "four.label.json")
    with pytest.raises(UnsuitableInputError, match="The answer of 'four' under the tag 'final' .* is damaged"):
        read_answered(folder / "four.case.json", "fibrotic_nash", "is_fibrotic_nash")


def test_a_file_removed_by_hand_stays_reported_until_it_is_back(folder, opened, sent):
    store = opened()
    sent(store, "one", note="kept")
    path = folder / "labels" / "final" / "one.nii.gz"
    path.rename(folder / "aside")
    assert store.get_labeled_images() == []
    assert store.verify() == [{"file": "labels/final/one.nii.gz", "id": "one", "problem": "gone"}]
    (folder / "aside").rename(path)
    assert store.get_label_info("one", "final")["note"] == "kept" and store.verify() == []


# Writing


def no_space(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
def test_a_full_disk_leaves_the_former_label(folder, opened, sent, monkeypatch, call):
    store = opened()
    sent(store, "one", b"former", reader="anna")
    before = told(store)
    with monkeypatch.context() as patched:
        patched.setattr("tempfile.mkstemp" if call == "open" else f"os.{call}", no_space)
        with pytest.raises(UnsuitableInputError, match="No space left"):
            sent(store, "one", b"newer", reader="ben")
    assert store.label_file("one", "final").read_bytes() == b"former" and told(store) == before
    assert not list(folder.rglob(".writing-*")) and store.verify() == []
    store.close()
    deleted(folder)
    assert told(opened()) == before


def test_a_kill_between_description_and_label_leaves_the_former_one(folder, opened, sent, monkeypatch):
    from liver_apps.liver.lib import storing

    store = opened()
    sent(store, "one", b"former", reader="anna", note="old")
    before = told(store)
    with monkeypatch.context() as patched:
        patched.setattr(storing.Store, "_move", no_space)
        with pytest.raises(UnsuitableInputError):
            sent(store, "one", b"newer!", reader="anna", note="new")
    store.close()
    deleted(folder)
    assert told(opened()) == before


def test_eight_threads_store_at_once(opened, sent):
    store = opened()

    def work(n):
        for k in range(6):
            sent(store, CASES[n % 3], f"{n}-{k}".encode(), tag=f"tag{n}", reader=f"r{n}")
            assert store.label_file(CASES[n % 3], f"tag{n}").read_bytes() == f"{n}-{k}".encode()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.status()["label_tags"] == {f"tag{n}": 1 for n in range(8)} and store.verify() == []


def test_no_acknowledged_label_is_lost_when_the_server_is_killed(tmp_path):
    program = Path(__file__).with_name("killed_writers.py")
    command = [sys.executable, str(program), str(tmp_path / "studies"), "100", "5"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert found["acknowledged"] >= 100 and found["kills"] >= 5
    assert (found["lost"], found["half"], found["problems"], found["differs_without_index"]) == (0, 0, 0, 0)


def test_what_is_not_there_is_said(opened, sent, tmp_path):
    store = opened()
    for call in (store.remove_image, lambda name: store.update_image_info(name, {})):
        with pytest.raises(ImageNotFoundException):
            call("nobody")
    with pytest.raises(LabelNotFoundException):
        store.update_label_info("one", "final", {})
    with pytest.raises(UnknownNameError, match="There is no case 'nobody'"):
        sent(store, "nobody")
    assert store.get_label_uri("one", "final") == "" and store.get_label_info("one", "final") == {}
    assert store.get_label("one", "final") is None and store.get_image("nobody") is None
    store.remove_label("one", "final")


@pytest.mark.slow
def test_ten_thousand_cases_are_quick(folder, opened, sent):
    """Limits several times the target, for a shared machine; benchmarks/datastore.py measures."""
    (folder / "labels" / "final").mkdir(parents=True)
    for n in range(10_000):
        (folder / f"case-{n}.nrrd").write_bytes(b"x")
        (folder / "labels" / "final" / f"case-{n}.nii.gz").write_bytes(b"x")
    (folder / "labels" / "final" / "case-7.nii.gz").unlink()
    opened().close()
    start = time.perf_counter()
    store = opened()
    started = time.perf_counter()
    assert store.get_unlabeled_images() == ["case-7", "one", "three", "two"]
    listed = time.perf_counter()
    for n in range(10):
        sent(store, f"case-{n}", b"y")
    saved = (time.perf_counter() - listed) / 10
    assert started - start < 3 and listed - started < 0.2 and saved < 0.2


def test_saving_looks_through_no_folder_that_only_the_server_changed(folder, opened, sent, monkeypatch):
    from liver_apps.liver.lib.reconcile import FolderWatch

    store, looked = opened(), []
    original = FolderWatch._reconcile
    monkeypatch.setattr(FolderWatch, "_reconcile", lambda *args: looked.append(args[2:]) or original(*args))
    for n, reader in enumerate(("anna", "ben", "anna")):
        sent(store, "one", b"%d" % n, reader=reader)
    assert looked == []
    (folder / "labels" / "final" / "two.nii.gz").write_bytes(b"by hand")
    assert store.get_labeled_images() == ["one", "two"] and looked == [("labels", "final")]


def test_a_folder_is_served_as_it_is_and_an_address_from_a_cache_of_its_own(tmp_path, monkeypatch):
    store = open_datastore(str(tmp_path / "new"))
    assert type(store) is LiverDatastore
    store.close()
    assert site_folder(str(tmp_path)) == tmp_path
    assert site_folder("http://pacs:8042/dicom-web") != site_folder("http://other:8042/dicom-web")
    monkeypatch.setattr("monailabel.config.settings.MONAI_LABEL_DICOMWEB_CACHE_PATH", str(tmp_path / "cache"))
    assert site_folder("http://pacs:8042/dicom-web") == tmp_path / "cache" / "http_pacs_8042_dicom-web"
