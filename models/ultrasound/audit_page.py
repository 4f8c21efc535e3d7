"""The page of an audit: findings, copies side by side, what was examined, and by which thresholds."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Sequence
from html import escape

import numpy as np

from .. import __version__
from ..learning.audit_report import ALPHA, N_SHOWN, AuditReport, AuditSample, CopyPair
from ..learning.perceptual_hash import MAX_DISTANCE, MIN_CORRELATION
from ..learning.shortcuts import MIN_PATIENTS_A_LABEL
from ..reports.notice import RESEARCH_NOTICE
from ..reports.page import page_html

MAX_PAIRS = 60
"""Copies shown; the JSON holds them all."""
_THUMBNAIL = 340
"""Pixels of a thumbnail's longer side at most."""
_WORDS = {
    "patient_overlap": "patient in two parts",
    "generator_saw_held_out": "generator saw another part",
    "byte_duplicates": "equal files",
    "same_patient_two_ids": "one patient, several ids",
    "copies_across_parts": "copies in two parts",
    "memorised_copies": "generated copies of real images",
    "generated_repeats": "generator repeats itself",
    "generated_in_held_out": "tested on generated images",
    "split_confounding": "parts differ in source",
    "shortcut": "shortcut outside tissue",
    "source_confounding": "answer goes with source",
    "simulation_confounding": "answer goes with simulation",
    "not_examined": "not examined",
}


def audit_page(report: AuditReport, samples: Sequence[AuditSample], name: str, command: str) -> str:
    """One offline page.

    Args:
        report: Of :func:`~liver_models.learning.audit.audit`.
        samples: What it looked at; thumbnails of copies are made from them.
        name: Of the folder, without its path.
        command: What makes the page again.
    Returns:
        HTML; the same report and pictures give the same text.
    """
    n_simulated = sum(sample.is_simulated for sample in samples)
    banner = ""
    if n_simulated:
        share = "ALL" if n_simulated == len(samples) else f"{n_simulated} OF {len(samples)}"
        banner = f'<div class="banner simulated">SIMULATED DATA · {share} images were computed, not measured</div>'
    parts = [
        banner,
        f"<h1>Audit of {escape(name)}</h1>",
        f'<p class="lead">What would make results on these images better than they are · LiverLabel '
        f"{escape(__version__)} · a research tool, not a medical device</p>",
        f'<pre class="command">{escape(command)}</pre>',
        _numbers(report),
        "<h2>Findings</h2>",
        _findings(report),
        _pairs(report, samples),
        "<h2>What was examined</h2>",
        _shares("Part", [sample.part or "no part" for sample in samples], samples),
        _sources(samples),
        "<h2>By which thresholds</h2>",
        _thresholds(report),
        f'<p class="notice">{escape(RESEARCH_NOTICE)} The page holds pictures and names of files: keep it where the '
        "images are kept.</p>",
    ]
    return page_html(f"Audit of {name}", parts, ("report.css", "experiment.css", "audit.css"))


def _numbers(report: AuditReport) -> str:
    severities = Counter(finding.severity for finding in report.findings)
    auc = "not tested" if report.shortcut_auc is None else f"{report.shortcut_auc:.2f}"
    p = "too few patients with an answer" if report.shortcut_p_value is None else f"p = {report.shortcut_p_value:.3f}"
    is_shortcut = report.shortcut_p_value is not None and report.shortcut_p_value <= ALPHA
    cards = [
        ("", "Images", str(report.n_images), f"of {report.n_patients} patients or generated images"),
        ("error" if severities["error"] else "good", "Errors", str(severities["error"]), "results would be wrong"),
        ("warning" if severities["warning"] else "good", "Warnings", str(severities["warning"]), "look at them"),
        ("warning" if report.pairs else "good", "Pairs of copies", str(len(report.pairs)), "shown below"),
        (
            "error" if is_shortcut else "" if report.shortcut_auc is None else "good",
            "AUC from what is not tissue",
            auc,
            f"{p}; {report.n_labelled_patients} with an answer",
        ),
    ]
    shown = "".join(
        f'<div class="number {kind}"><div class="name">{escape(title)}</div><div class="value">{escape(value)}</div>'
        f'<div class="more">{escape(more)}</div></div>'
        for kind, title, value, more in cards
    )
    return f'<div class="numbers">{shown}</div>'


def _findings(report: AuditReport) -> str:
    if not report.findings:
        return '<div class="panel"><span class="pill good">nothing found</span></div>'
    lines = []
    for finding in sorted(report.findings, key=lambda one: one.severity != "error"):
        members = ""
        if len(finding.members) > N_SHOWN:
            listed = "<br>".join(escape(member) for member in finding.members)
            members = f"<details><summary>all {len(finding.members)}</summary><div>{listed}</div></details>"
        kind = escape(_WORDS.get(finding.kind, finding.kind))
        lines.append(
            f'<tr><td><span class="pill {finding.severity}">{finding.severity}</span></td><td>{kind}</td>'
            f"<td>{escape(finding.sentence)}{members}</td></tr>"
        )
    head = "<tr><th>How bad</th><th>What</th><th>Found, and what to do</th></tr>"
    return f'<div class="panel findings"><table><thead>{head}</thead><tbody>{"".join(lines)}</tbody></table></div>'


