"""White space leaves commas and brackets in ids, a first line may be a header, and an empty field moves the others."""

import re
import shlex
import subprocess

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from hybrid_seq_gnn.data.marks import marks
from hybrid_seq_gnn.data.notes import header_line
from hybrid_seq_gnn.data.pairs import Pairs
from hybrid_seq_gnn.data.prepare import prepare
from hybrid_seq_gnn.data.sequences_file import SequencesFile
from tests.data.test_real_files import refused, table
from tests.data.test_sources import read, told


def file(tmp_path, text, source=SequencesFile, **settings):
    (tmp_path / "s.txt").write_text(text)
    return source(path=str(tmp_path / "s.txt"), **settings)


def as_advised(message, source):
    """What is read after what the message says to type."""
    if typed := re.findall(r'"data\.separator=.*?"', message):
        (typed,) = shlex.split(typed[0])
        return type(source)(path=source.path, separator=OverridesParser.create().parse_override(typed).value())
    command = re.search(r"(tr .* OLD > NEW)\.", message)[1]
    new = f"{source.path}.new"
    command = command.replace("OLD", shlex.quote(source.path)).replace("NEW", shlex.quote(new))
    subprocess.run(command, shell=True, check=True)
    return type(source)(path=new)


HISTORIES = ["1, 2, 3", "1 ,2 ,3", "1 , 2 , 3", "1,\t2,\t3", "1; 2; 3", "1: 2 3", "1\t[2, 3]", "[1, 2, 3]", '1\t"2 3"']
HISTORIES += ["1: 2, 3", '"1", "2", "3"', "1 [2,3]", "1 (2, 3,)", "1 {2, 3}", "1, 2, 3,", "1\t2, 3"]


@pytest.mark.parametrize("line", HISTORIES)
def test_signs_that_white_space_leaves_in_ids_are_refused_and_the_advice_reads_them(line, tmp_path):
    source = file(tmp_path, f"7 8 9\n\n{line}\n")
    with pytest.raises(ValueError, match=r"s\.txt, line 3: expected white space alone") as error:
        read(source)
    (tmp_path / "s.txt").write_text(f"{line}\n")
    assert told(read(as_advised(str(error.value), source))) == [(1, 2), (1, 3)]


@pytest.mark.parametrize("line", ["1, 2", "1: 2", "(1, 2)", '"1", "2"', "1 ,2"])
def test_signs_in_pairs_are_refused_too(line, tmp_path):
    source = file(tmp_path, f"{line}\n", Pairs)
    with pytest.raises(ValueError, match=r"s\.txt, line 1: expected") as error:
        read(source)
    if "white space" in str(error.value):
        assert told(read(as_advised(str(error.value), source))) == [(1, 2)]


@pytest.mark.parametrize("line", ["u1: spotify:track:1 spotify:track:2", "u1: a,b c", "u [a-(x), b]"])
def test_no_command_is_advised_that_would_cut_ids(line, tmp_path):
    with pytest.raises(ValueError, match="Take the signs out at the ends of the fields") as error:
        read(file(tmp_path, f"{line}\n"))
    assert "tr " not in str(error.value)


@pytest.mark.parametrize("line", ["u :)", "isbn: 1", "u :smile: :heart:", "u hello, world", "u 'N 'Sync'"])
def test_a_few_lines_with_signs_among_many_are_read(line, tmp_path):
    lines = "".join(f"{user} x{user} y\n" for user in range(9))
    assert len(read(file(tmp_path, f"{lines}{line}\n"))) == 18 + len(line.split()) - 1


@pytest.mark.parametrize("line", ['"1" "2" "3"', "u a,b c,d", "u (a) (b)", "u a, b c", "u 'til x", "u: x"])
def test_signs_that_belong_to_ids_are_read(line, tmp_path):
    if line != "u: x":
        assert len(read(file(tmp_path, f"{line}\n"))) == len(line.split()) - 1
    assert len(read(file(tmp_path, f"{line}\n", separator=" "))) == len(line.split()) - 1
    assert not marks("u a b") and not marks("  ")


@pytest.mark.parametrize(("line", "source"), [(",1,2,3", SequencesFile), ("u,1,,3", SequencesFile), (",2", Pairs)])
def test_an_empty_field_is_refused_with_its_line(line, source, tmp_path):
    refused(file(tmp_path, f"5,4\n{line}\n", source, separator=","), "s.txt, line 2: ", repr(line))


def test_empty_fields_at_the_end_of_a_line_are_passed_over(tmp_path):
    assert told(read(file(tmp_path, "u,1,3,,\n,,\nv,2\n", separator=","))) == [("u", 1), ("u", 3), ("v", 2)]


def test_lines_of_events_are_sent_to_the_option_that_reads_them(tmp_path):
    lines = "1 1193 5 978300760\n1 661 3 978302109\n"
    refused(file(tmp_path, lines), "line 2: user '1' has a line already", "data=table")
    refused(file(tmp_path, "1 2\n1 3\n"), "data=pairs")
    with pytest.raises(ValueError, match="has a line already, line 1") as error:
        read(file(tmp_path, "1 2 4 5\n2 3\n1 3\n"))
    assert "data=" not in str(error.value)


NETFLIX = "1:\n1488844,3,2005-09-06\n1488845,4,2005-09-07\n2:\n1488844,5,2005-09-08\n"


def test_lines_that_name_the_item_of_others_come_with_a_command_that_works(tmp_path):
    columns = ("item", "user", "rating", "timestamp")
    for source in (file(tmp_path, NETFLIX), file(tmp_path, NETFLIX, Pairs), table(tmp_path, NETFLIX)):
        refused(source, "awk '/:$/")
    with pytest.raises(ValueError, match="line 1: expected") as error:
        read(table(tmp_path, NETFLIX, "log.csv", columns=columns))
    command = re.search(r"(awk .* OLD > NEW)\.", str(error.value))[1]
    names = (shlex.quote(str(tmp_path / name)) for name in ("log.csv", "new.csv"))
    subprocess.run(command.replace("OLD", next(names)).replace("NEW", next(names)), shell=True, check=True)
    events = read(table(tmp_path, (tmp_path / "new.csv").read_bytes(), "new.csv", columns=columns))
    assert events.item_ids[events.item].tolist() == [1, 1, 2]


ROWS = "".join(f"{user} {user + k}\n" for user in range(9) for k in range(6))


@pytest.mark.parametrize("first", ["user_id item_id", "# x", "user 3"])
def test_a_first_line_that_is_a_header_or_a_comment_is_told(first, tmp_path):
    told = f"warning: the first event has the user {first.split()[0]!r}, and all others are whole numbers"
    assert any(line.startswith(told) for line in prepare(file(tmp_path, f"{first}\n{ROWS}", Pairs)).log)
    source = table(tmp_path, f"{first}\n{ROWS}".replace(" ", ","), columns=("user", "item"), timestamp=None)
    assert header_line(read(source)) == header_line(read(file(tmp_path, f"{first}\n1 2 3\n2 3\n3 4\n")))


@pytest.mark.parametrize("rows", [ROWS, "x 1\ny 2\n3 3\n", "u1 a\nu2 5\nu3 b\n", "007 08\n1 2\n3 4\n"])
def test_other_first_lines_are_not(rows, tmp_path):
    assert not header_line(read(file(tmp_path, rows, Pairs)))
