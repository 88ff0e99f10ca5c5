"""The other detectors: what each finds, and its false-alarm rate by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from smsc_filter.policy.gaming import drip, edges, laundering, numbering, rates, spread, variation
from smsc_filter.policy.gaming.evidence import FLAG_AT

BLOCK = 8613800000000


# Edge bursts.


def test_bursts_across_three_full_hours_are_enough() -> None:
    evidence, seen = 0.0, 0
    while evidence < FLAG_AT:
        seen += 1
        evidence = edges.after_burst(evidence, seen * edges.SLOTS_AN_HOUR)
    assert seen == 3


def test_bursts_that_do_not_know_the_clock_are_flagged_as_seldom_as_stated() -> None:
    generator = np.random.default_rng(3)
    runs, bursts = 4_000, 30
    flagged = 0
    for run in generator.integers(0, edges.SLOTS_AN_HOUR, (runs, bursts)).tolist():
        evidence = 0.0
        for slot in run:
            evidence = edges.after_burst(evidence, slot)
            if evidence >= FLAG_AT:
                flagged += 1
                break
    assert flagged / runs <= bursts / FLAG_AT


@pytest.mark.parametrize(("before", "after", "burst"), [
    pytest.param(200, 200, True, id="twice the cap around the border"),
    pytest.param(0, 400, False, id="a job that starts on the hour"),
    pytest.param(100, 100, False, id="no more than the cap"),
    pytest.param(49, 200, False, id="too little before the border"),
    pytest.param(60, 150, True, id="a quarter of the cap on one side"),
])  # fmt: skip
def test_what_a_burst_across_a_border_is(before: int, after: int, burst: bool) -> None:
    assert edges.bursts_at(before, after, 200) == burst


# Rotation and sharing.


@pytest.mark.parametrize(("senders", "others", "further", "told"), [
    pytest.param(10, 0, 0, True, id="ten senders of the first text"),
    pytest.param(8, 0, 0, True, id="eight"),
    pytest.param(7, 0, 0, False, id="seven could be chance where nothing is known"),
    pytest.param(5, 20, 0, True, id="five where one was usual"),
    pytest.param(10, 20, 180, False, id="ten where ten are usual"),
    pytest.param(2, 1000, 0, False, id="two are never enough"),
])  # fmt: skip
def test_how_many_senders_of_one_text_are_too_many(senders: int, others: int, further: int, told: bool) -> None:
    chance = spread.spread_chance(senders, spread.usual(further, others), others + 1)
    assert (chance < spread.ALPHA) == told


def test_independent_senders_are_told_as_seldom_as_stated() -> None:
    generator = np.random.default_rng(4)
    days, texts, told = 2_000, 50, 0
    for _ in range(days):
        senders = 1 + generator.poisson(0.5, texts)
        most = int(senders.max())
        mean = spread.usual(int(senders.sum()) - texts - (most - 1), texts - 1)
        told += spread.spread_chance(most, mean, texts) < spread.ALPHA
    # 1e-4 a day is 0.2 in all; the mean is itself an estimate, which costs a little.
    assert told <= 2


# Content variation.


@pytest.mark.parametrize(("distinct", "agreement", "told"), [
    pytest.param(116, 0.40, True, id="paraphrases, at 116 wordings"),
    pytest.param(100, 0.40, False, id="not before"),
    pytest.param(206, 0.45, True, id="closer paraphrases, at 206"),
    pytest.param(100_000, 0.60, False, id="a template, however many fillings"),
    pytest.param(100_000, 0.75, False, id="a long template"),
])  # fmt: skip
def test_when_wordings_are_too_various(distinct: int, agreement: float, told: bool) -> None:
    assert (variation.variation_chance(distinct, agreement) < variation.ALPHA) == told


def test_fillings_of_a_template_are_told_as_seldom_as_stated() -> None:
    generator = np.random.default_rng(5)
    # As unlike as the bound allows: a text either keeps all of the sketch or next to nothing.
    draws = generator.random((20_000, 150)) < variation.TEMPLATE
    told = sum(variation.variation_chance(150, float(mean)) < variation.ALPHA for mean in draws.mean(axis=1))
    assert told <= 6  # 1e-4 of 20,000 is 2


# Class laundering.


@pytest.mark.parametrize(("commercial", "texts", "told"), [
    pytest.param(1, 1, False, id="one mistake"),
    pytest.param(2, 40, False, id="two of forty"),
    pytest.param(3, 3, True, id="three of three"),
    pytest.param(8, 40, True, id="eight of forty"),
])  # fmt: skip
def test_when_commercial_texts_of_a_service_sender_are_no_mistakes(commercial: int, texts: int, told: bool) -> None:
    assert (laundering.laundering_chance(commercial, texts) < laundering.ALPHA) == told


def test_mistakes_of_the_model_are_told_as_seldom_as_stated() -> None:
    commercial = np.random.default_rng(6).binomial(40, laundering.MISTAKES, 100_000)
    told = sum(laundering.laundering_chance(int(each), 40) < laundering.ALPHA for each in commercial)
    assert told <= 20  # 1e-4 of 100,000 is 10


# Slow drip.


@pytest.mark.parametrize(("first_contacts", "came_back", "told"), [
    pytest.param(88, 0, True, id="88 strangers and no answer"),
    pytest.param(80, 0, False, id="80 could be bad luck"),
    pytest.param(500, 20, True, id="500 strangers, 20 answers"),
    pytest.param(500, 50, False, id="one in ten comes back"),
])  # fmt: skip
def test_when_strangers_are_too_many(first_contacts: int, came_back: int, told: bool) -> None:
    assert (drip.drip_chance(first_contacts, came_back) < drip.ALPHA) == told


def test_people_are_told_as_seldom_as_stated() -> None:
    came_back = np.random.default_rng(8).binomial(200, drip.BOND, 100_000)
    assert sum(drip.drip_chance(200, int(each)) < drip.ALPHA for each in came_back) <= 20


# Runs of numbers.


@pytest.mark.parametrize(("numbers", "step", "length"), [
    pytest.param(range(1000, 1100), 1, 100, id="counted up"),
    pytest.param(range(1000, 1300, 3), 3, 100, id="counted up in threes"),
    pytest.param([*range(2000, 2009), *range(10_000, 90_000, 90)], 1, 9, id="nine among nine hundred"),
])  # fmt: skip
def test_a_run_is_found_in_whatever_order_it_was_sent(numbers: object, step: int, length: int) -> None:
    shuffled = np.random.default_rng(9).permutation(np.array(list(numbers), np.int64) + BLOCK)  # type: ignore[call-overload]
    run = numbering.longest_run(shuffled)
    assert run is not None
    assert (run.step, run.length) == (step, length)
    assert run.chance < numbering.ALPHA


@pytest.mark.parametrize("numbers", [
    pytest.param([], id="nobody"),
    pytest.param([1, 2], id="two"),
    pytest.param([5, 5, 5, 5], id="one, again and again"),
    pytest.param([1, 100, 10_000], id="three strangers"),
])  # fmt: skip
def test_too_few_numbers_are_no_run(numbers: list[int]) -> None:
    run = numbering.longest_run(np.array(numbers, np.int64))
    assert run is None or run.chance == 1.0


def test_lists_of_a_tenth_of_a_block_are_told_as_seldom_as_stated() -> None:
    generator = np.random.default_rng(10)
    told = 0
    for _ in range(3_000):
        drawn = np.flatnonzero(generator.random(10_000) < numbering.DENSITY)
        run = numbering.longest_run(drawn.astype(np.int64))
        told += run is not None and run.chance < numbering.ALPHA
    assert told <= 2  # 1e-4 of 3,000 is 0.3


# Rising rates.


@pytest.mark.parametrize(("refused", "messages", "past", "told"), [
    pytest.param(60, 100, (50, 5_000), True, id="1 % becomes 60 %"),
    pytest.param(10, 10, (50, 5_000), False, id="too few to tell"),
    pytest.param(52, 100, (2_500, 5_000), False, id="half was refused before"),
    pytest.param(100, 100, (0, 0), True, id="everything from the start"),
    pytest.param(25, 1_000, (75, 5_000), False, id="not doubled"),
])  # fmt: skip
def test_when_refusals_rise(refused: int, messages: int, past: tuple[int, int], told: bool) -> None:
    assert (rates.rise_chance(refused, messages, *past) < rates.ALPHA) == told


def test_an_unchanged_rate_is_told_as_seldom_as_stated() -> None:
    generator = np.random.default_rng(11)
    past = generator.binomial(2_000, 0.1, 50_000)
    now = generator.binomial(300, 0.1, 50_000)
    told = sum(rates.rise_chance(int(a), 300, int(b), 2_000) < rates.ALPHA for a, b in zip(now, past, strict=True))
    assert told <= 10  # 1e-4 of 50,000 is 5


def test_when_complaints_rise() -> None:
    assert rates.complaints_chance(6, 0.0) < rates.ALPHA
    assert rates.complaints_chance(3, 0.0) > rates.ALPHA
    assert rates.complaints_chance(30, 20.0) > rates.ALPHA
