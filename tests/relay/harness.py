"""What the end-to-end tests are made of: a relay as a process, and both its neighbours as bare sockets.

Everything here blocks and every wait has a deadline, so a test reads as a conversation and never hangs.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from smsc_filter.smpp.codec import encode_bind, encode_submit
from smsc_filter.smpp.constants import HEADER_OCTETS, RESPONSE_BIT, CommandId
from smsc_filter.smpp.pdu import Pdu
from smsc_filter.smpp.session import BINDS
from smsc_filter.sms.coding import encode_text

SECONDS = 15.0
"""The patience of everything that is expected to happen; the machine may be busy with other things."""

START_SECONDS = 60.0

SHOP = ("shop", "shop-pw")
BANK = ("bank", "bank-pw")
PEOPLE = ("people", "ppl-pw")

CODE = "Your verification code is 428913. It is valid for 5 minutes. Do not share it."
ADVERTISEMENT = "【云上商城】周末全场五折，满200减50，快来抢购！拒收请回复TD"
WISH = "新年快乐！祝你和家人身体健康，万事如意"

ACCOUNTS: tuple[dict[str, Any], ...] = (
    {"system_id": "shop", "password": "shop-pw", "owner": "shop-ltd", "max_binds": 1000},
    {"system_id": "bank", "password": "bank-pw", "owner": "bank-ltd", "max_binds": 1000},
    {"system_id": "people", "password": "ppl-pw", "owner": "mobile", "max_binds": 1000},
)
SENDERS: tuple[dict[str, Any], ...] = (
    {"address": "10690*", "owner": "shop-ltd", "purpose": "commercial"},
    {"address": "10692*", "owner": "bank-ltd", "purpose": "service"},
    {"address": "861390000*", "owner": "mobile", "purpose": "person"},
)
SHOP_SENDER, BANK_SENDER, PERSON = b"106900001", b"106920001", b"8613900000001"

NO_CONSENT, CONSENT_REFUSED, WRONG_PURPOSE, UNKNOWN_SENDER = 0x0410, 0x0411, 0x0404, 0x0401


def wait_until(condition: Callable[[], Any], what: str, seconds: float = SECONDS) -> Any:
    """The first true value of ``condition``, or an assertion that says ``what`` did not happen."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"within {seconds:g} s: {what}"
        time.sleep(0.01)
    return value


def message(source: bytes, destination: bytes, text: str, number: int = 1, **fields: Any) -> bytes:
    """A submit_sm with ``text`` in the coding that fits it."""
    octets, data_coding = encode_text(text)
    return encode_submit(number, source, destination, octets, data_coding=data_coding, **fields)


def renumbered(octets: bytes, number: int) -> bytes:
    """The same PDU under another sequence_number."""
    return octets[:12] + number.to_bytes(4, "big") + octets[16:]


