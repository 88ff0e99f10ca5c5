"""When a child counts as stuck, and how it says what it is at."""

from __future__ import annotations

import faulthandler
import tempfile

import pytest

from smsc_filter.service.child import ASK_SECONDS, SLOW, Pulse, Usage, read_frames

TURN = 0.1


def silence(pulse: Pulse, seconds: float) -> None:
    for _ in range(round(seconds / TURN)):
        assert not pulse.turn(TURN), "nobody is asked twice"


def test_a_child_is_asked_now_and_then_and_one_that_answers_is_never_stuck() -> None:
    pulse = Pulse(15.0)
    asked = 0
    for _ in range(1000):
        if pulse.turn(TURN):
            asked += 1
            pulse.asked(Usage("S", 0.0))
            assert not pulse.turn(TURN)
            pulse.answered()
        assert not pulse.stuck(Usage("S", 0.0))
    assert 80 <= asked * ASK_SECONDS <= 100


@pytest.mark.parametrize(
    ("usage", "stuck"),
    [
        pytest.param(Usage("S", 1.0), True, id="it waits for what does not come"),
        pytest.param(Usage("D", 1.0), True, id="it waits for a device"),
        pytest.param(Usage("T", 1.0), True, id="somebody stopped it"),
        pytest.param(Usage("R", 15.0), True, id="it computes without end"),
        pytest.param(Usage("R", 2.0), False, id="it gets no processor"),
        pytest.param(Usage("", 0.0), True, id="the system says nothing"),
    ],
)
def test_a_silent_child_is_stuck_unless_it_gets_no_processor(usage: Usage, stuck: bool) -> None:
    pulse = Pulse(15.0)
    pulse.asked(Usage("S", 1.0))
    silence(pulse, 14.5)
    assert not pulse.stuck(usage)
    silence(pulse, 1.0)
    assert pulse.stuck(usage) == stuck
    silence(pulse, SLOW * 15.0)
    assert pulse.stuck(usage), "nobody is waited for for ever"


def test_a_machine_that_stood_still_is_no_childs_fault() -> None:
    pulse = Pulse(15.0)
    pulse.asked(Usage("S", 1.0))
    pulse.turn(3_600.0)
    assert not pulse.stuck(Usage("S", 1.0))


def test_without_a_limit_nobody_is_stuck() -> None:
    pulse = Pulse(0.0)
    pulse.asked(Usage("S", 1.0))
    silence(pulse, 1_000.0)
    assert not pulse.stuck(Usage("S", 1.0))


def test_the_frames_of_a_dump_are_places_innermost_first() -> None:
    def somewhere() -> str:
        with tempfile.TemporaryFile("w+") as file:
            faulthandler.dump_traceback(file=file, all_threads=True)
            file.seek(0)
            return file.read()

    places = read_frames(somewhere())
    assert places[0].startswith("tests/service/test_child.py:")
    assert places[0].endswith(" somewhere")
    assert read_frames("") == []
    assert read_frames('  File "x", line 1 in y\n') == []
