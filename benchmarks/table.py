"""Results as text for a terminal.

Decides what is worth a column: medians of the data phase, of the whole command beside it, and of what each side took.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.contest import Result
from benchmarks.figures import Figure
from benchmarks.ratios import Estimate
from benchmarks.targets import OURS, Standing

# Figures of contests in which bytes do not count.
_BY_FILE = (Figure.FILES, Figure.WHOLE)
_COSTS = (Figure.SOURCE_CPU, Figure.DESTINATION_CPU, Figure.CLIENT_CPU)


def format_result(result: Result) -> str:
    """Return the table of one contest."""
    figure = result.figure
    is_by_file = figure in _BY_FILE
    costs = (Figure.FILE_CPU,) if is_by_file else _COSTS
    header = ["program", figure.title, "90 %", "data phase", "whole"]
    header += ["CPU"] if is_by_file else ["source", "dest.", "client"]
    rows = [[*header, "peak", f"{OURS} : it", "90 %"]]
    for label in result.labels():
        found = {one: estimate for one in Figure if (estimate := result.estimate(label, one)) is not None}
        row = [label, figure.format(found[figure].median), _interval(found[figure])]
        row += [one.format(found[one].median) for one in (Figure.DATA, Figure.WHOLE)]
        row += [_bare(one, found[one]) for one in (*costs, Figure.PEAK)]
        ratio = result.ratio(OURS, label, figure) if label != OURS else None
        row += [f"{ratio.median:.2f}", _interval(ratio)] if ratio is not None else ["", ""]
        rows.append(row)
    title = f"{result.name}: {result.title}; medians of {len(result.rounds)} rounds"
    absent = [f"  {label}: {why}" for label, why in result.absent.items()]
    unit = "us for each file, all programs" if is_by_file else "s/GB by side"
    return "\n".join([title, *_lay_out(rows), *absent, f"  (CPU in {unit}; peak memory of the larger side in MB)"])


def format_scaling(results: Sequence[Result]) -> str:
    """Return one table of contests that only we were in: what each more stream and each more file costs."""
    rows = [["contest", "median", "CPU", "per", "source", "dest.", "client", "peak"]]
    for result in results:
        found = {one: estimate for one in Figure if (estimate := result.estimate(OURS, one)) is not None}
        if not found:
            continue
        is_by_file = result.figure in _BY_FILE
        cost = found[Figure.FILE_CPU] if is_by_file else found[Figure.CPU]
        row = [result.name, result.figure.format(found[result.figure].median)]
        row += [_bare(Figure.FILE_CPU if is_by_file else Figure.CPU, cost), "file, us" if is_by_file else "GB, s"]
        sides = (Figure.SOURCE_S, Figure.DESTINATION_S, Figure.CLIENT_S)
        rows.append([*row, *(_bare(one, found[one]) for one in (*sides, Figure.PEAK))])
    title = (
        "scaling: fdtcp alone; CPU of all programs per file or GB, and of each side in seconds for the whole command"
    )
    return "\n".join([title, *_lay_out(rows)])


def format_standings(standings: Sequence[Standing]) -> str:
    """Return the table of targets."""
    rows = [["contest", "program", "figure", "to reach", "median", "90 %", "rounds", ""]]
    for standing in standings:
        target, found = standing.target, standing.estimate
        figure = target.figure.title
        row = [target.contest, target.ours, figure, target.text_with(standing.peer)]
        if found is not None:
            row += [f"{found.median:.2f}", _interval(found), str(found.count)]
        else:
            row += ["", "", ""]
        rows.append([*row, str(standing.verdict)])
    return "\n".join(["targets; ratios are medians over the rounds", *_lay_out(rows)])


def _bare(figure: Figure, found: Estimate) -> str:
    """Return the number only; nothing for what is too little to be seen."""
    return figure.format(found.median).split()[0] if found.median > 0 else ""


def _interval(found: Estimate) -> str:
    return f"{found.low:.2f}..{found.high:.2f}" if found.high < 100 else f"{found.low:,.0f}..{found.high:,.0f}"


def _lay_out(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return lines in which every column is as wide as its widest cell; the first column is a name."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        cells[0] = row[0].ljust(widths[0])
        lines.append(("  " + "  ".join(cells)).rstrip())
    return lines
