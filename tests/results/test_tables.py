"""Names are anybody's: in a table they are text, and nothing else."""

import csv
import io

import pandas as pd

from hybrid_seq_gnn.errors import printable
from hybrid_seq_gnn.results.tables import csv_of, markdown


def test_a_cell_is_no_column_no_html_and_no_command_of_a_terminal():
    table = markdown(["name"], [["a|b <script>\x1b[31m\nx < .001"]])
    assert r"a\|b \<script>\x1b[31m x < .001" in table
    assert "\x1b" not in table
    assert len(table.splitlines()) == 3


def test_a_text_that_looks_like_a_formula_is_none_and_numbers_stay_numbers():
    frame = pd.DataFrame({"=name": ["=HYPERLINK(1)", "@x", "-1", "+8.1", "plain"], "value": [-0.5, 1, 2, 3, 4]})
    rows = list(csv.reader(io.StringIO(csv_of(frame))))
    assert [row[0] for row in rows[1:]] == ["'=HYPERLINK(1)", "'@x", "-1", "+8.1", "plain"]
    assert rows[0] == ["'=name", "value"] and rows[1][1] == "-0.5"


def test_messages_show_control_characters_and_keep_their_lines():
    assert printable("é\x1b]0;x\x07\nline\u202e") == "é\\x1b]0;x\\x07\nline\\u202e"
