"""Objections and complaints of subscribers, over the real application."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from smsc_filter.policy.appeals import OUTCOMES, AppealEvent, AppealState, ComplaintEvent, ComplaintState, terms_of
from smsc_filter.policy.record import id_to_text
from smsc_filter.records import appeals, complaints
from smsc_filter.relay.notices import NoticesSettings
from smsc_filter.web.portal import words
from tests.web.conftest import NOW, A, B, World, make_world
from tests.web.test_portal import SENDER, Browser, decide

REVIEWER = "rita"


@pytest.fixture
def world(valkey: Any, tmp_path: Any) -> Iterator[World]:
    yield from make_world(valkey, tmp_path, notices=NoticesSettings(system_id="notices", source="10086"))


def object_to(browser: Browser, decision_id: int, reason: str = "It is only a wish") -> str:
    """Object to a decision; the path of the objection."""
    path = f"/my/messages/{id_to_text(decision_id)}"
    browser.get(path)
    answer = browser.send(f"{path}/appeal", reason=reason)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].partition("?")[0]


def test_an_objection_is_made_followed_and_answered(world: World) -> None:
    browser = Browser(world).sign_in()
    path = object_to(browser, decide(world, 1, source=A, recipient=B, cause="quota-spent", findings=None))
    page = browser.get(path).text
    assert "Your objection is being looked at" in page
    assert "It is only a wish" in page
    assert "You will be answered before" in page
    (appeal,) = appeals.list_appeals(world.engine)
    assert (appeal.appellant, appeal.channel, appeal.sender) == (appeals.Appellant("person", A), "portal", A)
    terms = terms_of(world.context.setup.profile)
    appeals.ask(world.engine, terms, appeal.id, by=REVIEWER, question="Whom did you write to?", now=NOW)
    page = browser.get(path).text
    assert "waits for your answer" in page
    assert "Whom did you write to?" in page
    assert REVIEWER not in page
    assert browser.send(f"{path}/supply", information=" ").status_code == 422
    assert browser.send(f"{path}/supply", information="My aunt").status_code == 303
    appeals.grant(world.engine, terms, appeal.id, by=REVIEWER, reason="A person to a person", now=NOW)
    page = browser.get(path).text
    assert "was granted" in page
    assert "My aunt" in page
    browser.get("/my/requests")
    assert "closed already" in browser.send(f"{path}/withdraw").text
    assert "was granted" in browser.page.text


def test_an_objection_is_made_once_and_may_be_taken_back(world: World) -> None:
    browser = Browser(world).sign_in()
    decision_id = decide(world, 1)
    path = object_to(browser, decision_id)
    assert object_to(browser, decision_id) == path
    assert browser.get(path).status_code == 200
    assert browser.send(f"{path}/withdraw").headers["location"] == f"{path}?done=taken-back"
    assert "taken back by you" in browser.get(path).text
    again = object_to(browser, decision_id)
    assert again != path
    appeals.refuse(world.engine, int(again.rpartition("/")[2]), by=REVIEWER, reason="It is an advertisement", now=NOW)
    message = f"/my/messages/{id_to_text(decision_id)}"
    assert "Why should it not have been stopped?" not in browser.get(message).text
    browser.get("/my/requests")
    assert "were answered" in browser.send(f"{message}/appeal", reason="once more").text


def test_an_objection_needs_a_reason(world: World) -> None:
    browser = Browser(world).sign_in()
    path = f"/my/messages/{id_to_text(decide(world, 1))}"
    browser.get(path)
    answer = browser.send(f"{path}/appeal", reason="  ")
    assert (answer.status_code, appeals.list_appeals(world.engine)) == (422, [])
    assert "Say in a few words why" in answer.text


def test_a_complaint_is_made_of_a_stopped_message_followed_and_decided(world: World) -> None:
    browser = Browser(world).sign_in()
    decision_id = decide(world, 1)
    browser.get(f"/my/messages/{id_to_text(decision_id)}")
    path = browser.send("/my/complaints", decision=id_to_text(decision_id)).headers["location"].partition("?")[0]
    page = browser.get(path).text
    assert "Your complaint is received" in page
    assert SENDER in page
    (made,) = complaints.list_complaints(world.engine)
    assert (made.complainant, made.source, made.owner) == (A, "portal", "shop-ltd")
    assert complaints.linked_decisions(world.engine, made.id) == [decision_id]
    terms = terms_of(world.context.setup.profile)
    complaints.forward(world.engine, terms, made.id, by=REVIEWER, now=NOW)
    complaints.decide(
        world.engine, terms, made.id, by=REVIEWER, outcome="upheld", note="It was an advertisement", now=NOW
    )
    page = browser.get(path).text
    assert "You were right" in page
    assert REVIEWER not in page
    assert "is decided" in browser.get("/my/requests").text


def test_a_complaint_is_made_of_a_message_that_came(world: World) -> None:
    browser = Browser(world).sign_in()
    browser.get("/my/requests")
    assert browser.send("/my/complaints", sender="", content="x").status_code == 422
    answer = browser.send("/my/complaints", sender=" 106900001 ", content="<i>every day</i>\x00")
    path = answer.headers["location"].partition("?")[0]
    page = browser.get(path).text
    assert "&lt;i&gt;every day&lt;/i&gt;" in page
    assert browser.send(f"{path}/withdraw").status_code == 303
    assert "taken back by you" in browser.get(path).text
    browser.get("/my/requests")
    assert browser.send(f"{path}/withdraw").status_code == 303


def test_complaints_a_day_have_a_bound(world: World) -> None:
    browser = Browser(world).sign_in()
    browser.get("/my/requests")
    for number in range(10):
        assert browser.send("/my/complaints", sender=f"1069{number:05d}").status_code == 303
    assert browser.send("/my/complaints", sender="106900099").status_code == 429
    world.now[0] += 86_400
    browser.sign_in().get("/my/requests")
    assert browser.send("/my/complaints", sender="106900099").status_code == 303


def test_nobody_sees_or_changes_what_is_somebody_else_s(world: World) -> None:
    mine = Browser(world).sign_in(A)
    decision_id = decide(world, 1, source="106900002")
    appeal = object_to(mine, decision_id)
    mine.get("/my/requests")
    complaint = mine.send("/my/complaints", sender=SENDER).headers["location"].partition("?")[0]
    other = Browser(world, "198.51.100.9").sign_in(B)
    for path in (appeal, complaint, "/my/appeals/999", "/my/complaints/999", "/my/appeals/x", "/my/complaints/-1"):
        assert other.get(path).status_code == 404
    other.get("/my/requests")
    for path in (f"{appeal}/withdraw", f"{appeal}/supply", f"{complaint}/withdraw"):
        assert other.send(path, information="x").status_code == 404
    text = id_to_text(decision_id)
    assert other.send(f"/my/messages/{text}/appeal", reason="x").status_code == 404
    assert other.send("/my/complaints", decision=text).status_code == 404
    assert "is being looked at" in mine.get(appeal).text
    assert "is received" in mine.get(complaint).text


POSTS = ["/my/messages/x/appeal", "/my/appeals/1/supply", "/my/appeals/1/withdraw", "/my/complaints"]


@pytest.mark.parametrize("path", [*POSTS, "/my/complaints/1/withdraw"])
def test_nothing_is_done_without_a_session_nor_by_a_form_of_another_page(world: World, path: str) -> None:
    browser = Browser(world)
    assert browser.send(path).headers["location"] == "/"
    browser.sign_in()
    for form in ({}, {"form": ""}, {"form": "0" * 64}):
        assert browser.client.post(path, data=form).status_code == 403


@pytest.mark.parametrize("path", ["/my/requests", "/my/appeals/1", "/my/complaints/1"])
def test_no_page_is_for_who_is_not_signed_in(world: World, path: str) -> None:
    assert Browser(world).get(path).headers["location"] == "/"


def test_everything_that_can_be_said_has_words() -> None:
    assert words.APPEALS.keys() == {state.value for state in AppealState}
    assert words.APPEAL_EVENTS.keys() == {"open", *(event.value for event in AppealEvent)}
    assert words.COMPLAINTS.keys() == {state.value for state in ComplaintState}
    assert words.COMPLAINT_EVENTS.keys() == {"received", "forwarded", *(event.value for event in ComplaintEvent)}
    assert words.OUTCOMES.keys() == set(OUTCOMES)
