"""The reader study in a real headless Chromium: all 50 images, back, reload, close, answers read back and scored."""

from __future__ import annotations

import json

import pytest
from browser import Browser
from turing_images import write_real, write_set

from liver_models.__main__ import main
from liver_models.synthesis.turing import read_key

pytestmark = pytest.mark.system


@pytest.fixture
def study(tmp_path):
    real = write_real(tmp_path / "frames")
    sets = [str(write_set(tmp_path / name, name, seed=k)) for k, name in enumerate(("ldm_class", "stacked_gan"), 2)]
    words = ["turing", "--key", str(tmp_path / "key.json"), "--out", str(tmp_path / "page" / "turing.html")]
    assert main([*words, "--real", str(real), "--synthetic", *sets]) == 0
    return tmp_path


@pytest.fixture
def browser(study):
    opened = []

    def start():
        opened.append(Browser(study / "profile"))
        opened[-1].open(study / "page" / "turing.html")
        return opened[-1]

    yield start
    for one in opened:
        if one._process.poll() is None:
            one.close()


def begin(page, name):
    page.click("#reader")
    page.type(name)
    page.click("#who button")
    page.wait("!document.getElementById('look').hidden")


def place(page):
    return int(page.run("document.getElementById('place').textContent.split(' ')[1]"))


def test_a_reader_answers_all_images_through_reload_and_closing_and_the_answers_are_scored(study, browser, capsys):
    wanted = ["real" if one.source == "real" else "synthetic" for one in read_key(study / "key.json").images]
    wanted[3], wanted[40] = (("synthetic", "real")[one == "synthetic"] for one in (wanted[3], wanted[40]))
    page = browser()
    assert page.run("document.getElementById('unsaved').hidden"), "the browser keeps answers"
    begin(page, "Ada L.")
    for k in range(20):  # with the mouse
        assert place(page) == k + 1
        page.wait("document.getElementById('image').naturalWidth === 48")
        page.click(f"#{wanted[k]}")
    page.reload()
    assert place(page) == 21 and page.run("document.getElementById('left').textContent") == "20 answered"
    for k in range(20, 35):  # with the keyboard
        page.press(wanted[k][0])
    page.close()

    page = browser()
    assert place(page) == 36, "closing lost nothing"
    # Back to an earlier image, another answer, and changed again.
    page.press("ArrowLeft")
    page.click("#back")
    assert place(page) == 34 and page.run(f"document.getElementById('{wanted[33]}').classList.contains('chosen')")
    other = "real" if wanted[33] == "synthetic" else "synthetic"
    page.click(f"#{other}")
    page.click("#dots button:nth-child(34)")
    page.press(wanted[33][0])
    page.click("#dots button:nth-child(36)")
    for k in range(35, 50):
        assert page.run("document.getElementById('end').hidden")
        page.press(wanted[k][0])
    page.wait("!document.getElementById('end').hidden")
    text = page.run("document.getElementById('answers').textContent")
    saved = page.run("fetch(document.getElementById('save').href).then((r) => r.text())")
    name = page.run("document.getElementById('save').download")
    assert saved == text and name.startswith("answers-") and name.endswith("-Ada_L_.json")
    answers = json.loads(saved)
    assert answers["answers"] == wanted and answers["reader"] == "Ada L." and len(answers["seconds"]) == 50
    page.reload()
    assert page.run("document.getElementById('answers').textContent") == text, "the end is still there"

    (study / name).write_text(saved)
    command = ["turing", "--score", str(study / name), "--key", str(study / "key.json")]
    assert main([*command, "--out", str(study / "result")]) == 0
    found = json.loads((study / "result" / "results.json").read_text())["readers"][0]
    assert found["accuracy"]["value"] == pytest.approx(48 / 50)
    assert "96.0" in capsys.readouterr().out


def test_two_readers_at_one_browser_keep_their_own_answers(browser):
    page = browser()
    begin(page, "Ada")
    page.press("r")
    page.press("r")
    page.click("#switch")
    begin(page, "Bo")
    assert place(page) == 1
    page.press("s")
    page.click("#switch")
    begin(page, "Ada")
    assert place(page) == 3
    page.click("#dots button:nth-child(1)")
    assert page.run("document.querySelector('.answer.chosen').id") == "real"


def test_the_page_asks_nothing_of_any_network_and_does_not_end_before_the_last_answer(browser):
    page = browser()
    begin(page, "Ada")
    entries = page.run(
        "performance.getEntriesByType('resource').map((e) => e.name).filter((n) => !n.startsWith('data:'))"
    )
    assert entries == []
    page.click("#dots button:nth-child(50)")
    assert page.run("document.getElementById('next').disabled")
    page.press("s")
    assert place(page) == 1 and page.run("document.getElementById('end').hidden")
