"""A reader of CEF lines, written from the format's own rules and knowing nothing of the writer."""

import re

KEY = re.compile(r"(?:^| )([A-Za-z0-9_.]+)=")


def read_cef(line: str) -> tuple[list[str], dict[str, str]]:
    """The seven fields of the head, and the extension."""
    fields, at = list[str](), 0
    while len(fields) < 7:
        field = ""
        while line[at] != "|":
            if line[at] == "\\":
                assert line[at + 1] in "\\|", "an escape that a head does not have"
                at += 1
            field += line[at]
            at += 1
        fields.append(field)
        at += 1
    return fields, read_extension(line[at:])


def read_extension(text: str) -> dict[str, str]:
    """A value ends where a space, a name and an equals sign without a backslash follow."""
    places = list(KEY.finditer(text))
    pairs = dict[str, str]()
    for match, after in zip(places, [*places[1:], None], strict=True):
        name, value = match[1], text[match.end() : after.start() if after else len(text)]
        assert name not in pairs, f"{name} stands twice"
        pairs[name] = _unescape(value)
    return pairs


def _unescape(value: str) -> str:
    known = {"\\": "\\", "=": "=", "n": "\n", "r": "\r"}
    plain = re.sub(r"\\(.)", lambda match: known[match[1]], value)
    assert not re.search(r"(?<!\\)(?:\\\\)*=", value), "an equals sign without a backslash"
    return plain
