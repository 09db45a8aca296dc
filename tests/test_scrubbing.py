"""No secret gets into a recording: by its variable's name, by its value, by what it looks like."""

from typing import Any

import pytest

from helpers.replies.scrubbing import scrubber

ODD = 'pa"ss\\word-1'  # would end a text of JSON, or break it


def scrub(data: Any, **variables: str) -> Any:
    return scrubber(variables.items())(data)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MONGODB_URI", "mongodb+srv://shop.example/orders"),
        ("REDIS_URL", "redis://10.0.0.5:6379"),
        ("SLACK_WEBHOOK_URL", "https://hooks.example/T000/B000"),
        ("PROD_DATABASE", "orders@10.0.0.5"),
        ("GATEWAY_AUTH", "Basic c2hvcDpzaG9w"),
        ("API_KEY_2", "abcdefgh12345"),
        ("SMTP_PASSWD", "hunter2hunter2"),
        ("DB_PWD", "hunter2hunter2"),
        ("OPENAI_APIKEY", "abcdefgh12345"),
        ("github_token", "abcdefgh12345"),
        ("DB_PASSWORD", "geheimnisvoll-für-1"),
        ("MY_SECRET", ODD),
    ],
)
def test_the_value_of_a_variable_named_like_a_secret_gives_way_to_the_name(
    name: str, value: str
) -> None:
    data = {"text": f"the {value} here", value: [1, None, {"deep": value}]}
    hidden = {"text": f"the ({name}) here", f"({name})": [1, None, {"deep": f"({name})"}]}
    assert scrub(data, **{name: value}) == hidden


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CASSANDRA_KEYSPACE", "production-1"),
        ("KEYBOARD_LAYOUT", "german-qwertz"),
        ("MAP_KEY", "customer"),
        ("MAP_KEY", "c1"),
        ("MAP_KEY", ""),
        ("PWD", "the/working/folder"),
        ("HARMLESS", "not a secret at all"),
    ],
)
def test_what_is_a_word_or_named_otherwise_stays(name: str, value: str) -> None:
    assert scrub(f"the {value} here", **{name: value}) == f"the {value} here"


@pytest.mark.parametrize(
    ("secret", "hidden"),
    [
        ("sk-ant-" + "api03-abc_DEF-123", "(sk-ant-key)"),
        ("ghp_" + "a1B2" * 9, "(secret)"),
        ("github_pat_" + "a1B2" * 9, "(secret)"),
        ("xoxb-" + "1234567890-abcdefghij", "(secret)"),
        ("AKIA" + "ABCDEFGH12345678", "(secret)"),
        ("eyJhbGciOiJIUzI1." + "eyJzdWIiOiIxMjM0." + "c2lnbmF0dXJl", "(secret)"),
        ("postgres://shop:" + "hunter2@db.example/orders", "postgres://(secret)@db.example/orders"),
        ("redis://:" + "hunter2@db.example", "redis://(secret)@db.example"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_whatever_the_name(secret: str, hidden: str) -> None:
    assert scrub(f"use {secret} now") == f"use {hidden} now"
    assert scrub(f"use {hidden} now") == f"use {hidden} now"


def test_a_text_that_looks_like_no_secret_stays() -> None:
    text = "See https://docs.example:8080/a?b=c@d and mail ann@example.com: a sk-etch, 10:30."
    assert scrub([text, 1.5, True, None]) == [text, 1.5, True, None]


def test_a_secret_inside_a_text_of_json_is_found_too() -> None:
    inner = '{"password": "pa\\"ss\\\\word-1"}'
    assert scrub(inner, MY_SECRET=ODD) == '{"password": "(MY_SECRET)"}'


def test_the_longer_of_two_secrets_is_hidden_whole_and_scrubbing_again_changes_nothing() -> None:
    variables = {"A_KEY": "abcdefgh1", "B_KEY": "abcdefgh1234", "C_KEY": "abcdefgh1234"}
    hidden = scrub("abcdefgh1234 abcdefgh1", **variables)
    assert hidden == scrub(hidden, **variables)
    assert hidden in ("(B_KEY) (A_KEY)", "(C_KEY) (A_KEY)")
