"""One real server, with its own process and port, for all tests of the app."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from client import Server, start_server  # noqa: E402
from fake_store import FakeStore  # noqa: E402
from remote_studies import write_ultrasound  # noqa: E402


@pytest.fixture(scope="session")
def phantom():
    """A tiny simulated study of vials, oblique and anisotropic, two slices, with its truth."""
    from liver_models.mri.phantom import make_phantom

    return make_phantom("vials", snr=100, size=16, n_slices=2, oblique_deg=20, seed=7)


@pytest.fixture(scope="session")
def studies(tmp_path_factory, phantom) -> Path:
    """A studies folder with a case, a larger case and a plain image that is no multi-echo study."""
    from liver_models.io.export import write_bids
    from liver_models.io.importer import import_source
    from liver_models.io.volumes import write_volume
    from liver_models.mri.phantom import make_phantom

    folder = tmp_path_factory.mktemp("studies")
    larger, _ = make_phantom("vials", snr=50, size=48, n_slices=4, seed=8)
    for case_id, study in (("simulated-vials", phantom[0]), ("simulated-larger", larger)):
        source = tmp_path_factory.mktemp("bids") / "sub-01"
        write_bids(study, source)
        import_source(source, folder, case_id=case_id)
    write_volume(folder / "plain.nii.gz", np.zeros((4, 5, 6), np.float32), np.diag([1, 2, 3, 1]))
    return folder


@pytest.fixture(scope="session")
def server(studies, tmp_path_factory) -> Server:
    """The server as ``liverlabel serve`` starts it, from a folder without the app."""
    log = tmp_path_factory.mktemp("server") / "log.txt"
    running = start_server(studies, log)
    yield running[1]
    running[0].send_signal(signal.SIGTERM)
    running[0].wait(timeout=30)


@pytest.fixture
def make_trainer(tmp_path):
    """A function that makes a trainer on one studies folder, as each start of the server does."""
    import fake_training

    from liver_apps import entry
    from liver_apps.liver.lib.published import PublishedWeights

    entry.make_stand_ins_importable()
    from liver_apps.liver.lib.datastore import LiverDatastore
    from liver_apps.liver.lib.trainers.base import Trainer
    from liver_apps.liver.lib.trainers.runner import TrainingRunner

    studies = tmp_path / "studies"
    studies.mkdir(exist_ok=True)
    for name in ("one.mat", "two.mat"):
        (studies / name).write_bytes(b"x")
    runners, stores = [], []

    def make() -> Trainer:
        runners.append(TrainingRunner())
        published = PublishedWeights(studies / "models" / "pdff", "ai_deal")
        datastore = LiverDatastore(str(studies))
        stores.append(datastore)
        return Trainer(
            "pdff",
            "counts",
            fake_training.count_epochs,
            fake_training.settled,
            {"epochs": 3},
            runners[-1],
            published,
            datastore,
        )

    yield make
    for opened in (*runners, *stores):
        opened.close()


@pytest.fixture
def trainer(make_trainer):
    return make_trainer()


STORED_CASES = ("one", "two", "three")
"""Images of the folder of the datastore's tests."""


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "studies"
    made.mkdir()
    for name in STORED_CASES:
        (made / f"{name}.nrrd").write_bytes(name.encode())
    return made


@pytest.fixture
def opened(folder):
    """A function that opens the folder as each start of the server does."""
    stores = []

    from liver_apps import entry

    entry.make_stand_ins_importable()
    from liver_apps.liver.lib.datastore import LiverDatastore

    def make() -> LiverDatastore:
        stores.append(LiverDatastore(str(folder)))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def sent(tmp_path):
    """A function that stores a label as MONAI Label's route does, from a temporary file."""

    def save(store, case_id, content=b"region", suffix=".nii.gz", tag="final", **info):
        path = tmp_path / f"sent-{threading.get_ident()}{suffix}"
        path.write_bytes(content)
        store.save_label(case_id, str(path), tag, info)

    return save


@pytest.fixture
def remote():
    """A DICOMweb store."""
    store = FakeStore()
    yield store
    store.close()


@pytest.fixture
def caches(remote, tmp_path):
    """A function that opens a cache of the store as each start of a server does."""
    from liver_apps.liver.lib.dicomweb import DicomWebDatastore
    from liver_apps.liver.lib.dicomweb_client import StoreClient

    stores = []

    def make(name="a", **options) -> DicomWebDatastore:
        made = DicomWebDatastore(StoreClient(remote.address), tmp_path / name, **{"look_every_s": None, **options})
        stores.append(made)
        return made

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def picture(remote, tmp_path):
    """The id of an ultrasound case at the store."""
    case_id = write_ultrasound(tmp_path / "us")
    remote.send(tmp_path / "us")
    return case_id
