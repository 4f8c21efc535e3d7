"""Units that processes share: claims, resuming, and the same result whoever did what."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import liver_models
from liver_models.synthesis.experiment.leases import Leases
from liver_models.synthesis.experiment.units import LEASES, Unit, UnitStore, in_order
from liver_models.synthesis.experiment.work import collect, helpers, work_off

DIGESTS = {"code_sha256": "a", "cohort_sha256": "b"}
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(liver_models.__file__).parents[1])}
SLOW_UNITS = """
import sys, time
from pathlib import Path
import numpy as np
from liver_models.synthesis.experiment.units import Unit, UnitStore, LEASES
from liver_models.synthesis.experiment.leases import Leases
from liver_models.synthesis.experiment.work import work_off

out, seconds = Path(sys.argv[1]), float(sys.argv[2])
store = UnitStore(out, {"code_sha256": "a", "cohort_sha256": "b"})

def compute(unit):
    with open(out / "log.txt", "a") as log:
        log.write(unit.name + "\\n")
    time.sleep(seconds)
    return {"n": unit.params["n"]}, {"x": np.arange(unit.params["n"])}

base = Unit("base", "0", {"n": 1})
units = [base, *(Unit("square", str(n), {"n": n}, {"base": base}) for n in range(2, 10))]
work_off(units, store, compute, leases=Leases(out / LEASES, expiry_s=5, heartbeat_s=0.2), wait_s=0.05)
"""
"""Nine units that write down when they begin."""


def start(out: Path, seconds: float) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", SLOW_UNITS, str(out), str(seconds)], env=ENVIRONMENT)


def units_of_the_script() -> list[Unit]:
    base = Unit("base", "0", {"n": 1})
    return [base, *(Unit("square", str(n), {"n": n}, {"base": base}) for n in range(2, 10))]


def begun(out: Path) -> list[str]:
    log = out / "log.txt"
    return log.read_text().split() if log.exists() else []


def wait_for(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def made_old(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_a_claim_is_held_by_one_and_can_be_had_again_when_it_is_given_back(tmp_path):
    one, other = Leases(tmp_path), Leases(tmp_path)
    with one.claim("work_r1.5") as lease:
        assert lease is not None and other.claim("work_r1.5") is None and one.claim("work_r1.5") is None
        with other.claim("work_r1") as further:
            assert further is not None
    with other.claim("work_r1.5"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_claim_of_another_machine_is_held_while_it_is_touched_and_lost_when_it_is_not(tmp_path):
    leases = Leases(tmp_path, expiry_s=5.0)
    (tmp_path / "work.0").write_text(json.dumps({"machine": "elsewhere", "pid": 1, "started": "1"}))
    assert leases.claim("work") is None
    made_old(tmp_path / "work.0", 10)
    with leases.claim("work") as lease:
        assert lease.path.name == "work.1"
        assert leases.claim("work") is None
    assert not list(tmp_path.iterdir())


def test_of_many_that_find_a_claim_expired_one_takes_it_over(tmp_path):
    (tmp_path / "work.3").write_text("")  # Its holder died between making and filling it.
    made_old(tmp_path / "work.3", 1000)
    racers = [Leases(tmp_path, expiry_s=5.0) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        won = [lease for lease in pool.map(lambda racer: racer.claim("work"), racers) if lease]
    assert len(won) == 1 and won[0].path.name == "work.4"
    won[0].release()


def test_a_claim_whose_process_ended_here_is_free_at_once(tmp_path):
    claimed = "import os, sys; from pathlib import Path; from liver_models.synthesis.experiment.leases import Leases; "
    claimed += "Leases(Path(sys.argv[1])).claim('work'); os._exit(1)"
    subprocess.run([sys.executable, "-c", claimed, str(tmp_path)], env=ENVIRONMENT, check=False)
    assert (tmp_path / "work.0").exists()
    with Leases(tmp_path, expiry_s=1000).claim("work") as lease:
        assert lease is not None


def test_a_heartbeat_keeps_a_claim_that_takes_longer_than_it_lasts(tmp_path):
    with Leases(tmp_path, heartbeat_s=0.05).claim("work"):
        made_old(tmp_path / "work.0", 1000)
        wait_for(lambda: time.time() - (tmp_path / "work.0").stat().st_mtime < 5)
        assert Leases(tmp_path, expiry_s=20).claim("work") is None


def test_units_that_differ_in_anything_have_names_of_their_own():
    base, other = Unit("draw", "a", {"seed": 0}), Unit("draw", "a", {"seed": 1})
    assert base.name != other.name
    assert Unit("train", "x", {}, {"images": base}).name != Unit("train", "x", {}, {"images": other}).name
    assert Unit("train", "x", {}, {"images": base}).name == Unit("train", "x", {}, {"images": base}).name


def test_what_a_unit_needs_comes_first_and_once():
    base = Unit("base", "0", {})
    left, right = Unit("left", "0", {}, {"base": base}), Unit("right", "0", {}, {"base": base})
    assert [unit.kind for unit in in_order([right, left])] == ["base", "right", "left"]


def test_a_record_of_another_cohort_or_code_is_not_there(tmp_path):
    unit = Unit("base", "0", {})
    UnitStore(tmp_path, DIGESTS).save(unit, {"n": 1}, {})
    assert UnitStore(tmp_path, DIGESTS).has(unit)
    for name in DIGESTS:
        assert not UnitStore(tmp_path, DIGESTS | {name: "other"}).has(unit)


def test_arrays_that_were_torn_from_their_record_are_made_again(tmp_path):
    store, unit = UnitStore(tmp_path, DIGESTS), Unit("base", "0", {"n": 1})
    made = []

    def compute(one):
        made.append(one)
        return {"n": 1}, {"x": np.ones(3)}

    collect([unit], store, compute)
    (tmp_path / "units" / f"{unit.name}.npz").write_bytes(b"half a file")
    _, arrays = collect([unit], store, compute)[unit.name]
    assert len(made) == 2 and arrays["x"].sum() == 3


def test_a_unit_that_fails_gives_its_claim_back(tmp_path):
    store, unit = UnitStore(tmp_path, DIGESTS), Unit("base", "0", {"n": 1})

    def fail(one):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        work_off([unit], store, fail)
    assert not list((tmp_path / LEASES).iterdir())


def test_three_processes_share_the_units_and_do_none_twice(tmp_path):
    started = [start(tmp_path, 0.3) for _ in range(3)]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    counts = Counter(begun(tmp_path))
    assert set(counts) == {unit.name for unit in units_of_the_script()} and set(counts.values()) == {1}
    assert begun(tmp_path)[0].startswith("base__")
    assert not list((tmp_path / LEASES).iterdir())


def test_a_killed_process_costs_one_unit_and_the_result_is_the_same_bytes(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for out in (whole, broken):
        out.mkdir()
    assert start(whole, 0.0).wait(60) == 0
    victims = [start(broken, 0.4) for _ in range(2)]
    wait_for(lambda: len(begun(broken)) >= 4)
    for process in victims:
        process.send_signal(signal.SIGKILL)
        process.wait()
    n_begun, n_done = len(begun(broken)), len(list((broken / "units").glob("*.json")))
    assert 1 <= n_begun - n_done <= 2
    assert start(broken, 0.0).wait(60) == 0
    counts = Counter(begun(broken))
    assert sum(counts.values()) <= len(counts) + 2 and max(counts.values()) == 2
    for path in (whole / "units").iterdir():
        assert path.read_bytes() == (broken / "units" / path.name).read_bytes()
    assert not list((broken / LEASES).iterdir())


def test_helpers_end_with_the_block_that_began_them(tmp_path, monkeypatch):
    (tmp_path / "sleeper.py").write_text("import time; time.sleep(600)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with helpers(tmp_path, 2, "sleeper") as started:
        time.sleep(0.3)
        assert [process.poll() for process in started] == [None, None]
    assert all(process.poll() is not None for process in started)


def test_progress_may_stop_the_work_and_what_was_done_is_kept(tmp_path):
    store, units = UnitStore(tmp_path, DIGESTS), units_of_the_script()

    def stop(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work_off(units, store, lambda unit: ({"n": 1}, {}), progress=stop)
    assert sum(store.has(unit) for unit in units) == 3
