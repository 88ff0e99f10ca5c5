"""One TOML file and the environment: what they say, and one line about what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from smsc_filter.policy.facts import Facts, Window
from smsc_filter.policy.rules import profile_names, read_profile
from smsc_filter.settings import Settings, SettingsError, read_settings

CONTRACT = """
data_dir = "var"
[listen]
host = "127.0.0.1"
port = 2775
tls_cert = ""
workers = 1
[upstream]
host = "127.0.0.1"
port = 2776
[state]
redis_url = ""
partitions = 1
[records]
database_url = ""
[web]
host = "127.0.0.1"
port = 8080
[policy]
profile = "cn-2020-draft"
mode = "enforce"
status_style = "vendor"
[model]
path = "models/default"
"""
"""Every key of the outside contract at its default."""

ACCOUNT = '[[accounts]]\nsystem_id = "shop"\npassword = "secret"\nowner = "shop-ltd"\n'
OWNER = '[[owners]]\nowner = "shop-ltd"\n'
SENDER = '[[senders]]\naddress = "106900001"\nowner = "shop-ltd"\npurpose = "commercial"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "smsc-filter.toml"


def read(file: Path, text: str, environment: Mapping[str, str] | None = None) -> Settings:
    file.write_text(text, encoding="utf-8")
    return read_settings(file, environment or {})


def test_every_key_has_a_default() -> None:
    settings = read_settings(None, {})
    assert (settings.listen.port, settings.upstream.port, settings.policy.mode) == (2775, 2776, "enforce")
    assert settings.accounts == settings.senders == ()


def test_the_contract_is_the_defaults(file: Path) -> None:
    assert read(file, CONTRACT) == read_settings(None, {})


def test_accounts_and_senders(file: Path) -> None:
    settings = read(file, ACCOUNT + 'max_binds = 3\nallow_from = ["10.0.0.0/8", "::1/128"]\n' + SENDER)
    (account,), (sender,) = settings.accounts, settings.senders
    assert (account.system_id, account.owner, account.max_binds) == ("shop", "shop-ltd", 3)
    assert [str(network) for network in account.allow_from] == ["10.0.0.0/8", "::1/128"]
    assert (sender.address, sender.purpose) == ("106900001", "commercial")
    assert settings.owners == ["shop-ltd"]


@pytest.mark.parametrize(("name", "value", "place", "expected"), [
    ("SMSC_FILTER_LISTEN__PORT", "2999", "listen.port", 2999),
    ("SMSC_FILTER_POLICY__MODE", "observe", "policy.mode", "observe"),
    ("SMSC_FILTER_STATE__TIMEOUT", "0.5", "state.timeout", 0.5),
    ("SMSC_FILTER_UPSTREAM__TLS", "true", "upstream.tls", True),
    ("SMSC_FILTER_DATA_DIR", "/srv/data", "data_dir", Path("/srv/data")),
    ("SMSC_FILTER_POLICY__THRESHOLDS__PERSON", "0.9", "policy.thresholds", {"person": 0.9}),
])  # fmt: skip
def test_the_environment_overrides_the_file(file: Path, name: str, value: str, place: str, expected: object) -> None:
    found: object = read(file, CONTRACT, {name: value, "PATH": "/bin", "smsc_filter_web__port": "1"})
    for step in place.split("."):
        found = getattr(found, step)
    assert found == expected


def test_the_level_of_the_log_is_no_setting_of_the_file(file: Path) -> None:
    assert read(file, CONTRACT, {"SMSC_FILTER_LOG": "debug"}) == read_settings(None, {})


@pytest.mark.parametrize(("text", "complaint"), [
    pytest.param("lisen = 1", "lisen is not a setting; allowed are data_dir, node, listen,", id="an-unknown-section"),
    pytest.param(
        "[state]\nredis = 1", "state.redis is not a setting; allowed are redis_url, partitions, fsync, timeout,",
        id="an-unknown-key",
    ),
    pytest.param(
        ACCOUNT + "port = 1", "accounts.0.port is not a setting; allowed are system_id, owner, password,",
        id="an-unknown-key-of-an-account",
    ),
    pytest.param(
        SENDER + "cap = 1", "senders.0.cap is not a setting; allowed are address, owner, purpose, hour_cap,",
        id="an-unknown-key-of-a-sender",
    ),
    pytest.param("[listen]\nport = 70000", "listen.port = 70000: input should be less than or equal to 6", id="port"),
    pytest.param('[listen]\nport = "smpp"', "listen.port = 'smpp': input should be a valid integer", id="no-number"),
    pytest.param('[policy]\nmode = "off"', "policy.mode = 'off': input should be 'enforce' or 'observe'", id="mode"),
    pytest.param(
        '[policy]\nprofile = "us"', f"policy: profile 'us' is none of {', '.join(profile_names())}", id="profile"
    ),
    pytest.param("[policy.thresholds]\nperson = 2", "policy.thresholds.person = 2: input should", id="threshold"),
    pytest.param("[state]\ntimeout = 0", "state.timeout = 0: input should be greater than 0", id="timeout"),
    pytest.param('[[senders]]\naddress = "1"\nowner = "a"', "senders.0.purpose is missing", id="missing"),
    pytest.param(
        ACCOUNT + OWNER + "cap = 1", "owners.0.cap is not a setting; allowed are owner, minute_cap, hour_cap,",
        id="an-unknown-key-of-an-owner",
    ),
    pytest.param(ACCOUNT + OWNER + OWNER, "owners: owner shop-ltd stands more than once", id="an-owner-twice"),
    pytest.param(OWNER, "owners: shop-ltd owns no account and no sender", id="an-owner-of-nothing"),
    pytest.param(ACCOUNT + OWNER + "day_cap = -1", "owners.0.day_cap = -1: input should be", id="a-cap-below-0"),
    pytest.param("[policy.recipients.ads]\nday_cap = 1", "policy.recipients.ads", id="recipients-of-no-purpose"),
    pytest.param(SENDER.replace("0001", "*1"), "senders.0.address = '10690*1': string should match", id="star-within"),
    pytest.param(SENDER.replace('"commercial"', '"ads"'), "senders.0.purpose = 'ads': input should be", id="purpose"),
    pytest.param(ACCOUNT + ACCOUNT, "accounts: system_id shop stands more than once", id="an-account-twice"),
    pytest.param(
        ACCOUNT.replace('password = "secret"\n', ""),
        "accounts.0: account shop: set one of password and password_hash", id="no-password",
    ),
    pytest.param(
        ACCOUNT.replace('password = "secret"', 'password_hash = "md5"'),
        "accounts.0: password_hash is not scrypt$n$r$p$salt$digest", id="hash",
    ),
    pytest.param(ACCOUNT + 'allow_from = ["10.0.0.1/8"]', "accounts.0.allow_from.0", id="network"),
    pytest.param('[web]\nproxies = ["10.0.0.1/8"]', "web: 10.0.0.1/8 has host bits set", id="network-of-proxies"),
    pytest.param("accounts = 3", "accounts = ...: input should be a valid tuple", id="no-list"),
    pytest.param("listen = 3", "listen = 3: input should be", id="no-section"),
    pytest.param("[listen\nport = 1", "is not TOML: ", id="not-toml"),
    pytest.param("port = 1\nport = 2", "is not TOML: ", id="a-key-twice"),
])  # fmt: skip
def test_what_is_wrong_is_one_line_with_file_key_value_and_what_is_allowed(
    file: Path, text: str, complaint: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read(file, text)
    line = str(caught.value)
    assert line.startswith(f"{file}: {complaint}")
    assert "\n" not in line


@pytest.mark.parametrize(("environment", "complaint"), [
    pytest.param({"SMSC_FILTER_LISTEN__PORT": "x"}, "SMSC_FILTER_LISTEN__PORT: listen.port = 'x': input", id="value"),
    pytest.param({"SMSC_FILTER_LISTEN__PRT": "1"}, "SMSC_FILTER_LISTEN__PRT: listen.prt is not a setting", id="key"),
    pytest.param({"SMSC_FILTER_DATA_DIR__X": "1"}, "SMSC_FILTER_DATA_DIR__X: data_dir has no keys", id="deep"),
])  # fmt: skip
def test_what_is_wrong_with_the_environment_names_the_variable(
    file: Path, environment: dict[str, str], complaint: str
) -> None:
    with pytest.raises(SettingsError, match=complaint):
        read(file, CONTRACT, environment)


@pytest.mark.parametrize("text", [
    ACCOUNT.replace("secret", "far too long a password"),
    ACCOUNT.replace('password = "secret"', "password = 12345678901"),
    ACCOUNT + "upstream_password = 12345678901",
    ACCOUNT + "port = 1",
    'accounts = ["secret"]',
    "[web]\ndevice_key = 12345678901",
    "[policy]\njitter_key = 12345678901",
    '[watch]\nwebhook_url = "ftp://me:secret@host"',
])  # fmt: skip
def test_no_complaint_shows_a_password(file: Path, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(file, text)
    assert not any(secret in str(caught.value) for secret in ("secret", "far too long", "12345678901"))


def test_settings_do_not_show_passwords(file: Path) -> None:
    assert "secret" not in repr(read(file, ACCOUNT))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml: cannot be read: No such file or directory"):
        read_settings(tmp_path / "none.toml", {})
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        read_settings(tmp_path, {})


def test_octets_that_are_no_text(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="is not TOML"):
        read_settings(file, {})


def test_every_window_may_have_a_cap_of_sender_account_owner_and_recipient(file: Path) -> None:
    caps = "minute_cap = 1\nhour_cap = 2\nday_cap = 3\nweek_cap = 4\n"
    settings = read(file, ACCOUNT + caps + SENDER + caps + OWNER + caps + "[policy]\nrecipient_caps = true\n"
                    + "[policy.recipients.commercial]\nweek_cap = 9\n[policy.recipients.person]\n" + caps)  # fmt: skip
    profile = read_profile("cn-2020-draft")
    (sender,) = settings.registered(profile)
    every = [(60, 1), (3600, 2), (86_400, 3), (604_800, 4)]
    assert [(window.seconds, window.cap) for window in sender.windows] == every
    charge = settings.quotas(profile, b"key").charge(Facts("shop-ltd", sender, 0.1, False), "shop", "8613800000001")
    assert charge is not None
    found = {use.gauge.kind: [(window.seconds, window.cap) for window in use.gauge.windows]
             for use in (*charge.shared, *charge.own)}  # fmt: skip
    assert found == {"sender": every, "account": every, "owner": every, "recipient": [(3600, 4), (604_800, 9)]}


def test_caps_on_recipients_are_off_until_the_operator_sets_them(file: Path) -> None:
    settings = read(file, ACCOUNT + SENDER + "[policy.recipients.commercial]\nweek_cap = 9\n")
    profile = read_profile("cn-2020-draft")
    (sender,) = settings.registered(profile)
    assert settings.quotas(profile, b"").charge(Facts("shop-ltd", sender, 0.1, False), "shop", "8613800000001") is None


def test_caps_are_those_of_the_profile_unless_the_sender_has_its_own(file: Path) -> None:
    one = '[[senders]]\naddress = "{}"\nowner = "mobile"\npurpose = "person"\n{}\n'
    settings = read(file, one.format("1", "") + one.format("2", "hour_cap = 7") + one.format("3", "hour_cap = 0")
                    + one.format("4", "day_cap = 0\nhour_cap = 0\nsuspended = true"))  # fmt: skip
    profile = read_profile("cn-2020-draft")
    caps = profile.quota["person"]
    hour, day = Window(3600, caps.hour, caps.article), Window(86_400, caps.day, caps.article)
    windows = [sender.windows for sender in settings.registered(profile)]
    assert windows == [(hour, day), (Window(3600, 7, "set by the operator"), day), (day,), ()]
    assert [sender.suspended for sender in settings.registered(profile)] == [False, False, False, True]
