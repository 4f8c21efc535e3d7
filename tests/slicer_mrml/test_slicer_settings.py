"""What the extension remembers, and what it does not."""

import pytest


@pytest.fixture
def settings(application):
    from LiverLabelLib import settings

    return settings


def test_what_is_set_is_there_in_the_next_session(settings):
    store = settings.MemoryStore()
    first = settings.Settings(store)
    assert (first.address, first.reader, first.caFile) == ("http://127.0.0.1:8000", "", "")
    first.address, first.reader, first.caFile = " https://liver.example:8443 ", "anna.b-2", "authority.pem"
    again = settings.Settings(store)
    assert (again.address, again.reader, again.caFile) == ("https://liver.example:8443", "anna.b-2", "authority.pem")


def test_a_token_is_stored_only_if_asked_and_removed_when_not_wanted_any_more(settings):
    store = settings.MemoryStore()
    first = settings.Settings(store)
    first.token = "secret"
    assert first.token == "secret" and settings.Settings(store).token == "" and "secret" not in str(vars(store))
    first.isTokenKept = True
    assert settings.Settings(store).token == "secret"
    first.isTokenKept = False
    assert first.token == "secret" and settings.Settings(store).token == "" and "secret" not in str(vars(store))


def test_a_readers_name_is_formed_like_an_id(settings):
    mine = settings.Settings()
    for name in ("Jürgen", "a b", ".hidden", "x" * 129, "a/b"):
        with pytest.raises(ValueError, match="A reader's name"):
            mine.reader = name
    assert mine.reader == ""