def _pairs(report: AuditReport, samples: Sequence[AuditSample]) -> str:
    if not report.pairs:
        return ""
    known = {sample.name: sample for sample in samples}
    more = f" The first {MAX_PAIRS} of {len(report.pairs)}." if len(report.pairs) > MAX_PAIRS else ""
    shown = "".join(_pair(pair, known[pair.first], known[pair.second]) for pair in report.pairs[:MAX_PAIRS])
    return (
        f'<h2>Copies side by side</h2><p class="lead">Each group of copies: its first image with each of the others. '
        f'Red: two patients, or a generated and a real image, or two parts.{more}</p><div class="pairs">{shown}</div>'
    )


def _pair(pair: CopyPair, first: AuditSample, second: AuditSample) -> str:
    is_error = first.patient_id != second.patient_id or first.part != second.part
    is_error &= not (first.is_generated and second.is_generated)
    how = "same bytes" if pair.is_same_bytes else f"{pair.distance_bits} of 64 bits apart"
    two = "".join(
        f'<div><img alt="{escape(one.name)}" src="{_thumbnail(one.image())}"><p>{escape(one.name)}</p>'
        f'<p class="of">{escape(_whose(one))}</p></div>'
        for one in (first, second)
    )
    return (
        f'<div class="pair {"error" if is_error else ""}"><header><b>{escape(how)}</b><span>correlation '
        f'{pair.correlation:.3f}</span></header><div class="two">{two}</div></div>'
    )


def _whose(sample: AuditSample) -> str:
    whose = f"generated, {sample.source}" if sample.is_generated else f"patient {sample.patient_id}"
    part = f" · {sample.part}" if sample.part else ""
    return whose + part + ("" if sample.label is None else " · answer yes" if sample.label else " · answer no")


def _thumbnail(grey: np.ndarray) -> str:
    from PIL import Image

    image = Image.fromarray(grey)
    scale = _THUMBNAIL / max(image.size)
    if scale < 1:
        image = image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _sources(samples: Sequence[AuditSample]) -> str:
    groups = [
        f"{'simulated' if s.is_simulated and not s.is_generated else ''} {s.source or 'not stated'}".strip()
        for s in samples
    ]
    return _shares("Source", groups, samples)


def _shares(heading: str, groups: Sequence[str], samples: Sequence[AuditSample]) -> str:
    """How many images, patients and answers are in each group, with a bar of the answers."""
    lines = []
    for group in sorted(set(groups)):
        members = [sample for name, sample in zip(groups, samples, strict=True) if name == group]
        patients = {sample.patient_id for sample in members if not sample.is_generated}
        counts = [sum(s.label is value for s in members) for value in (False, True, None)]
        bar = "".join(
            f'<i class="{kind}" style="width:{100 * n / len(members):.4g}%"></i>'
            for kind, n in zip(("no", "yes", "unknown"), counts, strict=True)
            if n
        )
        numbers = [len(members), len(patients), sum(sample.is_generated for sample in members), *counts]
        cells = "".join(f"<td>{number}</td>" for number in numbers)
        lines.append(f'<tr><td>{escape(group)}</td>{cells}<td><span class="share">{bar}</span></td></tr>')
    head = "".join(
        f"<th>{one}</th>" for one in (heading, "Images", "Patients", "Generated", "Answer no", "yes", "none", "")
    )
    key = '<b style="background:#56b4e9"></b>no<b style="background:#d55e00"></b>yes<b style="background:#b9c2ca"></b>'
    return (
        f'<div class="panel" style="margin-top:14px"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}'
        f'</tbody></table><p class="key">Answers:{key}not known</p></div>'
    )


def _thresholds(report: AuditReport) -> str:
    rows = [
        ("Equal files", "SHA-256", "of the bytes; of decoded pixels in a cohort"),
        ("Copies: bits of the hash that may differ", f"{MAX_DISTANCE} of 64", "unrelated pictures differ in 32 ± 4"),
        ("Copies: least correlation of coarse structure", f"{MIN_CORRELATION:g}", "both thresholds need to hold"),
        ("Shortcut, confounding: largest p", f"{ALPHA:g}", f"{report.n_permutations} permutations, seed {report.seed}"),
        ("Patients of the rarer answer", f"{MIN_PATIENTS_A_LABEL}", "with fewer, shortcuts are not tested"),
    ]
    lines = "".join(
        f'<tr><td>{escape(what)}</td><td>{escape(value)}</td><td class="words">{escape(note)}</td></tr>'
        for what, value, note in rows
    )
    head = '<tr><th>Threshold</th><th>Value</th><th class="words"></th></tr>'
    return f'<div class="panel"><table><thead>{head}</thead><tbody>{lines}</tbody></table></div>'
