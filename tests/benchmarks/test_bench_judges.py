"""The judge simulation, small: judges that do not look at the routes earn 0, a perfect one all there is."""

from pathlib import Path

import pytest

from benchmarks.bench_judges import BANK, BLIND, MAX_Z, MIXES, Cells, blind_cells, read_traces, simulate


@pytest.fixture(scope="module")
def cells(shared_data: Path) -> Cells:
    return simulate(read_traces(shared_data / "big_bench_mistake"), 4_500, seed=1)


def test_blind_judges_earn_nothing_in_any_mix_and_set_size(cells: Cells) -> None:
    off = {key: cell for key, cell in blind_cells(cells, "verdict", "decisive") if cell.z > MAX_Z}
    assert not off
    assert len({key[:3] for key, _ in blind_cells(cells, "verdict")}) == len(MIXES) * BANK * len(BLIND)


def test_the_consistency_rule_leaves_them_no_gain(cells: Cells) -> None:
    assert not [key for key, cell in blind_cells(cells, "credited") if cell.mean > MAX_Z * cell.error]


def test_a_perfect_judge_earns_all_there_is(cells: Cells) -> None:
    for (mix, judge, size, component), cell in cells.items():
        if judge == "perfect" and component == "decisive":
            assert cell.mean == 1.0
        if judge == "perfect" and component == "verdict" and mix in ("half right", "one kind"):
            assert cell.mean == pytest.approx(1.0, abs=0.2), (mix, size)
        if judge == "off-by-one" and component == "decisive":
            assert cell.mean < 0
