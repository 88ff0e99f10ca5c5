"""The simulated SMSC against our own codec and against a client nobody here wrote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial, wraps
from pathlib import Path

import pytest

from smsc_filter.lab.clients import Answer, ClientError, SmpplibSession, TextPart
from smsc_filter.lab.journal import read_journal
from smsc_filter.lab.simulator import ID_FORMATS, Simulator, SimulatorOptions
from smsc_filter.smpp.codec import encode, encode_bind, encode_submit
from smsc_filter.smpp.constants import CommandId, CommandStatus, DataCoding, EsmClass, TlvTag
from smsc_filter.smpp.pdu import HEADER, Pdu
from smsc_filter.smpp.session import BINDS
from smsc_filter.smpp.tlv import read_tlvs


def awaited(test: Callable[..., Coroutine[object, object, None]]) -> Callable[..., None]:
    """Run a test in a loop of its own, for at most ten seconds."""

    @wraps(test)
    def run(*args: object, **kwargs: object) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 10))

    return run


class Conversation:
    """A peer that says octets and hears PDUs."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def says(self, *octets: bytes) -> None:
        self.writer.write(b"".join(octets))

    async def hears(self) -> Pdu:
        head = await self.reader.readexactly(16)
        return Pdu.from_octets(head + await self.reader.readexactly(HEADER.unpack(head)[0] - 16))

    async def binds(self, command_id: int = CommandId.BIND_TRANSCEIVER, system_id: bytes = b"esme") -> Pdu:
        self.says(encode_bind(command_id, 1, system_id, b"secret"))
        return await self.hears()


