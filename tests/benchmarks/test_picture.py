from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from benchmarks.figures import Figure
from benchmarks.picture import draw
from benchmarks.svg import Drawing
from benchmarks.targets import NO_SUM, judge
from tests.benchmarks.conftest import Make

SVG = "{http://www.w3.org/2000/svg}"


def parse(picture: str) -> ET.Element:
    return ET.fromstring(picture)  # noqa: S314  # we have drawn it


def test_a_drawing_is_well_formed_whatever_the_words_are_and_as_high_as_what_is_in_it() -> None:
    drawing = Drawing(100)
    drawing.text(1, 10, '<&> "quoted"', is_bold=True)
    drawing.rect(0, 200, 10, 50, "#ffffff")
    drawing.line((0, 0), (5, 5), "#000000")
    root = parse(drawing.render())
    assert [shape.tag.removeprefix(SVG) for shape in root] == ["rect", "text", "rect", "line"]
    assert int(root.attrib["height"]) >= 250
    assert root[1].text == '<&> "quoted"'


def shapes(picture: str, kind: str) -> list[dict[str, str]]:
    return [shape.attrib for shape in parse(picture).iter(SVG + kind)]


def words(picture: str) -> str:
    return " | ".join(shape.text or "" for shape in parse(picture).iter(SVG + "text"))


def test_a_picture_has_ratios_limits_and_rates(make_result: Make) -> None:
    result = make_result(
        "large", **{"fdtcp": [1.0, 1.1], "fdtcp_no checksum": [1, 1], "cp": [1, 1], "gridftp0-p01": [2, 2]}
    )
    result.absent["rsync"] = "not installed"
    picture = draw("a title", "a machine", [result], judge({"large": result}))
    said = words(picture)
    assert {"Ratios to peers", "Limits", "Everybody", "rsync", "not installed"} <= set(said.split(" | "))
    assert "large: fdtcp : gridftp -p 1" in said
    assert re.search(r"1\.91 \(1\.82 to 2\.00\), >= 1\.3: met", said)


def test_everything_is_within_the_picture(make_result: Make) -> None:
    # A ratio of a thousand, and a limit exceeded ten thousand times.
    result = make_result("small", Figure.FILES, files=1000, fdtcp=[1000.0], cp=[1.0])
    tiny = make_result("tiny", Figure.WHOLE, fdtcp=[3000.0], cp=[1.0])
    picture = draw("t", "m", [result, tiny], judge({"small": result, "tiny": tiny}))
    width = float(parse(picture).attrib["width"])
    for bar in shapes(picture, "rect")[1:]:
        assert float(bar["x"]) >= 0
        assert float(bar["width"]) >= 0
        assert float(bar["x"]) + float(bar["width"]) <= width
    for line in shapes(picture, "line"):
        assert all(0 <= float(line[end]) <= width for end in ("x1", "x2"))


def test_nothing_measured_is_no_picture_of_something() -> None:
    assert words(draw("t", "m", [], [])) == "t | m"


def test_colours_follow_the_verdict(make_result: Make) -> None:
    result = make_result("large", **{"fdtcp_no checksum": [1.0, 1.0], "cp": [1.5, 1.5]})
    met = draw("t", "m", [], [one for one in judge({"large": result}) if one.target.peer == "cp"])
    assert any(bar["fill"] == "#2f7f5f" for bar in shapes(met, "rect"))
    assert f"large: {NO_SUM} : cp" in words(met)
