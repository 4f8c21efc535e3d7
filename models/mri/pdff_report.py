"""One offline page about a PDFF result: numbers, pictures, provenance. The same result gives the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from ..io.study import MultiEchoStudy
from ..reports.page import style_sheet
from ..units import ppm_to_hz
from .map_pictures import View, Window, choose_view, colour_bar, outline_path, picture
from .maps import PdffMaps

ROI_COLOURS = ("#e69f00", "#56b4e9", "#d55e00", "#cc79a7", "#f0e442", "#00c2a0", "#9b8cff", "#ff6b6b")
"""Outlines of the regions, told apart by most colour-blind readers (after Okabe and Ito)."""
MAX_MONTAGE_SLICES = 48
"""More slices than this are thinned evenly, and the page says so."""
FIELD_WINDOW_PPM = 3.0
"""Half the width of the field map's window, ppm."""
BOX_PERCENT = 50.0
"""PDFF at the right end of the quartile bars, percent."""

SETTINGS = {
    "precession": ("Precession", ""),
    "odd_even_phase": ("Phase between odd and even echoes", ""),
    "fit": ("Fit", ""),
    "noise_std": ("Noise, one channel (SD)", "a.u."),
    "field_period_hz": ("Field known up to multiples of", "Hz"),
    "r2_star": ("R2*", ""),
    "n_misfit_voxels": ("Voxels that do not fit", ""),
    "network": ("Network", ""),
    "fallback_fraction": ("Share of voxels that graph cuts decided instead", ""),
}
"""Setting of the method -> what a reader calls it, and its unit."""


def windows(study: MultiEchoStudy, maps: PdffMaps) -> tuple[Window, ...]:
    """The pictures of a report; only the images, which have no unit, are scaled to the data."""
    half = float(ppm_to_hz(FIELD_WINDOW_PPM, study.field_strength_t))
    total = (maps.water + maps.fat)[maps.valid_mask]
    top = float(np.percentile(total, 99)) if total.size else 1.0
    top = top if top > 0 else 1.0
    swap = Window("swap_probability", "Probability of a swap", "", 0, 0.5, "magma")
    return (
        Window("pdff_percent", "Fat fraction (PDFF)", "%", 0, 50, "viridis"),
        Window("pdff_std_percent", "Standard deviation of PDFF", "points", 0, 5, "magma"),
        *([swap] if np.isfinite(maps.swap_probability).any() else []),
        Window("r2_star_per_s", "R2*", "1/s", 0, 150, "inferno"),
        Window("water", "Water", "a.u.", 0, top, "gray"),
        Window("fat", "Fat", "a.u.", 0, top, "gray"),
        Window("field_map_hz", "Field map", "Hz", -half, half, "RdBu_r"),
    )


def report_html(study: MultiEchoStudy, maps: PdffMaps, rois: Mapping[str, np.ndarray], result: dict) -> str:
    """The page.

    Args:
        study: What was measured.
        maps: What was found.
        rois: Name of a region -> bool mask of shape (x, y, z).
        result: What :func:`.pdff_files.result_json` made of them.
    Returns:
        HTML that needs no other file and no network.
    """
    shape = maps.pdff_percent.shape
    view = choose_view(shape, study.affine, is_orientation_known=study.is_orientation_known)
    shown = _slice_to_show(maps, rois, view)
    colours = {name: ROI_COLOURS[n % len(ROI_COLOURS)] for n, name in enumerate(rois)}
    all_windows = windows(study, maps)
    figures = "".join(_figure(maps, rois, colours, view, shown, window) for window in all_windows)
    n_slices = shape[view.slice_axis]
    css = style_sheet(("report.css",))
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(study.case_id)} · liver fat</title><style>{css}</style></head><body><main>",
        '<div class="banner simulated">SIMULATED DATA · computed, not measured on a patient</div>'
        if study.is_simulated
        else "",
        f"<h1>{escape(study.case_id)}</h1>",
        f'<p class="lead">Fat fraction from {study.echo_times_s.size} echoes at {study.field_strength_t:g} T · '
        f"method {escape(maps.method)} · LiverLabel {escape(result['library']['version'])} · "
        "a research tool, not a medical device</p>",
        _numbers(result["rois"], colours),
        _warnings(result["warnings"]),
        f"<h2>Maps{f' · slice {shown + 1} of {n_slices}' if n_slices > 1 else ''}</h2>",
        f'<div class="maps">{figures}</div>',
        _montage(maps, rois, colours, view, all_windows[0]) if n_slices > 1 else "",
        _table(result["rois"], colours),
        _provenance(study, maps, result),
        f'<p class="notice">{escape(result["notice"])} Dark grey voxels hold no estimate. PDFF is not clipped: noise '
        "around 0 % gives values below it.</p>",
        "</main></body></html>\n",
    ]
    return "\n".join(part for part in parts if part)


