"""The index of the studies folder: lost, damaged, behind the folder, or of another version."""

from __future__ import annotations

import os
import random
import shutil
import time

import pytest

from liver_apps import entry

entry.make_stand_ins_importable()

from stored_labels import CASES, answer, deleted, told  # noqa: E402

from liver_apps.liver.lib.index import INDEX_NAME  # noqa: E402

# The index


def truncated(folder):
    path = folder / INDEX_NAME
    os.truncate(path, path.stat().st_size // 2)


def emptied(folder):
    os.truncate(folder / INDEX_NAME, 0)


def overwritten(folder):
    path = folder / INDEX_NAME
    path.write_bytes(random.Random(1).randbytes(path.stat().st_size))


def other_text_in_a_row(folder):
    path = folder / INDEX_NAME
    content = path.read_bytes()
    assert b"histology" in content
    path.write_bytes(content.replace(b"histology", b"hysteries"))


def zeros_within(folder):
    path = folder / INDEX_NAME
    content = bytearray(path.read_bytes())
    content[4096 : 4096 * 6] = bytes(4096 * 5)
    path.write_bytes(content)


def of_another_version(folder):
    import sqlite3

    connection = sqlite3.connect(folder / INDEX_NAME)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


DAMAGES = (deleted, truncated, emptied, overwritten, other_text_in_a_row, zeros_within, of_another_version)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_index_is_made_again_with_every_label_and_what_is_known_of_it(folder, opened, sent, damage):
    store = opened()
    sent(store, "one", reader="anna", source="histology")
    sent(store, "one", answer(True, "ben"), ".label.json")
    sent(store, "two", reader="anna")
    store.save_maps("two", {"water": b"w", "fat": b"f"}, {"model": "pdff"})
    store.update_image_info("three", {"score": 3})
    store.update_label_info("two", "final", {"note": "clear"})
    before = told(store)
    store.close()
    damage(folder)
    assert told(opened()) == before


@pytest.mark.parametrize("seed", range(5))
def test_an_index_with_random_bytes_anywhere_gives_the_same_listing(folder, opened, sent, seed):
    store = opened()
    for case in CASES:
        sent(store, case, reader="anna", source="histology")
    before = told(store)
    store.close()
    content, numbers = bytearray((folder / INDEX_NAME).read_bytes()), random.Random(seed)
    for _ in range(20):
        start = numbers.randrange(len(content) - 64)
        content[start : start + 64] = numbers.randbytes(64)
    (folder / INDEX_NAME).write_bytes(content)
    assert told(opened()) == before


def test_an_index_that_breaks_while_the_server_runs_is_made_again(folder, opened, sent):
    store = opened()
    sent(store, "one", reader="anna")
    before = told(store)
    store._index._connection.execute("DROP TABLE labels")
    assert told(store) == before
    store._index._connection.execute("DROP TABLE images")
    sent(store, "two")
    assert store.get_unlabeled_images() == ["three"]


def test_a_folder_where_no_index_can_be_written_is_served_from_memory(folder, opened, sent, caplog):
    (folder / INDEX_NAME).mkdir()
    store = opened()
    sent(store, "one", reader="anna")
    assert store.get_labeled_images() == ["one"] and "held in memory" in caplog.text


def test_files_put_in_edited_and_removed_by_hand_are_seen(folder, opened, sent, caplog):
    store = opened()
    (folder / "four.nrrd").write_bytes(b"4")
    (folder / "labels" / "final" / "four.nii.gz").write_bytes(b"drawn elsewhere")
    (folder / "labels" / "second").mkdir()
    (folder / "labels" / "second" / "one.label.json").write_bytes(answer(True, "ben"))
    assert store.list_images() == ["four", "one", "three", "two"]
    assert store.get_labeled_images() == ["four"] and store.get_labeled_images("second") == ["one"]
    assert store.labels_of("one")[0].reader == "ben"
    sent(store, "one", b"region", reader="anna")
    path = store.label_file("one", "final")
    path.write_bytes(b"edited by hand")
    assert store.label_file("one", "final").read_bytes() == b"edited by hand"
    assert "changed outside" in caplog.text and store.get_label_info("one", "final")["reader"] == "anna"
    path.unlink()
    assert store.get_labeled_images() == ["four"] and store.label_file("one", "final") is None
    shutil.rmtree(folder / "labels" / "second")
    assert store.get_labeled_images("second") == []


def test_a_file_put_in_within_the_same_time_stamp_is_seen(folder, opened, sent):
    store = opened()
    sent(store, "one")
    tagged = folder / "labels" / "final"
    for place, name, listing in (
        (folder, "four.nrrd", store.list_images),
        (tagged, "two.nrrd", store.get_labeled_images),
    ):
        known, stamp = listing(), place.stat()
        (place / name).write_bytes(b"late")
        os.utime(place, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        store._watch._due[place] = time.monotonic() + 0.2
        assert listing() == known
        time.sleep(0.3)
        assert name.partition(".")[0] in listing()


def test_a_label_waits_for_its_image(folder, opened):
    store = opened()
    (folder / "labels" / "final" / "five.nii.gz").write_bytes(b"early")
    assert store.get_labeled_images() == [] and store.status()["completed"] == 0
    (folder / "five.nrrd").write_bytes(b"5")
    assert store.get_labeled_images() == ["five"] and store.get_labels_by_image_id("five") == {"final": "five"}


# The old index


def test_an_old_index_is_taken_over_once(folder, opened):
    from monailabel.datastore.local import LocalDatastore

    patterns = ("*.nrrd", "*.nii.gz", "*.label.json")
    old = LocalDatastore(str(folder), extensions=patterns)
    for name, content, tag in (("a.nii.gz", b"drawn", "final"), ("a.label.json", answer(True, "ben"), "second")):
        (folder.parent / name).write_bytes(content)
        old.save_label("one", str(folder.parent / name), tag, {"note": tag, "score": 2})
    old.update_image_info("two", {"strategy": {"random": 1}})
    old.set_name("ward")
    former = old.json()["objects"]
    store = opened()
    found = store.json()["objects"]
    assert found["one"] == former["one"] and found["two"] == former["two"] and store.name() == "ward"
    assert {item.tag: item.reader for item in store.labels_of("one")} == {"final": "", "second": "ben"}
    assert not (folder / "datastore_v2.json").exists() and (folder / "datastore_v2.json.former").exists()
    store.close()
    deleted(folder)
    assert opened().json()["objects"] == found


def test_an_old_index_that_cannot_be_read_stops_no_start(folder, opened, caplog):
    (folder / "datastore_v2.json").write_text('{"objects": {"one"')
    assert opened().list_images() == sorted(CASES) and "cannot be read" in caplog.text
