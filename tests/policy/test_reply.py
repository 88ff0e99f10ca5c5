"""What subscribers write back, as it comes: keywords in any dress, sentences, and talk that only looks like one."""

from __future__ import annotations

import time

import pytest

from smsc_filter.policy.language import Wording, language_names, read_language
from smsc_filter.policy.reply import LONGEST_REPLY, read_appeal, read_reply
from smsc_filter.policy.rules import profile_names, read_profile

CHINESE = Wording([read_language("zh"), read_language("en")])
ENGLISH = Wording([read_language("en")])

KEYWORDS = ("TD", "T", "N", "R", "退订", "拒收", "STOP", "QX", "退訂", "取消", "不同意")
DRESSES = {
    "bare": "{}",
    "blanks-and-stop": ' "{}。" ',
    "asked-for": "回复{}",
    "quoted": "回复“{}”",
    "brackets": "【{}】",
    "polite": "请{}，谢谢",
    "exclaimed": "{}！！！",
    "twice": "{} {}",
    "line-break": "\r\n{}\r\n",
    "zero-width": "\u200b{}\ufeff",
    "emoji": "{}🙏",
}


def wide(text: str) -> str:
    return "".join(chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in text)


@pytest.mark.parametrize("dress", DRESSES.values(), ids=DRESSES)
@pytest.mark.parametrize("keyword", KEYWORDS)
def test_a_keyword_withdraws_in_any_dress(keyword: str, dress: str) -> None:
    for spelled in (keyword, keyword.lower(), keyword.title(), wide(keyword), "\u200d".join(keyword)):
        assert read_reply(dress.replace("{}", spelled), CHINESE) == "withdrawn", spelled


@pytest.mark.parametrize(
    "text",
    [
        "T.D",
        "T D",
        "S T O P",
        "不要再给我发短信了",
        "别再发了",
        "请不要再骚扰我",
        "请勿打扰",
        "怎么退订",
        "我要退订你们的短信",
        "TD退订",
        "退订TD",
    ],
)
def test_sentences_and_letters_apart_withdraw_in_chinese(text: str) -> None:
    assert read_reply(text, CHINESE) == "withdrawn"


@pytest.mark.parametrize("keyword", ["stop", "quit", "revoke", "opt out", "opt-out", "cancel", "unsubscribe", "end"])
def test_keywords_the_tcpa_names_withdraw(keyword: str) -> None:
    for text in (keyword, keyword.upper(), f"{keyword.title()}.", f"Please {keyword}!", f'"{keyword}" thanks'):
        assert read_reply(text, ENGLISH) == "withdrawn", text


@pytest.mark.parametrize(
    "text",
    [
        "pls stop texting me", "Stop sending me these messages", "Don't text me again", "do not contact me", "STOP ALL",
        "take me off your list", "Please remove my number from this list", "I want to unsubscribe from your offers",
    ],
)  # fmt: skip
def test_any_reasonable_means_withdraws(text: str) -> None:
    assert read_reply(text, ENGLISH) == "withdrawn"


@pytest.mark.parametrize("text", ["Y", "y", "ｙ", "是", "同意", "回复Y", "“同意”", "我同意", "YES!", "OK"])
def test_a_yes_grants(text: str) -> None:
    assert read_reply(text, CHINESE) == "granted"


def test_a_text_that_says_both_withdraws() -> None:
    assert read_reply("Y N", CHINESE) == "withdrawn"
    assert read_reply("同意退订", CHINESE) == "withdrawn"


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "。", "好的", "收到，谢谢", "退订之前先问一下，礼品在哪里领？", "取消明天的会议", "不要发错地址",
        "stop by at six",
        "the end of the road", "Tomorrow", "Nice", "R2D2", "我不要红色的", "同意书在哪里",
        "yesterday", "不", "谢谢", "回复",
        "TD" + "x" * LONGEST_REPLY,
    ],
)  # fmt: skip
def test_talk_is_no_reply(text: str) -> None:
    assert read_reply(text, CHINESE) is None


@pytest.mark.parametrize("text", ["我要" * 79 + "x", "回复我" * 53 + "?x", "please me " * 15 + "q", "td" * 79 + "退"])
def test_no_text_takes_long(text: str) -> None:
    started = time.perf_counter()
    read_reply(text, CHINESE)
    assert time.perf_counter() - started < 0.05


@pytest.mark.parametrize("name", language_names())
def test_every_language_compiles_and_keeps_its_words_apart(name: str) -> None:
    words = read_language(name).reply
    assert not set(words.withdraw) & set(words.grant)
    assert not set(words.filler) & (set(words.withdraw) | set(words.grant))
    for word in (*words.withdraw, *words.grant):
        assert read_reply(word, Wording([read_language(name)])) is not None, word


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_hears_stop(name: str) -> None:
    profile = read_profile(name)
    assert read_reply("stop", Wording(read_language(each) for each in profile.languages)) == "withdrawn"


@pytest.mark.parametrize(("text", "expected"), [
    pytest.param("申诉 7K3MW9QD", ("7K3MW9QD", ""), id="code"),
    pytest.param("申诉7k3mw9qd 这是给家人的", ("7K3MW9QD", "这是给家人的"), id="small-letters-and-a-reason"),
    pytest.param("申訴：７Ｋ３ＭＷ９ＱＤ。", ("7K3MW9QD", ""), id="full-width"),
    pytest.param("申诉我的拜年短信 7K3MW9QD 谢谢", ("7K3MW9QD", "我的拜年短信 谢谢"), id="words-on-both-sides"),
    pytest.param("Appeal 7K3MW9QD they were wishes", ("7K3MW9QD", "they were wishes"), id="english"),
    pytest.param("APPEAL ABCDEFGH", ("ABCDEFGH", ""), id="letters-alone-behind-the-word"),
    pytest.param("申诉 01H4-C9M2-Q7R3-T", ("01H4-C9M2-Q7R3-T", ""), id="decision"),
    pytest.param("7k3mw9qd", ("7K3MW9QD", ""), id="nothing-but-the-code"),
    pytest.param("STRANGER", None, id="a-word-of-eight-letters"),
    pytest.param("7K3MW9QD is my flight", None, id="talk-that-begins-like-a-code"),
    pytest.param("申诉", None, id="no-code"),
    pytest.param("申诉 7K3MW9QDX", None, id="longer-than-a-code"),
    pytest.param("appeal to reason, please", None, id="talk"),
    pytest.param("申诉 7K3MW9QD" + "长" * 1000, None, id="too-long"),
    pytest.param("", None, id="empty"),
])  # fmt: skip
def test_an_appeal_names_its_code(text: str, expected: tuple[str, str] | None) -> None:
    assert read_appeal(text, CHINESE) == expected
    if expected is not None:
        assert read_reply(text, CHINESE) is None, "an appeal is no withdrawal"
