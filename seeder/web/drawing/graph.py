"""Lays out what reads what, from left to right: where each box stands, and how each line runs.

The layout is Graphviz' dot, by pygraphviz, whose wheel brings it along (2.0.4: 0.1 s for 300 boxes and 400
lines). It is told sizes and numbers only: no text of the database gets there, and drawing is the page's.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

#: Of a letter in a box, and of what stands beside the letters.
LETTER = 7.3
MARGIN = 34.0
HEIGHT = 26.0
MOST_LETTERS = 34
#: Points to an inch, which is what dot has sizes in.
INCH = 72.0

#: Graphviz keeps much in variables that all its graphs share.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Box:
    """A node by its upper left corner; ``text`` fits into it."""

    node: str
    x: float
    y: float
    width: float
    text: str


@dataclass(frozen=True)
class Line:
    """From what is read to its reader, as the data of an SVG path; its end is its arrow's tip."""

    source: str
    reader: str
    path: str


@dataclass(frozen=True)
class Drawing:
    width: float
    height: float
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]


def drawn(texts: Mapping[str, str], edges: Iterable[tuple[str, str]]) -> Drawing:
    """Each node with its text; an edge leads from what is read to its reader. Takes as long as it takes."""
    import pygraphviz

    nodes = sorted(texts)
    names = {node: f"n{number}" for number, node in enumerate(nodes)}
    short = {node: _cut(texts[node]) for node in nodes}
    lines = sorted(set(edges))
    with _ONE_AT_A_TIME:
        graph = pygraphviz.AGraph(directed=True, strict=True, rankdir="LR", nodesep="0.12", ranksep="0.7")
        graph.node_attr.update(shape="box", fixedsize="true", label="", height=f"{HEIGHT / INCH:.4f}")
        for node in nodes:
            graph.add_node(names[node], width=f"{_width(short[node]) / INCH:.4f}")
        for source, reader in lines:
            graph.add_edge(names[source], names[reader])
        graph.layout(prog="dot")
        _, _, width, height = (float(one) for one in str(graph.graph_attr["bb"]).split(","))
        middles = {node: _point(graph.get_node(names[node]).attr["pos"]) for node in nodes}
        curves = [graph.get_edge(names[source], names[reader]).attr["pos"] for source, reader in lines]
    boxes = (
        Box(
            node,
            round(middles[node][0] - _width(short[node]) / 2, 1),
            round(height - middles[node][1] - HEIGHT / 2, 1),
            round(_width(short[node]), 1),
            short[node],
        )
        for node in nodes
    )
    paths = (_path(curve, height) for curve in curves)
    return Drawing(
        round(width, 1),
        round(height, 1),
        tuple(boxes),
        tuple(Line(source, reader, path) for (source, reader), path in zip(lines, paths, strict=True)),
    )


def _width(text: str) -> float:
    return MARGIN + LETTER * max(len(text), 4)


def _cut(text: str) -> str:
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"


def _point(text: str) -> tuple[float, float]:
    x, _, y = text.partition(",")
    return float(x), float(y)


def _path(curve: str, height: float) -> str:
    """dot's spline: ``e,`` and the arrow's tip, the start, then three points for each piece.
    https://graphviz.org/docs/attr-types/splineType/"""
    words = curve.split()
    tip = next((_point(word[2:]) for word in words if word.startswith("e,")), None)
    points = [_point(word) for word in words if word[0] not in "es"]
    first, rest = points[0], points[1:]
    pieces = [f"C{_pairs(rest[number : number + 3], height)}" for number in range(0, len(rest) - 2, 3)]
    end = f"L{_pairs([tip], height)}" if tip else ""
    return f"M{_pairs([first], height)}{''.join(pieces)}{end}"


def _pairs(points: Sequence[tuple[float, float]], height: float) -> str:
    return " ".join(f"{x:.1f} {height - y:.1f}" for x, y in points)