def _slice_to_show(maps: PdffMaps, rois: Mapping[str, np.ndarray], view: View) -> int:
    """The slice with most of the regions, else with most valid voxels."""
    other = tuple(axis for axis in range(3) if axis != view.slice_axis)
    masks = sum((mask.astype(np.int64) for mask in rois.values()), np.zeros(maps.valid_mask.shape, np.int64))
    return int(np.argmax((masks if masks.any() else maps.valid_mask).sum(axis=other)))


def _svg(maps, rois, colours, view: View, index: int, window: Window) -> str:
    image = view.plane(getattr(maps, window.name), index)
    rows, columns = image.shape
    width, height = columns * view.pixel_mm[0], rows * view.pixel_mm[1]
    outlines = "".join(
        f'<path d="{outline_path(view.plane(mask, index))}" stroke="{colours[name]}" stroke-width="1.6" fill="none" '
        'vector-effect="non-scaling-stroke"/>'
        for name, mask in rois.items()
        if view.plane(mask, index).any()
    )
    # The viewBox is in pixels; the aspect of the element carries the pixel size.
    return (
        f'<svg viewBox="0 0 {columns} {rows}" preserveAspectRatio="none" style="aspect-ratio:{width:.6g}/{height:.6g}">'
        f'<image width="{columns}" height="{rows}" preserveAspectRatio="none" style="image-rendering:pixelated" '
        f'href="{picture(image, window)}"/>{outlines}</svg>'
    )


def _figure(maps, rois, colours, view: View, index: int, window: Window) -> str:
    sides = zip(("left", "right", "top", "bottom"), view.edges, strict=True)
    letters = "".join(f'<span class="edge {side}">{letter}</span>' for side, letter in sides if letter)
    beyond = "" if window.low < 0 else "+"
    return (
        f"<figure><figcaption>{escape(window.title)}</figcaption>"
        f'<div class="frame">{_svg(maps, rois, colours, view, index, window)}{letters}</div>'
        f'<div class="bar"><span>{_number(window.low, 0)}</span><img alt="" src="{colour_bar(window)}">'
        f"<span>{_number(window.high, 1 if window.high < 1 else 0)}{beyond} {escape(window.unit)}</span></div></figure>"
    )


def _montage(maps, rois, colours, view: View, window: Window) -> str:
    n_slices = maps.pdff_percent.shape[view.slice_axis]
    chosen = np.unique(np.linspace(0, n_slices - 1, min(n_slices, MAX_MONTAGE_SLICES)).round().astype(int))
    tiles = "".join(
        f'<figure><div class="frame">{_svg(maps, rois, colours, view, int(k), window)}</div>'
        f"<figcaption>slice {k + 1}</figcaption></figure>"
        for k in chosen
    )
    note = f"{chosen.size} of {n_slices} slices" if chosen.size < n_slices else f"all {n_slices} slices"
    return f'<h2>{escape(window.title)} · {note}</h2><div class="montage">{tiles}</div>'