@asynccontextmanager
async def conversation(smsc: Simulator) -> AsyncIterator[Conversation]:
    reader, writer = await asyncio.open_connection("127.0.0.1", smsc.port)
    try:
        yield Conversation(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()


def options(**values: object) -> SimulatorOptions:
    return SimulatorOptions(port=0, **values)  # type: ignore[arg-type]


def submit(number: int, text: bytes = b"hello", **fields: int) -> bytes:
    return encode_submit(number, b"1069", b"8615420000000", text, **fields)


@pytest.mark.parametrize("command_id", [pytest.param(each, id=CommandId(each).name.lower()) for each in BINDS])
@awaited
async def test_every_kind_of_bind_is_answered_with_its_own_response(command_id: int) -> None:
    async with Simulator() as smsc, conversation(smsc) as esme:
        answer = await esme.binds(command_id)
        assert (answer.command_id, answer.command_status) == (command_id | 0x80000000, CommandStatus.ESME_ROK)
        assert read_tlvs(answer.octets, answer.octets.index(b"\0", 16) + 1) == [(TlvTag.SC_INTERFACE_VERSION, b"\x34")]


@pytest.mark.parametrize(
    ("set_up", "status"),
    [
        pytest.param({"system_id": "other"}, CommandStatus.ESME_RINVSYSID, id="system-id"),
        pytest.param({"password": "other"}, CommandStatus.ESME_RINVPASWD, id="password"),
    ],
)
@awaited
async def test_a_bind_that_does_not_know_the_account_is_refused(set_up: dict[str, str], status: int) -> None:
    async with Simulator(options(**set_up)) as smsc, conversation(smsc) as esme:
        assert (await esme.binds()).command_status == status
        esme.says(submit(2))
        assert (await esme.hears()).command_status == CommandStatus.ESME_RINVBNDSTS


@awaited
async def test_submit_sm_is_answered_in_order_however_the_stream_is_cut() -> None:
    octets = b"".join(submit(number, b"text %d" % number) for number in range(2, 22))
    for step in (1, 7, 100, len(octets)):
        async with Simulator() as smsc, conversation(smsc) as esme:
            await esme.binds()
            for start in range(0, len(octets), step):
                esme.says(octets[start : start + step])
                await esme.writer.drain()
            answers = [await esme.hears() for _ in range(20)]
            assert [answer.sequence_number for answer in answers] == list(range(2, 22))
            assert len({answer.body for answer in answers}) == 20
            assert b"".join(smsc.received) == octets


@pytest.mark.parametrize(
    ("command_id", "body"),
    [
        pytest.param(CommandId.ENQUIRE_LINK, b"", id="enquire_link"),
        pytest.param(CommandId.UNBIND, b"", id="unbind"),
        pytest.param(CommandId.CANCEL_SM, b"\0" * 5 + b"\0\0" + b"8610\0", id="cancel_sm"),
        pytest.param(CommandId.DATA_SM, b"\0\0\0a\0\0\0b\0\0\0\0", id="data_sm"),
        pytest.param(
            CommandId.SUBMIT_MULTI,
            b"\0\0\0a\0\x02\x01\x01\x018610\0\x02list\0" + b"\0" * 9 + b"\x02hi",
            id="submit_multi",
        ),
    ],
)
@awaited
async def test_other_requests_are_answered(command_id: int, body: bytes) -> None:
    async with Simulator() as smsc, conversation(smsc) as esme:
        await esme.binds()
        esme.says(encode(command_id, 7, body))
        answer = await esme.hears()
        assert (answer.command_id, answer.sequence_number) == (command_id | 0x80000000, 7)
        assert answer.command_status == CommandStatus.ESME_ROK


@pytest.mark.parametrize("id_format", list(ID_FORMATS))
@awaited
async def test_a_message_can_be_queried_and_replaced_by_its_id_and_by_no_other(id_format: str) -> None:
    async with Simulator(options(id_format=id_format)) as smsc, conversation(smsc) as esme:
        await esme.binds()
        esme.says(submit(2))
        message_id = (await esme.hears()).body
        replacing = b"\0\0a\0\0\0\0\0\x02hi"
        esme.says(
            encode(CommandId.QUERY_SM, 3, message_id + b"\0\0a\0"),
            encode(CommandId.QUERY_SM, 4, b"77\0\0\0a\0"),
            encode(CommandId.REPLACE_SM, 5, message_id + replacing),
            encode(CommandId.REPLACE_SM, 6, b"77\0" + replacing),
        )
        answers = [await esme.hears() for _ in range(4)]
        assert [answer.command_status for answer in answers] == [0, CommandStatus.ESME_RINVMSGID] * 2
        assert answers[0].body.startswith(message_id)


@awaited
async def test_a_receipt_follows_its_response_only_where_it_was_asked_for() -> None:
    async with Simulator(options(receipts=True)) as smsc, conversation(smsc) as esme:
        await esme.binds()
        esme.says(submit(2), submit(3, registered_delivery=1))
        heard = [await esme.hears() for _ in range(3)]
        assert [pdu.name for pdu in heard] == ["submit_sm_resp", "submit_sm_resp", "deliver_sm"]
        fields, message_id = heard[2].fields(), heard[1].body[:-1]
        assert fields["esm_class"] == EsmClass.DELIVERY_RECEIPT
        assert (fields["source_addr"], fields["destination_addr"]) == (b"8615420000000", b"1069")
        assert b"id:%b sub:001 dlvrd:001" % message_id in heard[2].octets
        assert b"stat:DELIVRD err:000 text:hello" in heard[2].octets
        esme.says(heard[2].reply(body=b"\0"), encode(CommandId.ENQUIRE_LINK, 4))
        await esme.hears()
        assert smsc.links[0].answers == {CommandStatus.ESME_ROK: 1}


@awaited
async def test_a_reply_waits_for_a_receiver_and_keeps_its_alphabet() -> None:
    async with Simulator() as smsc:
        smsc.deliver("8615420000000", "1069", "退订")
        async with conversation(smsc) as transmitter, conversation(smsc) as receiver:
            await transmitter.binds(CommandId.BIND_TRANSMITTER)
            await receiver.binds(CommandId.BIND_RECEIVER)
            smsc.deliver("8615420000000", "1069", "TD")
            first, second = await receiver.hears(), await receiver.hears()
            assert first.fields()["data_coding"] == DataCoding.UCS2
            assert first.octets.endswith("退订".encode("utf-16-be"))
            assert second.octets.endswith(b"\x02TD")


@awaited
async def test_refused_and_silent_messages_are_not_in_the_journal(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    refusing = options(refuse_rate=1.0, refuse_status=CommandStatus.ESME_RSYSERR, journal=journal)
    async with Simulator(refusing) as smsc, conversation(smsc) as esme:
        await esme.binds()
        esme.says(submit(2))
        assert (await esme.hears()).command_status == CommandStatus.ESME_RSYSERR
        assert smsc.received == [submit(2)]
    async with Simulator(options(silent_rate=1.0, journal=journal)) as smsc, conversation(smsc) as esme:
        await esme.binds()
        esme.says(submit(2), encode(CommandId.ENQUIRE_LINK, 3))
        assert (await esme.hears()).name == "enquire_link_resp"
    assert list(read_journal(journal)) == []


@awaited
async def test_the_journal_holds_every_accepted_message_and_its_id(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    heard = []
    for _ in range(2):  # a simulator that comes back goes on with it
        async with Simulator(options(journal=journal)) as smsc, conversation(smsc) as esme:
            await esme.binds()
            esme.says(*(submit(number) for number in range(2, 12)))
            heard += [(await esme.hears()).body[:-1] for _ in range(10)]
    entries = list(read_journal(journal))
    assert [entry.message_id for entry in entries] == heard
    assert [entry.octets for entry in entries] == [submit(number) for number in range(2, 12)] * 2
    assert len(set(heard)) == 20


@awaited
async def test_answers_wait_for_the_latency_and_keep_their_order() -> None:
    async with Simulator(options(latency_ms=30)) as smsc, conversation(smsc) as esme:
        await esme.binds()
        began = asyncio.get_running_loop().time()
        esme.says(submit(2))
        await asyncio.sleep(0)
        esme.says(submit(3))
        assert [(await esme.hears()).sequence_number for _ in range(2)] == [2, 3]
        assert asyncio.get_running_loop().time() - began >= 0.029


@awaited
async def test_a_stream_without_boundaries_is_answered_and_closed() -> None:
    async with Simulator() as smsc, conversation(smsc) as esme:
        await esme.binds()
        esme.says(submit(2), b"\0\0\0\x03rubbish_rubbish_rubbish")
        assert (await esme.hears()).name == "submit_sm_resp"
        assert (await esme.hears()).name == "generic_nack"
        assert await esme.reader.read() == b""


@awaited
async def test_a_peer_that_does_not_read_is_not_read() -> None:
    async with Simulator() as smsc, conversation(smsc) as esme:
        await esme.binds()
        chunk = b"".join(submit(number) for number in range(1000))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                for _ in range(2000):
                    esme.says(chunk)
                    await esme.writer.drain()
        assert smsc.accepted < 2_000_000
        esme.writer.transport.abort()


def test_smpplib_binds_sends_and_hears_a_refusal() -> None:
    async def converse() -> None:
        async with Simulator(options(system_id="esme", password="secret")) as smsc:
            heard: list[Answer] = []

            def send() -> None:
                with SmpplibSession("127.0.0.1", smsc.port, "esme", "secret", window=3) as session:
                    for number in range(10):
                        session.send("1069", "8615420000000", TextPart(b"text %d" % number, 0), heard.append)
                    session.await_answers()

            await asyncio.to_thread(send)
            assert [answer.status for answer in heard] == [CommandStatus.ESME_ROK] * 10
            assert [answer.body for answer in heard] == [octets[16:] for octets in smsc.received]
            wrong = partial(SmpplibSession, "127.0.0.1", smsc.port, "esme", "wrong")
            with pytest.raises(ClientError, match="refused with ESME_RINVPASWD"):
                await asyncio.to_thread(wrong)

    asyncio.run(asyncio.wait_for(converse(), 10))
