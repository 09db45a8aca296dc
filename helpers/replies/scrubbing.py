"""Takes secrets out of what is recorded and compared: by name, by value and by their looks."""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote, quote_plus

Scrub = Callable[[Any], Any]
NAMES = re.compile(
    r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?)(_?\d+)?$"
    r"|(^|_)(PASS|PAT|DSN|AUTH|URI|URL|DATABASE|WEBHOOK)(_|\d|$)|_PWD$",
    re.IGNORECASE,
)
LOOKS = (
    r"(?P<ours>sk-ant-[\w-]{8,})|\b(?:sk|xox[a-z]|glpat)-[\w-]{16,}"
    r"|\b(?:gh[a-z]|github_pat|hf)_\w{20,}"
    r"|\bAKIA[A-Z0-9]{16}\b|\bAIza[\w-]{35}|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]+"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]+-----END [A-Z ]*PRIVATE KEY-----"
    r"|(?<=hooks\.slack\.com/services/)[\w/]+|(?<=://)[^\s/:@]*:[^\s/@]+(?=@)"
)


def forms(value: str) -> list[str]:
    """Return a secret as it is, as JSON, as part of an address, and in base64 at any offset."""
    quoted = [json.dumps(value, ensure_ascii=ascii)[1:-1] for ascii in (True, False)]
    found = [value, *quoted, quote(value), quote(value, safe=""), quote_plus(value)]
    for before in range(3):
        coded = b64encode(bytes(before) + value.encode()).decode()
        whole = coded[-(-before * 8 // 6) : (before + len(value.encode())) * 8 // 6]
        found += [whole, whole.replace("+", "-").replace("/", "_")]
    return found


def scrubber(variables: Iterable[tuple[str, str | None]]) -> Scrub:
    """Return a function that gives JSON data back without keys, and without these variables' values
    where the name is one of a secret: their names stand there instead.

    A short value, or a shortish one of letters only, stays: it is a word, and prompts have words.
    """
    names: dict[str, str] = {}
    for name, value in sorted((name, value) for name, value in variables if value):
        word = len(value) < 8 or (value.isalpha() and len(value) < 12)
        if NAMES.search(name) and not word:
            names |= dict.fromkeys(forms(value), f"({name})")
    values = [re.escape(value) for value in sorted(names, key=len, reverse=True)]
    secret = re.compile("|".join([LOOKS, *values]))

    def label(found: re.Match[str]) -> str:
        return "(sk-ant-key)" if found["ours"] else names.get(found[0], "(secret)")

    def scrub(data: Any) -> Any:
        if isinstance(data, str):
            return secret.sub(label, data)
        if isinstance(data, dict):
            return {scrub(key): scrub(value) for key, value in data.items()}
        return [scrub(value) for value in data] if isinstance(data, list) else data

    return scrub
