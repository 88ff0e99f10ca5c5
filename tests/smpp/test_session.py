"""Sessions as conversations: who may say what when, windows, timers, and what becomes of bad octets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_filter.smpp.codec import encode
from smsc_filter.smpp.constants import MAX_SEQUENCE_NUMBER, RESPONSE_BIT, CommandId, CommandStatus
from smsc_filter.smpp.errors import FramingError
from smsc_filter.smpp.pdu import Pdu
from smsc_filter.smpp.session import (
    FROM_ESME,
    FROM_SMSC,
    REQUESTS,
    UNANSWERED_COMMANDS,
    Admissions,
    Due,
    Session,
    SessionTimers,
    State,
)
from smsc_filter.smpp.tlv import encode_tlv

from .conversation import Conversation, bind, bind_transmitter, enquire_link, pdu, submit_sm, unbind

ESME_ROK = CommandStatus.ESME_ROK
ESME_RALYBND = CommandStatus.ESME_RALYBND
ESME_RINVBNDSTS = CommandStatus.ESME_RINVBNDSTS
ESME_RINVCMDID = CommandStatus.ESME_RINVCMDID

# SMPP v3.4, section 2.3, by hand: E where an ESME may ask it, S where an SMSC may. Where v3.4 does not say which
# way a data_sm may go over a transmitter or a receiver, this is the operation matrix of v5.0 (section 2.4).
SPECIFICATION = """
    command             open  bound_tx  bound_rx  bound_trx
    bind_transmitter    E     -         -         -
    bind_receiver       E     -         -         -
    bind_transceiver    E     -         -         -
    outbind             S     -         -         -
    unbind              -     ES        ES        ES
    submit_sm           -     E         -         E
    submit_multi        -     E         -         E
    data_sm             -     E         S         ES
    deliver_sm          -     -         S         S
    query_sm            -     E         -         E
    cancel_sm           -     E         -         E
    replace_sm          -     E         -         E
    enquire_link        -     ES        ES        ES
    alert_notification  -     -         S         S
