"""The memory of quotas is measured, entry by entry, and grows with the entries alone."""

from __future__ import annotations

from smsc_filter.lab.quota_memory import LOADS, measure


def test_every_kind_of_entry_is_measured_and_linear() -> None:
    told: list[int] = []
    found = list(measure(8_000, told.append))
    assert [each.load for each in found] == list(LOADS)
    assert sum(told) == sum(each.entries * each.load.per_entry for each in found)
    for each in found:
        assert 8 < each.whole < 2_500
        # A table of the store doubles at powers of two, which weighs more the fewer entries there are.
        assert abs(each.whole / each.half - 1) < 0.35, each
