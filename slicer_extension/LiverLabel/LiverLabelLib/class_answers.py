"""A reader's answer as it comes back from the server; :func:`.protocol.class_label_bytes` writes it."""

from __future__ import annotations

from .errors import UnusableReplyError
from .protocol import CLASS_LABEL_SCHEMA, CLASS_LABEL_VERSION, TEXT, Fields, parse_json

SEVERAL = 2
"""Version of a file that holds the answers to several tasks; the server makes one of those it is sent."""


def answered_tasks(content: bytes) -> tuple[str, ...]:
    """The tasks that a file of answers is on, sorted; empty where it does not say."""
    try:
        told = Fields.of(parse_json(content, "The answer"), "The answer").values
    except UnusableReplyError:
        return ()
    answers = told.get("answers")
    return tuple(sorted(map(str, answers if isinstance(answers, dict) else filter(None, [told.get("task")]))))


def read_class_answer(content: bytes, case_id: str, task: str) -> bool | None:
    """The answer that a ``<id>.label.json`` holds; None: none to this task.

    Args:
        content: The file.
        case_id: Whose answer was asked for.
        task: Which question.
    Raises:
        UnusableReplyError: no such file, another version, another case's, or an answer that is not true or false.
    """
    told = Fields.of(parse_json(content, "The stored answer"), "The stored answer")
    found = (told.take("schema", TEXT), told.take("schema_version", (int,)))
    if found not in ((CLASS_LABEL_SCHEMA, CLASS_LABEL_VERSION), (CLASS_LABEL_SCHEMA, SEVERAL)):
        raise UnusableReplyError(
            f"The stored answer needs the form {CLASS_LABEL_SCHEMA} of version {CLASS_LABEL_VERSION} or {SEVERAL}; "
            f"found {found[0]} of version {found[1]}. Update the extension, or answer again."
        )
    if told.take("case_id", TEXT) != case_id:
        raise UnusableReplyError(
            f"The stored answer is on the case '{told.values['case_id']}' and not on '{case_id}'. Answer again."
        )
    if found[1] == SEVERAL:
        answers = told.take("answers", (dict,))
        if task not in answers:
            return None
        told = Fields.of(answers[task], f"The stored answer to {task}")
    elif told.take("task", TEXT) != task:
        return None
    return told.take("value", (bool,))
