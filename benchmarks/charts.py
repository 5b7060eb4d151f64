"""Pictures of what was measured, as SVG: the same figures make the same file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from .harness import Bars, Curve, Figure

OURS = "this package"
"""How the names of this package's own figures begin."""

_STYLE = {
    # Without these two, and a date, every file would differ from the last.
    "svg.hashsalt": "benchmarks",
    "svg.fonttype": "none",
    # So that it can be read on a dark page as well.
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_OUR_COLOUR, _THEIR_COLOUR = "#0b6e4f", "#8d99ae"
_COLOURS = ("#0b6e4f", "#d1495b", "#30638e", "#edae49", "#7d5ba6", "#5c6b73", "#b56576", "#2a9d8f", "#9c6644")
_WIDTH = 8.0
_LONGEST_NAME = 44
"""Characters of a line of a name."""


def draw(folder: Path, pictures: Sequence[Curve | Bars]) -> None:
    """Write every picture into `folder`, each under its name."""
    folder.mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        file = folder / f"{picture.name}.svg"
        if isinstance(picture, Curve):
            draw_curve(file, picture)
        else:
            draw_bars(file, picture)


def draw_curve(file: Path, curve: Curve) -> None:
    """A line with its points for each series."""
    with _axes(file, curve.title, height=4.2) as axes:
        for (name, points), colour in zip(curve.series.items(), _cycle(len(curve.series)), strict=True):
            axes.plot(*zip(*points, strict=True), marker="o", markersize=4, label=name, color=colour)
        axes.set_xlabel(curve.x_label)
        axes.set_ylabel(curve.y_label)
        if curve.log_x:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter("{x:,.0f}")
        if curve.log_y:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:,g}")
        else:
            axes.set_ylim(bottom=0)
        axes.grid(axis="y", color="#dddddd", linewidth=0.6)
        if len(curve.series) > 1:
            axes.legend(frameon=False)


def draw_bars(file: Path, bars: Bars) -> None:
    """A bar for each figure, with its quartiles and its value; those of this package have a colour of their own."""
    figures = bars.figures[::-1]
    with _axes(file, bars.title, height=1.2 + 0.45 * len(figures)) as axes:
        spreads = [[f.value - f.low for f in figures], [f.high - f.value for f in figures]]
        drawn = axes.barh(
            [_wrapped(figure.name) for figure in figures],
            [figure.value for figure in figures],
            xerr=spreads,
            color=[_OUR_COLOUR if figure.name.startswith(OURS) else _THEIR_COLOUR for figure in figures],
            error_kw={"ecolor": "#333333", "elinewidth": 0.8, "capsize": 2},
        )
        axes.bar_label(drawn, labels=[_short(figure) for figure in figures], padding=4)
        axes.axvline(1, color="#333333", linewidth=0.8, linestyle=":")
        axes.set_xlabel(bars.x_label)
        axes.margins(x=0.1)


@contextmanager
def _axes(file: Path, title: str, height: float) -> Iterator[Axes]:
    """Axes to draw on; afterwards they are in `file`."""
    with mpl.rc_context(_STYLE):
        figure, axes = plt.subplots(figsize=(_WIDTH, height), layout="constrained")
        axes.set_title(title)
        try:
            yield axes
            figure.savefig(file, format="svg", metadata={"Date": None})
        finally:
            plt.close(figure)


def _cycle(count: int) -> list[str]:
    return [_COLOURS[number % len(_COLOURS)] for number in range(count)]


def _short(figure: Figure) -> str:
    return f"{figure.value:.1f}" if figure.value >= 10 else f"{figure.value:.2f}"


def _wrapped(name: str) -> str:
    """`name` in lines, without the marks of Markdown."""
    lines = [""]
    for word in name.replace("`", "").split():
        if lines[-1] and len(lines[-1]) + len(word) >= _LONGEST_NAME:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