"""
HEAD, *ROWS = (line.split() for line in SPECIFICATION.split("\n") if line.strip())
MAY_ASK: dict[tuple[str, str], str] = {
    (command, state): who for command, *cells in ROWS for state, who in zip(HEAD[1:], cells, strict=True)
}
SETTLED = [state for state in State if state is not State.BINDING]
SIDES = {"E": FROM_ESME, "S": FROM_SMSC}
BOUND_STATES = (State.BOUND_TX, State.BOUND_RX, State.BOUND_TRX)


def every_request() -> Iterator[object]:
    for side in SIDES:
        for state in SETTLED:
            for command in sorted(REQUESTS):
                yield pytest.param(
                    side, state, CommandId(command), id=f"{side}-{state.value}-{CommandId(command).name}"
                )


def in_state(admissions: Admissions, state: State, *, slow: bool = True) -> Conversation:
    talk = Conversation(admissions, slow=slow)
    talk.session.state = state
    return talk


def test_the_table_speaks_of_every_request() -> None:
    assert {command for command, _ in MAY_ASK} == {CommandId(command).name.lower() for command in REQUESTS}


@pytest.mark.parametrize(("side", "state", "command"), list(every_request()))
def test_every_state_times_every_request(side: str, state: State, command: CommandId) -> None:
    talk = in_state(SIDES[side], state)
    request = pdu(command, 7)
    talk.says(request)
    if side in MAY_ASK.get((command.name.lower(), state.value), ""):
        if command == CommandId.ENQUIRE_LINK:
            talk.hears(request.reply())
            assert not talk.taken
        else:
            talk.hears_nothing()
            assert [taken.octets for taken in talk.taken] == [request.octets]
        return
    assert not talk.taken
    if command in UNANSWERED_COMMANDS:
        talk.hears_nothing()
    elif state in BOUND_STATES and command.name.startswith("BIND_"):
        talk.hears(request.reply(ESME_RALYBND))
    else:
        talk.hears(request.reply(ESME_RINVBNDSTS))
    assert talk.session.state is state


@pytest.mark.parametrize("state", SETTLED)
@pytest.mark.parametrize("command_id", [0x00000000, 0x0000000A, 0x00000022, 0x00000104, 0x00010200, 0x7FFFFFFF])
def test_an_unknown_command_gets_a_generic_nack_in_every_state(state: State, command_id: int) -> None:
    talk = in_state(FROM_ESME, state)
    talk.says(pdu(command_id, 9, b"whatever")).hears(encode(CommandId.GENERIC_NACK, 9, status=ESME_RINVCMDID))
    assert not talk.taken


@pytest.mark.parametrize("state", SETTLED)
@pytest.mark.parametrize("command", [command for command in CommandId if command & RESPONSE_BIT], ids=str)
@pytest.mark.parametrize("admissions", list(SIDES.values()), ids=list(SIDES))
def test_a_response_is_never_answered(admissions: Admissions, state: State, command: CommandId) -> None:
    talk = in_state(admissions, state)
    response = pdu(command, 3)
    talk.says(response).hears_nothing()
    expected = [] if command == CommandId.ENQUIRE_LINK_RESP else [response.octets]
    assert [taken.octets for taken in talk.taken] == expected
    assert talk.session.unanswered == 0


def test_submit_sm_before_bind_is_refused_and_the_link_stays_up() -> None:
    esme = Conversation()
    early, request, later = submit_sm(7), bind_transmitter(8), submit_sm(9)
    esme.says(early).hears(early.reply(ESME_RINVBNDSTS))
    esme.says(request).hears(request.reply(ESME_ROK))
    esme.says(later).hears(later.reply(ESME_ROK))


@pytest.mark.parametrize(("command", "state"), [
    (CommandId.BIND_TRANSMITTER, State.BOUND_TX),
    (CommandId.BIND_RECEIVER, State.BOUND_RX),
    (CommandId.BIND_TRANSCEIVER, State.BOUND_TRX),
])  # fmt: skip
def test_a_bind_leads_to_its_state(command: CommandId, state: State) -> None:
    assert Conversation().bound(command).session.state is state


def test_a_refused_bind_may_be_tried_again() -> None:
    esme = Conversation(slow=True)
    wrong, right = bind_transmitter(1), bind_transmitter(2)
    esme.says(wrong)
    esme.session.answer(esme.taken.pop(), CommandStatus.ESME_RINVPASWD)
    esme.hears(wrong.reply(CommandStatus.ESME_RINVPASWD))
    assert esme.session.state is State.OPEN
    esme.slow = False
    esme.says(right).hears(right.reply())


@pytest.mark.parametrize("second", [
    CommandId.BIND_TRANSMITTER, CommandId.BIND_RECEIVER, CommandId.BIND_TRANSCEIVER,
])  # fmt: skip
def test_a_second_bind_is_refused_and_the_first_stands(second: CommandId) -> None:
    esme = Conversation().bound(CommandId.BIND_TRANSMITTER)
    again, text = bind(second, 2), submit_sm(3)
    esme.says(again).hears(again.reply(ESME_RALYBND))
    esme.says(text).hears(text.reply())


def test_what_follows_a_bind_waits_until_it_is_decided() -> None:
    esme = Conversation(slow=True)
    request, text = bind_transmitter(1), submit_sm(2)
    esme.says(request, text, enquire_link(3)).hears_nothing()
    assert [taken.name for taken in esme.taken] == ["bind_transmitter"]
    assert esme.session.stands
    esme.session.answer(esme.taken.pop(), ESME_ROK)
    esme.slow = False
    esme.says().hears(request.reply(), enquire_link(3).reply(), text.reply())


def test_what_follows_a_refused_bind_is_out_of_place() -> None:
    esme = Conversation(slow=True)
    request, text = bind_transmitter(1), submit_sm(2)
    esme.says(request, text)
    esme.session.answer(esme.taken.pop(), CommandStatus.ESME_RINVPASWD)
    esme.says().hears(request.reply(CommandStatus.ESME_RINVPASWD), text.reply(ESME_RINVBNDSTS))


def test_after_unbind_nothing_more_is_heard() -> None:
    esme = Conversation().bound()
    last, late = unbind(2), submit_sm(3)
    esme.says(last).hears(last.reply())
    assert esme.session.state is State.UNBOUND
    esme.says(late, enquire_link(4)).hears(late.reply(ESME_RINVBNDSTS), enquire_link(4).reply(ESME_RINVBNDSTS))


def test_an_unbind_that_is_refused_changes_nothing() -> None:
    esme = Conversation(slow=True).bound()
    esme.says(unbind(2))
    esme.session.answer(esme.taken.pop(), CommandStatus.ESME_RSYSERR)
    assert esme.session.state is State.BOUND_TRX


def test_the_answer_to_our_bind_is_the_last_of_its_list() -> None:
    """A deliver_sm in the same octets belongs to the state that the owner is about to set."""
    smsc = Conversation(FROM_SMSC, slow=True)
    number = smsc.session.request(CommandId.BIND_RECEIVER, b"shop\0pw\0\0\x34\0\0\0")
    answer, text = pdu(CommandId.BIND_RECEIVER_RESP, number, b"SMSC\0"), pdu(CommandId.DELIVER_SM, 1)
    smsc.says(answer, text)
    assert [taken.name for taken in smsc.taken] == ["bind_receiver_resp"]
    smsc.session.state = State.BOUND_RX
    smsc.says()
    assert [taken.name for taken in smsc.taken] == ["bind_receiver_resp", "deliver_sm"]


@pytest.mark.parametrize("answered", [
    CommandId.BIND_TRANSMITTER_RESP, CommandId.BIND_RECEIVER_RESP, CommandId.BIND_TRANSCEIVER_RESP,
])  # fmt: skip
def test_a_provider_that_answers_a_bind_nobody_asked_is_still_cut_by_session_init(answered: CommandId) -> None:
    esme = Conversation(timers=SessionTimers(session_init=10))
    esme.says(pdu(answered, 1)).hears_nothing()
    assert not esme.session.stands
    assert esme.after(10) is Due.CLOSE


# Windows.


def test_a_window_holds_back_what_is_beyond_it() -> None:
    esme = Conversation(slow=True, window=2).bound()
    texts = [submit_sm(number) for number in range(2, 7)]
    esme.says(*texts)
    assert [taken.sequence_number for taken in esme.taken] == [2, 3]
    assert esme.session.window_full
    esme.says()
    assert len(esme.taken) == 2
    esme.session.answer(esme.taken[1], ESME_ROK)
    esme.says().hears(texts[1].reply())
    assert [taken.sequence_number for taken in esme.taken] == [2, 3, 4]


def test_window_1_is_a_message_at_a_time() -> None:
    esme = Conversation(window=1).bound()
    texts = [submit_sm(number) for number in range(2, 30)]
    esme.says(*texts).hears(*(text.reply() for text in texts))
    assert esme.session.unanswered == 0


def test_what_has_no_answer_takes_no_place_in_the_window() -> None:
    smsc = Conversation(FROM_SMSC, slow=True, window=1)
    smsc.session.state = State.BOUND_RX
    smsc.says(*(pdu(CommandId.ALERT_NOTIFICATION, number) for number in range(3)), pdu(CommandId.DELIVER_SM, 9))
    assert [taken.sequence_number for taken in smsc.taken] == [0, 1, 2, 9]
    assert smsc.session.window_full


def test_enquire_link_takes_no_place_in_the_window() -> None:
    esme = Conversation(slow=True, window=1).bound()
    esme.says(enquire_link(2), enquire_link(3), submit_sm(4)).hears(enquire_link(2).reply(), enquire_link(3).reply())
    assert [taken.sequence_number for taken in esme.taken] == [4]


def test_without_a_window_nothing_is_held_back() -> None:
    esme = Conversation(slow=True).bound()
    esme.says(*(submit_sm(number) for number in range(200)))
    assert len(esme.taken) == 200
    assert not esme.session.window_full


def test_a_full_window_holds_back_neither_responses_nor_enquire_link() -> None:
    esme = Conversation(slow=True, window=1).bound()
    answer = pdu(CommandId.DELIVER_SM_RESP, 1, b"\0")
    esme.says(*(submit_sm(number) for number in range(2, 5)), enquire_link(6), answer, unbind(7))
    esme.hears(enquire_link(6).reply())
    assert [taken.name for taken in esme.taken] == ["submit_sm", "deliver_sm_resp"]
    for taken in list(esme.taken)[:1]:
        esme.session.answer(taken, ESME_ROK)
    esme.slow = False
    esme.taken.clear()
    esme.says()
    assert [taken.name for taken in esme.taken] == ["submit_sm", "submit_sm", "unbind"], "in the order they came"


def test_the_deliver_sms_of_an_smsc_do_not_hold_back_its_answers() -> None:
    smsc = Conversation(FROM_SMSC, slow=True, window=2)
    smsc.session.state = State.BOUND_TRX
    smsc.says(*(pdu(CommandId.DELIVER_SM, number) for number in range(9)), pdu(CommandId.SUBMIT_SM_RESP, 1, b"m\0"))
    assert [taken.name for taken in smsc.taken] == ["deliver_sm", "deliver_sm", "submit_sm_resp"]


def test_what_a_halted_session_hears_is_answers_alone() -> None:
    esme = Conversation(slow=True).bound()
    esme.session.halted = True
    esme.says(submit_sm(2), pdu(CommandId.DELIVER_SM_RESP, 1), enquire_link(3)).hears(enquire_link(3).reply())
    assert [taken.name for taken in esme.taken] == ["deliver_sm_resp"]
    assert not esme.session.may_go_on
    esme.session.halted = False
    assert esme.session.may_go_on
    esme.says()
    assert [taken.name for taken in esme.taken] == ["deliver_sm_resp", "submit_sm"]
    assert esme.session.held_octets == 0


def test_one_turn_takes_a_bounded_number_of_octets() -> None:
    esme = Conversation(slow=True).bound()
    one = submit_sm(2, b"x" * 200)
    esme.session.receive(one.octets * 100, esme.now, 1000)
    assert esme.session.taken_octets in range(1000, 1000 + len(one.octets))
    assert esme.session.held_octets == 100 * len(one.octets) - esme.session.taken_octets
    taken = 0
    while esme.session.may_go_on:
        taken += len(esme.session.receive(b"", esme.now, 1000))
    assert esme.session.unanswered == 100
    assert taken < 100


def test_requests_beyond_those_held_are_to_be_made_later() -> None:
    esme = Conversation(slow=True, window=1).bound()
    esme.says(submit_sm(2), submit_sm(3))
    esme.session.shed_status = CommandStatus.ESME_RTHROTTLED
    late, leave = submit_sm(4), unbind(5)
    esme.says(late, leave).hears(late.reply(CommandStatus.ESME_RTHROTTLED))
    esme.session.answer_held(CommandStatus.ESME_RTHROTTLED)
    esme.hears(submit_sm(3).reply(CommandStatus.ESME_RTHROTTLED), leave.reply(CommandStatus.ESME_RTHROTTLED))


# Timers.

TIMERS = SessionTimers(session_init=10, enquire_link=30, inactivity=100, response=5)


def test_a_peer_that_does_not_bind_is_cut() -> None:
    esme = Conversation(timers=TIMERS)
    assert esme.after(9.9) is Due.NOTHING
    assert esme.after(0.1) is Due.CLOSE


def test_octets_without_a_bind_do_not_help() -> None:
    """A slow-loris peer sends one octet of a bind at a time."""
    esme = Conversation(timers=TIMERS)
    for octet in bind_transmitter(1).octets[:9]:
        esme.says(bytes((octet,)))
        assert esme.after(1) is Due.NOTHING
    assert esme.after(1) is Due.CLOSE


def test_a_bind_that_is_being_decided_is_not_hurried() -> None:
    esme = Conversation(timers=TIMERS, slow=True)
    esme.says(bind_transmitter(1))
    assert esme.after(1000) is Due.NOTHING
    esme.hears_nothing()


def test_silence_is_asked_about_and_an_answer_is_life() -> None:
    esme = Conversation(timers=TIMERS).bound()
    assert esme.after(29.9) is Due.NOTHING
    esme.hears_nothing()
    assert esme.after(0.1) is Due.NOTHING
    esme.hears(enquire_link(1))
    assert esme.after(4.9) is Due.NOTHING
    esme.says(pdu(CommandId.ENQUIRE_LINK_RESP, 1)).hears_nothing()
    assert esme.after(0.1) is Due.NOTHING
    assert esme.after(29.9) is Due.NOTHING
    esme.hears(enquire_link(2))


def test_silence_after_the_question_closes_the_link() -> None:
    esme = Conversation(timers=TIMERS).bound()
    esme.after(30)
    esme.hears(enquire_link(1))
    assert esme.after(4.9) is Due.NOTHING
    assert esme.after(0.1) is Due.CLOSE


def test_the_question_is_asked_once() -> None:
    esme = Conversation(timers=TIMERS).bound()
    for _ in range(4):
        esme.after(30 if not esme.session._enquired_at else 1)
    esme.hears(enquire_link(1))


def test_an_idle_peer_is_unbound_though_it_asks_for_life() -> None:
    esme = Conversation(timers=TIMERS).bound()
    for number in range(9):
        assert esme.after(10) is Due.NOTHING
        esme.says(enquire_link(number)).hears(enquire_link(number).reply())
    assert esme.after(10) is Due.UNBIND


def test_a_request_keeps_the_session_from_being_idle() -> None:
    esme = Conversation(timers=TIMERS).bound()
    for number in range(20):
        assert esme.after(25) is Due.NOTHING
        esme.says(submit_sm(number)).hears(submit_sm(number).reply())


@pytest.mark.parametrize("state", [State.BINDING, State.UNBOUND])
def test_no_timer_runs_between_and_behind_the_bound_states(state: State) -> None:
    talk = in_state(FROM_ESME, state)
    assert talk.after(1e9) is Due.NOTHING
    talk.hears_nothing()


@pytest.mark.parametrize("state", [state for state in State if state is not State.BINDING])
def test_timers_that_are_0_are_off(state: State) -> None:
    off = SessionTimers(session_init=0, enquire_link=0, inactivity=0, response=0)
    talk = Conversation(timers=off)
    talk.session.state = state
    assert [talk.after(1e6) for _ in range(3)] == [Due.NOTHING] * 3
    talk.hears_nothing()


def test_without_a_response_timer_a_silent_peer_stays() -> None:
    esme = Conversation(timers=SessionTimers(enquire_link=30, response=0)).bound()
    assert [esme.after(100) for _ in range(5)] == [Due.NOTHING] * 5
    esme.hears(enquire_link(1))


# Octets that are no PDU.


@pytest.mark.parametrize("length", [0, 1, 15, 73_729, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_lost_boundary_is_told_behind_what_came_before(length: int) -> None:
    esme = Conversation(slow=True).bound()
    first, second = submit_sm(2), submit_sm(3)
    esme.says(first, second, length.to_bytes(4, "big") + bytes(12))
    assert [taken.octets for taken in esme.taken] == [first.octets, second.octets]
    assert isinstance(esme.session.broken, FramingError)
    assert str(length) in str(esme.session.broken)
    assert esme.session.stands
    esme.hears(encode(CommandId.GENERIC_NACK, 0, status=CommandStatus.ESME_RINVCMDLEN))
    for taken in esme.taken:
        esme.session.answer(taken, ESME_ROK)
    esme.says(submit_sm(4)).hears(first.reply(), second.reply())


def test_a_broken_length_is_known_by_its_four_octets_and_answered_under_its_number() -> None:
    nack = CommandStatus.ESME_RINVCMDLEN
    Conversation().bound().says(b"\0\0\0\x08").hears(encode(CommandId.GENERIC_NACK, 0, status=nack))
    whole = b"\0\0\0\x08" + bytes(8) + b"\0\0\0\x4d"
    Conversation().bound().says(whole).hears(encode(CommandId.GENERIC_NACK, 77, status=nack))


def test_what_a_full_window_held_back_before_a_lost_boundary_is_taken() -> None:
    esme = Conversation(slow=True, window=1).bound()
    esme.says(submit_sm(2), submit_sm(3), b"\0\0\0\1" + bytes(12))
    assert esme.session.broken is not None
    assert not esme.session.stands
    esme.session.answer(esme.taken[0], ESME_ROK)
    esme.says(submit_sm(4))
    assert [taken.sequence_number for taken in esme.taken] == [2, 3]
    assert esme.session.stands


def test_a_lost_link_keeps_no_octets() -> None:
    esme = Conversation().bound()
    esme.says(bytes(100_000))
    assert esme.session.broken is not None
    assert not esme.session._received


def test_a_limit_of_ones_own() -> None:
    text = submit_sm(2, b"x" * 100)
    esme = Conversation(max_pdu_octets=len(text.octets)).bound()
    esme.says(text).hears(text.reply())
    esme.says(submit_sm(3, b"x" * 101)).hears(encode(CommandId.GENERIC_NACK, 3, status=CommandStatus.ESME_RINVCMDLEN))
    assert esme.session.broken is not None


@given(
    st.lists(st.one_of(st.integers(1, 6).map(submit_sm), st.integers(1, 6).map(enquire_link)), max_size=8),
    st.lists(st.integers(0, 1000), max_size=8),
    st.integers(0, 3),
)
def test_however_the_stream_is_cut_the_same_is_heard(requests: list[Pdu], places: list[int], window: int) -> None:
    esme = Conversation(window=window).bound()
    octets = b"".join(request.octets for request in requests)
    ends = sorted({place % (len(octets) + 1) for place in places} | {len(octets)})
    for start, end in zip([0, *ends], ends, strict=False):
        esme.says(octets[start:end])
    expected = sorted(request.reply() for request in requests)
    heard = bytearray(esme.session.bytes_to_send())
    assert sorted(heard[at : at + 16] for at in range(0, len(heard), 16)) == expected
    texts = [request.octets for request in requests if request.command_id == CommandId.SUBMIT_SM]
    assert [taken.octets for taken in esme.taken] == texts


@given(st.binary(max_size=400))
def test_no_octets_of_a_peer_raise(octets: bytes) -> None:
    Conversation().says(octets)
    Conversation().bound().says(octets)


# Numbers and octets of our own.


def test_sequence_numbers_wrap_to_1() -> None:
    session = Session(FROM_SMSC, 0.0)
    session._next_sequence = MAX_SEQUENCE_NUMBER - 2
    numbers = [session.next_sequence(), session.request(CommandId.UNBIND), session.relay(submit_sm(5))]
    assert numbers == [MAX_SEQUENCE_NUMBER - 1, MAX_SEQUENCE_NUMBER, 1]
    session._next_sequence = MAX_SEQUENCE_NUMBER
    assert session.relay(submit_sm(5)) == 1


STRANGE = [
    pytest.param(b"", id="no-tlvs"),
    pytest.param(encode_tlv(0x1400, b"vendor") + encode_tlv(0x3FFF, b"\0\xff"), id="unknown"),
    pytest.param(encode_tlv(0x0204, b"") + encode_tlv(0x1401, b""), id="zero-length"),
    pytest.param(encode_tlv(0x0424, b"\xff" * 65_535), id="payload-65535"),
    pytest.param(b"\1", id="half-a-tlv"),
]


@pytest.mark.parametrize("behind", STRANGE)
def test_relaying_changes_the_number_and_nothing_else(behind: bytes) -> None:
    text = submit_sm(77, tlvs=behind)
    session = Session(FROM_SMSC, 0.0)
    number = session.relay(text)
    sent = session.bytes_to_send()
    assert sent[:12] == text.octets[:12]
    assert int.from_bytes(sent[12:16], "big") == number
    assert sent[16:] == text.octets[16:]


@given(st.binary(max_size=300), st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF))
def test_a_renumbered_pdu_is_the_same_to_the_octet(body: bytes, command_id: int, before: int, after: int) -> None:
    original = encode(command_id, before, body)
    changed = Pdu.from_octets(original).numbered(after)
    assert changed == original[:12] + after.to_bytes(4, "big") + original[16:]


def test_many_pdus_are_one_write() -> None:
    esme = Conversation().bound()
    texts = [submit_sm(number) for number in range(2, 100)]
    esme.says(*texts)
    assert esme.session.bytes_to_send() == b"".join(text.reply() for text in texts)
    assert esme.session.bytes_to_send() == b""