class Wire:
    """One end of a TCP stream that carries PDUs."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self.received = bytearray()

    def send(self, octets: bytes) -> None:
        """Write everything."""
        self.stream.sendall(octets)

    def pdu(self, seconds: float = SECONDS) -> Pdu:
        """The next PDU.

        Raises:
            TimeoutError: none comes.
            EOFError: the peer has closed.
        """
        deadline = time.monotonic() + seconds
        while True:
            if len(self.received) >= HEADER_OCTETS:
                length = int.from_bytes(self.received[:4], "big")
                if len(self.received) >= length:
                    octets = bytes(self.received[:length])
                    del self.received[:length]
                    return Pdu.from_octets(octets)
            self.stream.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self.stream.recv(1 << 18)
            except ConnectionError as error:
                raise EOFError(str(error)) from error
            if not data:
                raise EOFError("closed")
            self.received += data

    def close(self) -> None:
        """Hang up."""
        self.stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Esme(Wire):
    """A provider that says exactly what a test wants."""

    def __init__(self, port: int, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        stream = socket.create_connection((host, port), timeout=SECONDS)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            try:
                stream = tls.wrap_socket(stream, server_hostname="localhost")
            except BaseException:
                stream.close()
                raise
        super().__init__(stream)
        self.numbers = 0
        self.unasked: list[Pdu] = []
        """What came while an answer was awaited."""

    @classmethod
    def bound(
        cls, port: int, account: tuple[str, str], command_id: int = CommandId.BIND_TRANSCEIVER, **options: Any
    ) -> Esme:
        """A provider whose bind stands."""
        esme = cls(port, **options)
        try:
            status = esme.bind(account, command_id).command_status
            assert status == 0, f"bind of {account[0]}: 0x{status:x}"
        except BaseException:
            esme.close()
            raise
        return esme

    def bind(self, account: tuple[str, str], command_id: int = CommandId.BIND_TRANSCEIVER, version: int = 0x34) -> Pdu:
        """Ask for a bind; the answer."""
        name, password = (word.encode() for word in account)
        return self.ask(encode_bind(command_id, 0, name, password, interface_version=version))

    def ask(self, octets: bytes, seconds: float = SECONDS) -> Pdu:
        """Send a request under the next number; its answer."""
        self.numbers += 1
        self.send(renumbered(octets, self.numbers))
        return self.answer(self.numbers, seconds)

    def answer(self, number: int, seconds: float = SECONDS) -> Pdu:
        """The answer to request ``number``; what else comes is kept in ``unasked``."""
        deadline = time.monotonic() + seconds
        while True:
            pdu = self.pdu(deadline - time.monotonic())
            if pdu.command_id & RESPONSE_BIT and pdu.sequence_number == number:
                return pdu
            if pdu.command_id == CommandId.ENQUIRE_LINK:
                self.send(pdu.reply())
            else:
                self.unasked.append(pdu)

    def submit(self, source: bytes, destination: bytes, text: str, **fields: Any) -> int:
        """Send a text; the command_status of the answer."""
        return self.ask(message(source, destination, text, **fields)).command_status

    def next_request(self, seconds: float = SECONDS) -> Pdu:
        """What the peer asks next."""
        if self.unasked:
            return self.unasked.pop(0)
        while (pdu := self.pdu(seconds)).command_id == CommandId.ENQUIRE_LINK:
            self.send(pdu.reply())
        return pdu

    def hears_the_end(self, seconds: float = SECONDS) -> bool:
        """Whether the peer closes; what it still says is kept in ``unasked``."""
        try:
            while True:
                self.unasked.append(self.pdu(seconds))
        except EOFError:
            return True
        except TimeoutError:
            return False


class SmscLink(Wire):
    """One connection of the relay, as the SMSC has it."""

    def __init__(self, stream: socket.socket, smsc: Smsc) -> None:
        super().__init__(stream)
        self.smsc = smsc
        self.bind: Pdu | None = None
        self.system_id = ""
        self.unbound = False
        self.open = True
        self.numbers = 0

    def request(self, octets: bytes) -> int:
        """Ask the relay something under the next number, which is returned."""
        self.numbers += 1
        self.send(renumbered(octets, self.numbers))
        return self.numbers

    def run(self) -> None:
        """Answer until the relay hangs up."""
        smsc = self.smsc
        with contextlib.suppress(OSError, EOFError, TimeoutError):
            while True:
                pdu = self.pdu(3600)
                answer = smsc.answer(self, pdu)
                smsc.note(self, pdu)
                if answer:
                    self.send(answer)
        self.open = False
        self.close()


Answer = Callable[[Pdu], bytes | None]


class Smsc:
    """An SMSC that keeps everything it hears; ``answers`` says what a command is answered, None for silence."""

    def __init__(self, port: int = 0, *, tls: ssl.SSLContext | None = None) -> None:
        self.answers: dict[int, Answer] = {}
        self.heard: list[tuple[SmscLink, Pdu]] = []
        self.links: list[SmscLink] = []
        self._tls = tls
        self._changed = threading.Condition()
        self._ids = 0
        self._threads: list[threading.Thread] = []
        self._listening: socket.socket | None = None
        self.port = port
        self.start()

    def start(self) -> None:
        """Listen, again on the same port if it is not the first time."""
        self._listening = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self.port = self._listening.getsockname()[1]
        self._spawn(self._accept, self._listening)

    def _spawn(self, run: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                stream, _ = listening.accept()
                if self._tls is not None:
                    try:
                        stream = self._tls.wrap_socket(stream, server_side=True)
                    except OSError:
                        stream.close()
                        continue
                stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                link = SmscLink(stream, self)
                self.links.append(link)
                self._spawn(link.run)

    def answer(self, link: SmscLink, pdu: Pdu) -> bytes | None:
        """What the relay hears to ``pdu``."""
        if pdu.command_id in BINDS:
            link.bind = pdu
            link.system_id = pdu.body[: pdu.body.find(b"\0")].decode()
        if pdu.command_id in self.answers:
            return self.answers[pdu.command_id](pdu)
        if pdu.command_id & RESPONSE_BIT:
            return None
        if pdu.command_id in BINDS:
            return pdu.reply(body=b"test-smsc\0")
        if pdu.command_id == CommandId.UNBIND:
            link.unbound = True
            return pdu.reply()
        if pdu.command_id in (CommandId.ENQUIRE_LINK, CommandId.CANCEL_SM, CommandId.REPLACE_SM):
            return pdu.reply()
        with self._changed:
            self._ids += 1
            message_id = b"m-%06d\0" % self._ids
        return pdu.reply(body=message_id + (b"\0" if pdu.command_id == CommandId.SUBMIT_MULTI else b""))

    def note(self, link: SmscLink, pdu: Pdu) -> None:
        """Keep what was heard."""
        with self._changed:
            self.heard.append((link, pdu))
            self._changed.notify_all()

    def requests(self) -> list[Pdu]:
        """What was asked, binds and link keeping left out."""
        keeping = {*BINDS, CommandId.ENQUIRE_LINK, CommandId.UNBIND}
        with self._changed:
            return [pdu for _, pdu in self.heard if not pdu.command_id & RESPONSE_BIT and pdu.command_id not in keeping]

    def hears(self, count: int, since: int = 0, seconds: float = SECONDS) -> list[Pdu]:
        """Wait for ``count`` requests behind the first ``since``."""
        wait_until(lambda: len(self.requests()) >= since + count, f"the SMSC hears {count} requests", seconds)
        return self.requests()[since : since + count]

    def hears_response(self, number: int, link: SmscLink) -> Pdu:
        """Wait for the response to request ``number`` of ``link``."""

        def found() -> Pdu | None:
            with self._changed:
                return next(
                    (
                        pdu
                        for its, pdu in self.heard
                        if its is link and pdu.command_id & RESPONSE_BIT and pdu.sequence_number == number
                    ),
                    None,
                )

        return wait_until(found, f"a response to {number}")

    def forget(self) -> None:
        """Keep nothing of what was heard so far."""
        with self._changed:
            self.heard.clear()

    def link(self, system_id: str) -> SmscLink:
        """The newest open connection of an account."""
        return wait_until(
            lambda: next((each for each in reversed(self.links) if each.open and each.system_id == system_id), None),
            f"a connection of {system_id}",
        )

    def stop(self) -> None:
        """Hang up and listen no more."""
        if self._listening is not None:
            # A close alone leaves a thread in accept() waiting.
            with contextlib.suppress(OSError):
                self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
            self._listening = None
        for link in self.links:
            with contextlib.suppress(OSError):
                link.stream.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(SECONDS)
        self._threads.clear()
        self.links.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def end_with_parent(parent: int) -> None:
    """In a new child: ask the kernel for SIGKILL when the tests die, so that nothing outlives them."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


