"""A check says right, wrong, not attempted or error, and nothing that is shown before gives the answer away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kitlib import quiz
from kitlib.errors import NotFound, ParseError
from kitlib.quiz import TRIES, Outcome, Quiz, check, hint, predict

COUNT = Quiz("How many?", right=lambda: 8, choices={8, 2, 4, 1}, read=quiz.number, hint="Count again.",
                 hints={1: "That is dig.", 4: "Twice as many: A and AAAA."}, solution="Four names, two types.")
WORDS = Quiz("Which?", "the TTL", {"the source", "the TTL", "nothing"}, {"nothing": "Look at the TTL."},
                 "Look again.")
TYPED = Quiz("Which address?", "10.96.0.10", read=quiz.address, hint="See resolv.conf.",
                 hints=lambda given: f"{given} is a pod." if given.startswith("10.244.") else "")


def no_data() -> str:
    raise NotFound("The query was not seen at worker3 eth0.")


@pytest.mark.parametrize("answer", [None, ..., "", "  \n"])
@pytest.mark.parametrize("question", [COUNT, WORDS, TYPED])
def test_untouched_is_not_attempted(question: Quiz, answer: object) -> None:
    assert check(question, answer).outcome is Outcome.NOT_ATTEMPTED


@pytest.mark.parametrize("question, answer", [
    (COUNT, 8), (COUNT, "8"), (COUNT, " 8 "), (COUNT, "d"), (COUNT, "D"), (WORDS, "the ttl"), (WORDS, "b"),
    (WORDS, " The  TTL "), (TYPED, "10.96.0.10"), (TYPED, "10.96.0.10:53"), (TYPED, "10.96.0.10#53"),
    (TYPED, "10.96.0.10.")])
def test_right_in_every_sensible_spelling(question: Quiz, answer: object) -> None:
    assert check(question, answer).outcome is Outcome.RIGHT


def test_right_says_why() -> None:
    assert check(COUNT, 8).message == "Four names, two types."


@pytest.mark.parametrize("question, answer, hint", [
    (COUNT, 1, "That is dig."), (COUNT, "c", "Twice as many: A and AAAA."), (COUNT, 2, "Count again."),
    (COUNT, 80, "Count again."), (WORDS, "a", "Look at the TTL."), (WORDS, "the source", "Look again."),
    (TYPED, "10.244.0.3:53", "10.244.0.3 is a pod."), (TYPED, "127.0.0.1", "See resolv.conf.")])
def test_wrong_answers_get_the_hint_that_speaks_to_them(question: Quiz, answer: object, hint: str) -> None:
    verdict = check(question, answer)
    assert (verdict.outcome, verdict.message) == (Outcome.WRONG, hint)


@pytest.mark.parametrize("question, answer, expected", [
    (COUNT, "eight", "a whole number"), (COUNT, True, "a whole number"), (COUNT, [8], "a whole number"),
    (COUNT, -8, "a whole number"), (WORDS, "e", "a, b, c"), (WORDS, "the port", "a, b, c"), (WORDS, 3, "words"),
    (TYPED, "kube-dns", "an IP address"), (replace(TYPED, right=no_data), "10.96.0.10", "not seen at worker3")])
def test_what_cannot_be_compared_is_an_error_that_says_why(question: Quiz, answer: object, expected: str) -> None:
    verdict = check(question, answer)
    assert verdict.outcome is Outcome.ERROR and expected in verdict.message


def test_a_fault_of_ours_is_not_hidden_as_an_answer() -> None:
    with pytest.raises(ZeroDivisionError):
        check(replace(COUNT, right=lambda: 1 // 0), 8)


@pytest.mark.parametrize("typed, read", [
    ("WWW.Example.com.", "www.example.com"), ("a.b", "a.b"), (" a. ", "a")])
def test_names_compare_without_case_and_final_dot(typed: str, read: str) -> None:
    assert quiz.dns_name(typed) == read


@pytest.mark.parametrize("typed", ["a..b", ".", "two words", ".a"])
def test_what_is_no_name_is_said_so(typed: str) -> None:
    with pytest.raises(ParseError, match="a DNS name"):
        quiz.dns_name(typed)


@pytest.mark.parametrize("given", ["one, TWO", "two and one", ["one", "two"], {"two", "one"}, "kind-one,two"])
def test_several_answers_compare_in_any_order(given: object) -> None:
    known = {"one": "one", "kind-one": "one", "two": "two"}
    assert quiz.some_of(known, given) == {"one", "two"}
    with pytest.raises(ParseError, match="one, two"):
        quiz.some_of(known, "three")


def test_a_verdict_reads_without_colour_and_cannot_inject_html() -> None:
    verdict = check(TYPED, "<b>")
    assert repr(verdict).startswith("! Error. ") and "! Error." in verdict._repr_html_()
    assert "<b>" not in verdict._repr_html_() and "&lt;b&gt;" in verdict._repr_html_()


@pytest.mark.parametrize("question", [COUNT, WORDS, TYPED])
def test_nothing_shown_before_marks_the_answer(question: Quiz) -> None:
    """The picture is the same whichever choice is right, and a typed answer is not in it at all."""
    other = replace(question, right="nothing at all", hints={}, hint="", solution="")
    for shown in (repr, Quiz._repr_html_, lambda each: predict(each).html, lambda each: predict(each).text):
        assert shown(question) == shown(other)
        assert question.prompt in shown(question) and all(str(choice) in shown(question) for choice in question.choices)
    assert "10.96.0.10" not in repr(TYPED)


def test_choices_in_a_tuple_keep_their_order_and_those_in_a_set_are_sorted() -> None:
    assert list(replace(WORDS, choices=("b", "a", "b", "c")).options.values()) == ["b", "a", "c"]
    assert list(replace(WORDS, choices={"b", "a", "c"}).options.values()) == ["a", "b", "c"]


def parts(question: Quiz) -> tuple:
    """Of a live question: the field, the Check and the Hint button, and what is said below."""
    _, field, buttons, said, _ = predict(question).widget.children
    return field, *buttons.children, said


def test_the_buttons_check_and_hint() -> None:
    field, check_button, hint_button, said = parts(COUNT)
    check_button.click()
    assert "Not attempted" in said.value
    hint_button.click()
    assert "Count again." in said.value
    field.value = "a"
    check_button.click()
    assert "✗ Wrong" in said.value and "That is dig." in said.value
    field.value = "d"
    check_button.click()
    assert "✓ Right" in said.value


def test_a_question_with_one_hint_gives_it_once() -> None:
    assert [str(hint(COUNT)) for _ in range(2)] == ["Hint: Count again.", "Solution: 8\n\nFour names, two types."]
    two = replace(COUNT, more="And again.")
    assert [str(hint(two)) for _ in range(2)] == ["Hint 1 of 2: Count again.", "Hint 2 of 2: And again."]
    _, _, hint_button, said = parts(two)
    for shown in ("Hint 1 of 2:</strong> Count", "Hint 2 of 2:</strong> And", "Hint 1 of 2"):
        hint_button.click()
        assert shown in said.value


def test_the_solution_is_offered_after_two_different_wrong_answers() -> None:
    field, check_button, _, said = parts(COUNT)
    field.value = "a"
    for _ in range(TRIES + 1):
        check_button.click()
        assert "<details>" not in said.value
    field.value = "b"
    check_button.click()
    assert "<details><summary>Solution</summary><p><strong>8</strong></p><p>Four names, two types.</p>" in said.value


def test_enter_in_the_field_checks() -> None:
    field, *_, said = parts(TYPED)
    field.value = "10.244.0.2"
    assert "10.244.0.2 is a pod." in said.value


def test_a_solution_that_cannot_be_had_says_why() -> None:
    assert replace(TYPED, right=no_data).reveal() == ("The query was not seen at worker3 eth0.", "")
