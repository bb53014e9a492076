"""The grammar of grids: what is written is what is played, and nothing else gets through."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_env.sweep.grid import MAX_COUNT, Axis, GridError, cells, parse_axis, parse_grid

decimals = st.decimals(allow_nan=False, allow_infinity=False, min_value=-1000, max_value=1000, places=3)


def test_a_range_is_exact() -> None:
    assert parse_axis("governance.audit_probability=0:.5:6").values == (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    assert parse_axis("a.b=1:4:4").values == (1, 2, 3, 4)
    assert all(isinstance(value, int) for value in parse_axis("a.b=1:4:4").values)
    assert parse_axis("a=1:2:3").values == (1, 1.5, 2)
    assert parse_axis("a=1.0:4:4").values == (1.0, 2.0, 3.0, 4.0)
    assert isinstance(parse_axis("a=1.0:4:4").values[0], float)
    assert parse_axis("a=1:0:3").values == (1.0, 0.5, 0.0)
    assert parse_axis("a= 3 : 3 : 1 ").values == (3,)
    assert parse_axis("a=1e-3:1e-3:1").values == (0.001,)


def test_a_list_is_read_as_yaml() -> None:
    values = parse_axis("a=1,2.5,true,null,ring,'x:y'").values
    assert values == (1, 2.5, True, None, "ring", "x:y")
    assert [type(value) for value in values] == [int, float, bool, type(None), str, str]
    assert parse_axis("a=off").values == ("off",)
    assert parse_axis("a=1,true").values == (1, True)


@settings(max_examples=60)
@given(decimals, decimals, st.integers(2, 40))
def test_ranges_keep_their_ends_their_count_and_their_order(start: Decimal, stop: Decimal, count: int) -> None:
    text = f"a={start}:{stop}:{count}"
    if start == stop:
        with pytest.raises(GridError, match="there twice"):
            parse_axis(text)
        return
    values = parse_axis(text).values
    assert len(values) == count
    assert (values[0], values[-1]) == (float(start), float(stop))
    assert sorted(values, reverse=start > stop) == list(values)  # type: ignore[type-var]
    step = (float(stop) - float(start)) / (count - 1)
    assert all(value == pytest.approx(float(start) + k * step, abs=1e-9) for k, value in enumerate(values))


@settings(max_examples=60)
@given(st.lists(st.one_of(st.integers(-99, 99), st.booleans(), st.sampled_from(["ring", "star"])), min_size=1))
def test_lists_come_back(values: list[int | bool | str]) -> None:
    text = "a=" + ",".join(str(v).lower() if isinstance(v, bool) else str(v) for v in values)
    twice = len({(type(v), v) for v in values}) < len(values)
    if twice:
        with pytest.raises(GridError, match="there twice"):
            parse_axis(text)
    else:
        assert parse_axis(text).values == tuple(values)


@settings(max_examples=60)
@given(st.text(max_size=30))
def test_any_text_is_an_axis_or_a_clear_error(text: str) -> None:
    said = ""
    try:
        axis = parse_axis(text)
    except GridError as error:
        said = str(error)
    if said:
        assert said.startswith("--grid ")
        assert len(said.splitlines()) == 1
    else:
        assert axis.values
        assert axis.key


@settings(max_examples=60)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_cells_are_the_product_the_last_axis_fastest(sizes: list[int]) -> None:
    axes = [Axis(f"k{i}", tuple(range(size))) for i, size in enumerate(sizes)]
    found = [tuple(cell.values()) for cell in cells(axes)]
    assert found == sorted(set(found))
    expected = 1
    for size in sizes:
        expected *= size
    assert len(found) == expected


BAD: list[tuple[list[str], list[str]]] = [
    ([], ["none given", "START:STOP:COUNT"]),
    (["governance.audit_probability"], ["no axis", "START:STOP:COUNT"]),
    (["=1,2"], ["no axis"]),
    (["a..b=1"], ["no axis"]),
    (["a="], ["no values"]),
    (["a= "], ["no values"]),
    (["a=1,,2"], ["an empty value"]),
    (["a=1,"], ["an empty value"]),
    (["a=0:1"], ["2 parts", "START:STOP:COUNT"]),
    (["a=0:1:2:3"], ["4 parts"]),
    (["a=0:x:3"], ["x is no number"]),
    (["a=:1:3"], ["nothing is no number"]),
    (["a=nan:1:3"], ["nan is no number"]),
    (["a=inf:1:3"], ["inf is no number"]),
    (["a=0:1:0"], ["COUNT", f"1..{MAX_COUNT}", "0"]),
    (["a=0:1:-2"], ["COUNT", "-2"]),
    (["a=0:1:2.5"], ["COUNT", "2.5"]),
    (["a=0:1:99999"], ["COUNT", "99999"]),
    (["a=0:1:1"], ["one value cannot reach"]),
    (["a=1e999:2e999:3"], ["too large"]),
    (["a=1,1"], ["1 is there twice"]),
    (["a=1,1.0"], ["is there twice"]),
    (["a=[1"], ["[1"]),
    (["a={b},2"], ["no single value"]),
    (["a=1", "a=2"], ["a is given twice"]),
    (["a=0:1:1000", "b=0:1:11"], ["11000 cells", "10000"]),
]  # fmt: skip


@pytest.mark.parametrize(("texts", "said"), BAD, ids=lambda v: " ".join(v)[:40])
def test_a_wrong_grid_is_one_clear_line(texts: list[str], said: list[str]) -> None:
    with pytest.raises(GridError) as caught:
        parse_grid(texts)
    text = str(caught.value)
    assert all(part in text for part in said), text
    assert len(text.splitlines()) == 1