def _number(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def _numbers(rows: Sequence[dict], colours: Mapping[str, str]) -> str:
    tiles = "".join(
        f'<div class="number" style="border-left-color:{colours[row["name"]]}">'
        f'<div class="name">{escape(row["name"])}</div>'
        f'<div class="value">{_number(row["pdff_mean_percent"])} <small>% PDFF · SD {_number(row["pdff_std_percent"])}'
        f'</small></div><div class="more">R2* {_number(row["r2_star_mean_per_s"], 0)} 1/s · '
        f"{_number(row['volume_ml'])} mL</div></div>"
        for row in rows
    )
    return f'<div class="numbers">{tiles}</div>' if tiles else ""


def _warnings(sentences: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f'<h2>Please note</h2><ul class="warnings">{items}</ul>' if items else ""


def _quartile_bar(row: dict) -> str:
    if row["pdff_median_percent"] is None:
        return ""
    q1, median, q3 = (
        min(max(row[f"pdff_{key}_percent"], 0.0), BOX_PERCENT) / BOX_PERCENT * 120 for key in ("q1", "median", "q3")
    )
    return (
        '<svg width="120" height="12" viewBox="0 0 120 12"><path d="M0 6H120" stroke="#dfe5ea"/>'
        f'<rect x="{q1:.2f}" y="2" width="{max(q3 - q1, 1):.2f}" height="8" fill="#0b6e6e" opacity=".45"/>'
        f'<path d="M{median:.2f} 0V12" stroke="#0b6e6e" stroke-width="2"/></svg>'
    )


def _table(rows: Sequence[dict], colours: Mapping[str, str]) -> str:
    if not rows:
        return ""
    body = "".join(
        f'<tr><td><span class="swatch" style="background:{colours[row["name"]]}"></span>{escape(row["name"])}</td>'
        f"<td>{row['n_voxels']}</td><td>{row['n_excluded']}</td><td>{_number(row['volume_ml'])}</td>"
        f"<td>{_number(row['pdff_mean_percent'])} ± {_number(row['pdff_std_percent'])}</td>"
        f"<td>{_number(row['pdff_median_percent'])} ({_number(row['pdff_q1_percent'])} to "
        f"{_number(row['pdff_q3_percent'])})</td><td>{_quartile_bar(row)}</td>"
        f"<td>{_number(row['pdff_weighted_mean_percent'], 2)} ± "
        f"{_number(row['pdff_weighted_mean_std_percent'], 2)}</td>"
        f"<td>{_number(row['r2_star_mean_per_s'])} ± {_number(row['r2_star_std_per_s'])}</td></tr>"
        for row in rows
    )
    return (
        '<h2>Regions</h2><div class="panel"><table><thead><tr>'
        "<th>Region</th><th>Voxels</th><th>Left out</th><th>mL</th>"
        "<th>PDFF mean ± SD, %</th><th>Median (quartiles), %</th><th>0 to 50 %</th>"
        "<th>Weighted mean ± its error, %</th><th>R2* mean ± SD, 1/s</th></tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
        '<p class="lead">SD: spread among the voxels. The weighted mean counts each voxel by 1/variance; its error is '
        "that of noise alone, voxels taken as independent.</p>"
    )


def _provenance(study: MultiEchoStudy, maps: PdffMaps, result: dict) -> str:
    acquisition, spectrum = result["acquisition"], result["spectrum"]
    doi = spectrum["doi"]
    entries = [
        ("Echo times", ", ".join(f"{t:g}" for t in acquisition["echo_times_ms"]) + " ms"),
        ("Field strength", f"{study.field_strength_t:g} T"),
        ("Image", " × ".join(map(str, acquisition["shape"])) + " voxels of "
         + " × ".join(f"{s:g}" for s in acquisition["voxel_size_mm"]) + " mm"),
        ("Estimated voxels", f"{result['n_valid_voxels']} of {result['n_voxels']}"),
        ("Method", maps.method),
        ("Fat spectrum", spectrum["name"] + (f" (doi {doi})" if doi else "")),
        *(_named_setting(name, value) for name, value in result["settings"].items()),
        ("Version", f"LiverLabel {result['library']['version']}, {result['schema']}"),
    ]  # fmt: skip
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in entries)
    files = "".join(
        f"<dt>{escape(item['name'])}</dt><dd><code>{escape(item['sha256'])}</code></dd>" for item in result["inputs"]
    )
    files = files or "<dt>none</dt><dd>the signal was made in memory</dd>"
    return (
        f'<h2>How it came about</h2><div class="panel"><dl>{listed}</dl></div>'
        f'<h2>Inputs (SHA-256)</h2><div class="panel"><dl>{files}</dl></div>'
    )


def _named_setting(name: str, value) -> tuple[str, str]:
    """A setting as a reader calls it, with its unit."""
    title, unit = SETTINGS.get(name, (name.replace("_", " ").capitalize(), ""))
    return title, f"{_setting(value)} {unit}".rstrip()


def _setting(value) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {_setting(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_setting(item) for item in value)
    if value is None:
        return "none"
    return str(value)