class Process:
    """``python -m`` something that says "listening on HOST:PORT"."""

    def __init__(self, name: str, folder: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self.folder = folder
        self.port = 0
        self.arguments = tuple(arguments)
        self.environment = dict(environment)
        self.process: subprocess.Popen[bytes] | None = None
        self.log_path = folder / f"{name}.log"
        self._stdin: int | None = None

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> Self:
        """Start it and wait until it listens."""
        parent = os.getpid()
        said = self.folder / f"{self.name}.out"
        said.unlink(missing_ok=True)
        with self.log_path.open("ab") as log, said.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.arguments],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=log,
                env={**os.environ, **self.environment},
                start_new_session=True,
                preexec_fn=lambda: end_with_parent(parent),
            )
        deadline = time.monotonic() + START_SECONDS
        while b"\n" not in (line := said.read_bytes()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"{self.name} did not start:\n{self.log()}")
            time.sleep(0.02)
        self.port = int(line.decode().splitlines()[0].rpartition(":")[2])
        return self

    def log(self) -> str:
        """What it has said on stderr."""
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""

    def said(self) -> str:
        """What it has said on stdout."""
        return (self.folder / f"{self.name}.out").read_text(encoding="utf-8")

    def ends(self, seconds: float = 30.0) -> int:
        """Wait for its end; the exit status."""
        assert self.process is not None
        assert self.process.stdin is not None
        status = self.process.wait(seconds)
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process = None
        return status

    def stop(self, seconds: float = 30.0) -> int:
        """End it by SIGTERM; its exit status."""
        if self.process is None:
            return 0
        os.kill(self.pid, signal.SIGTERM)
        try:
            return self.ends(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop:\n{self.log()[-4000:]}") from None

    def kill(self) -> None:
        """End it by SIGKILL."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.ends()


def table(name: str, values: Mapping[str, Any]) -> list[str]:
    """A TOML table; JSON writes its values alike."""
    return [name, *(f"{key} = {json.dumps(value)}" for key, value in values.items())]


class Relay(Process):
    """``smsc-filter serve`` on a free port, with a folder of its own."""

    def __init__(
        self,
        folder: Path,
        smsc_port: int,
        *,
        accounts: Sequence[Mapping[str, Any]] = ACCOUNTS,
        senders: Sequence[Mapping[str, Any]] = SENDERS,
        environment: Mapping[str, str] | None = None,
        **sections: Mapping[str, Any],
    ) -> None:
        self.config = folder / "smsc-filter.toml"
        settings: dict[str, dict[str, Any]] = {
            "listen": {"host": "127.0.0.1", "port": 0},
            "upstream": {"host": "127.0.0.1", "port": smsc_port, "reconnect_first": 0.05, "reconnect_most": 0.2},
            "web": {"port": 0},
            # What is granted and upheld in a test is no case for the models of this project.
            "model": {"cases": str(folder / "cases"), "labels": str(folder / "labels")},
        }
        for name, values in sections.items():
            settings.setdefault(name, {}).update(values)
        lines = [f"data_dir = {json.dumps(str(folder))}"]
        for name, values in settings.items():
            lines += table(f"[{name}]", values)
        for account in accounts:
            lines += table("[[accounts]]", account)
        for sender in senders:
            lines += table("[[senders]]", sender)
        self.config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        super().__init__("relay", folder, ("smsc_filter", "serve", "--config", str(self.config)), environment or {})

    def children(self, role: str) -> list[int]:
        """Ids of the workers, the recorder or the store."""
        return [pid for pid in descendants(self.pid) if role in words_of(pid)]

    @property
    def workers(self) -> list[int]:
        """Ids of the workers."""
        return self.children("worker")

    @property
    def family(self) -> list[int]:
        """Ids of everything that it started."""
        return descendants(self.pid)

    def command(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a verb of ``smsc-filter`` on this configuration."""
        return subprocess.run(
            [sys.executable, "-m", "smsc_filter", *arguments, "--config", str(self.config)],
            capture_output=True,
            check=False,
            text=True,
            input=stdin,
            timeout=START_SECONDS,
        )

    def consents(self, *lines: str) -> None:
        """Import ``recipient,owner,state`` lines by the command line."""
        path = self.folder / "consents.csv"
        path.write_text("\n".join(("recipient,owner,state", *lines)) + "\n", encoding="utf-8")
        done = self.command("consent", "import", str(path))
        assert done.returncode == 0, done.stdout + done.stderr

    def records(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the records of law."""
        with contextlib.closing(
            sqlite3.connect(f"file:{self.folder / 'records.sqlite3'}?mode=ro", uri=True, timeout=SECONDS)
        ) as records:
            return records.execute(query, values).fetchall()

    def decisions(self, recipient: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait for ``count`` decisions on a recipient, oldest first."""
        columns = ("id", "source", "cause", "command_status", "enforced", "score", "kind", "part", "text", "worker")

        def found() -> list[tuple[Any, ...]] | None:
            rows = self.records(
                f"select {', '.join(columns)} from decisions where recipient = ? order by id", recipient
            )
            return rows if len(rows) >= count else None

        return [dict(zip(columns, row, strict=True)) for row in wait_until(found, f"{count} decisions of {recipient}")]


def words_of(pid: int) -> list[str]:
    """The command line of a process; empty when it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    return []


def descendants(pid: int) -> list[int]:
    """Children of a process, and theirs."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += (int(child), *descendants(int(child)))
    return found


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def rss_octets(pid: int) -> int:
    """Memory a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for the name of a unix socket."""
    with tempfile.TemporaryDirectory(prefix="sf-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
