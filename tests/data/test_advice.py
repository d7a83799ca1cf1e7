"""A message advises only what the data option in use has."""

import re
import shlex
from dataclasses import fields

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from hybrid_seq_gnn.data.prepare import prepare
from hybrid_seq_gnn.data.table import Table
from hybrid_seq_gnn.run.check import target_class
from tests.conftest import composed, options

HEADERS = {
    "table": "user{0}item{0}rating{0}timestamp\n",
    "recbole": "user_id:token{0}item_id:token{0}rating:float{0}timestamp:float\n",
    "ml-20m": "userId{0}movieId{0}rating{0}timestamp\n",
}
SEPARATORS = {"table": ",", "ml-20m": ",", "ml-100k": "\t", "recbole": "\t", "pairs": " ", "sequences": " "}
GOOD = ["1{0}2{0}3{0}4\n", "1{0}2{0}5{0}5\n"]
BROKEN = ["1{0}2\n", "1{0}2{0}3{0}4{0}5{0}6\n", "1{0}2{0}x{0}4\n", "1{0}2{0}3{0}noon\n", "1{0}{0}3{0}4\n", "one\n"]
BROKEN += ['1{0}"2{0}3{0}4\n', "1{0}2{0}3{0}1e300\n", "1;2;3;4\n", ""]
FOREIGN = ["1{0}2{0}3{0}4\n", "a{0}b{0}c{0}d\n1{0}2{0}3{0}4\n", "a;b;c;d\n1;2;3;4\n"]
SETTINGS = [{"min_rating": 3.0}, {"split": "global_time"}]


def source_of(option):
    return target_class("data", composed("data", option))


def messages(option, tmp_path):
    """Whatever the option says of broken files, of files of another layout, and of settings that do not fit."""
    header, path = HEADERS.get(option, ""), tmp_path / "file.csv"
    cases = [("".join([header, *GOOD, line, *GOOD]), {}) for line in BROKEN]
    cases += [(text, {}) for text in (header, *FOREIGN)] + [("".join([header, *GOOD]), each) for each in SETTINGS]
    for text, settings in cases:
        path.write_text(text.format(SEPARATORS.get(option, "::")))
        try:
            prepare(source_of(option)(path=str(path), cache=False, **settings))
        except ValueError as error:
            yield str(error)


@pytest.mark.parametrize("option", [name for name in options("data") if name != "synthetic"])
def test_every_setting_that_a_message_advises_is_one_of_the_data_option(option, tmp_path):
    said = set(messages(option, tmp_path))
    assert len(said) > 3
    for sentence in {part for text in said for part in re.split(r"(?<=[.;)])\s", text)}:
        meant = re.search(r"data=([\w-]+)", sentence)
        has = {field.name for field in fields(source_of(meant[1] if meant else option))}
        for setting in re.findall(r"\bdata\.(\w+)", sentence):
            assert setting in has, sentence


@pytest.mark.parametrize("separator", ["\t", "\x01", "::", ";", "|", " "])
def test_another_separator_is_advised_as_it_is_typed(separator, tmp_path):
    path = tmp_path / "file.csv"
    rows = ("user", "item", "timestamp"), "ua1", "ub2", "uc3", "ud4", "ue5"
    path.write_text("".join(separator.join(row) + "\n" for row in rows))
    with pytest.raises(ValueError, match="reads as one column") as error:
        prepare(Table(path=str(path)))
    (advised,) = shlex.split(re.findall(r'"data\.separator=.*?"', str(error.value))[-1])
    typed = OverridesParser.create().parse_override(advised).value()
    assert len(prepare(Table(path=str(path), separator=typed)).sequences.items) == 5
