"""Files that were damaged, or that somebody made: a document with values, keys or bits that are none of ours."""

import copy
import json

from hypothesis import strategies as st

DEEP: list = []
for _ in range(150):
    DEEP = [DEEP]
VALUES = [None, True, -1, 0, 10**18, 10**30, 1e308, float("nan"), float("inf"), "", "x=1", "\x1b[31m", "=cmd", DEEP]
VALUES += [[], [[]], [1, "2"], {}, {"a": 1}, "9" * 5000, "--config-dir=x", "hydra.run.dir=x"]


def places(value, path=()):
    """The path of every value inside."""
    inside = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, child in inside:
        yield (*path, key)
        yield from places(child, (*path, key))


@st.composite
def mutated(draw, document):
    """The document with one to three values replaced, removed, or put under another key."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        *outer, key = draw(st.sampled_from(list(places(document)) or [("x",)]))
        here = document
        for step in outer:
            here = here[step]
        how = draw(st.sampled_from(["replace", "replace", "remove", "rename"]))
        if how == "replace" or not here:
            here[key] = copy.deepcopy(draw(st.sampled_from(VALUES)))
        elif how == "remove" or isinstance(here, list):
            del here[key]
        else:
            here[draw(st.sampled_from(["", "a.b", "\x1b", "seed"]))] = here.pop(key)
    return document


@st.composite
def damaged(draw, document, write=json.dumps):
    """The bytes of a mutated document; of some a bit is flipped, or the end is cut off."""
    raw = bytearray(write(draw(mutated(document))), "utf-8")
    place = draw(st.integers(0, len(raw) - 1))
    how = draw(st.sampled_from(["", "", "", "flip", "cut"]))
    if how == "flip":
        raw[place] ^= 1 << draw(st.integers(0, 7))
    return bytes(raw[:place] if how == "cut" else raw)
