"""The YAML of recordings: JSON's types alone, in plain text that a person can write."""

import json
import re
from contextlib import suppress
from typing import Any

import yaml


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Plain YAML of JSON's types: `no`, `on` and dates stay text."""


class Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, and everything in full."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def text(self, text: str) -> yaml.ScalarNode:
        odd = set(text) & set("\x85\u2028\u2029")  # YAML counts them as line ends
        style = '"' if odd else "|" if "\n" in text else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Loader.yaml_implicit_resolvers = {}
Dumper.yaml_implicit_resolvers = {}
Dumper.add_representer(str, Dumper.text)
for tag, pattern, first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"-?(?:0|[1-9][0-9]*)", "-0123456789"),
    ("float", r"-?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][-+]?[0-9]+)?", "-0123456789"),
):
    regexp = re.compile(f"^(?:{pattern})$")
    for kind in (Loader, Dumper):
        kind.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", regexp, list(first))


def value_of(node: Any) -> Any:
    """Return the JSON value that a node stands for. MarkedYAMLError: it stands for none."""
    kind, value = (node.id, node.tag.rpartition(":")[2]), node.value
    problem = f"this is no {kind[1]}"
    if kind == ("scalar", "str"):
        return value
    if kind == ("sequence", "seq"):
        return [value_of(item) for item in value]
    if kind == ("mapping", "map"):
        names = [name.value for name, _ in value]
        odd = [n for i, (n, _) in enumerate(value) if n.id != "scalar" or n.value in names[:i]]
        if not odd:
            return {name.value: value_of(part) for name, part in value}
        node, problem = odd[0], "this key stands here twice, or is no text"
    elif kind[0] == "scalar" and kind[1] in ("null", "bool", "int", "float"):
        with suppress(ValueError):
            return None if kind[1] == "null" else json.loads(value)
    raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def line_of(text: str, *path: str | int) -> int:
    """Return the line, from 1, of the value at this path, or of what is nearest above it."""
    node, line = yaml.compose(text, Loader=Loader), 1
    for key in path:
        parts: dict[Any, Any] = {}
        if isinstance(node, yaml.MappingNode):
            parts = {name.value: (name, part) for name, part in node.value}
        elif isinstance(node, yaml.SequenceNode):
            parts = {number: (part, part) for number, part in enumerate(node.value)}
        if key in parts:
            line, node = parts[key][0].start_mark.line + 1, parts[key][1]
    return line


def dump(data: Any) -> str:
    """Return data as YAML, in full and in its own order."""
    style: dict[str, Any] = {"sort_keys": False, "allow_unicode": True, "width": 100}
    return str(yaml.dump(data, Dumper=Dumper, **style))
