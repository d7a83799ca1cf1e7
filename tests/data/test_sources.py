import gzip
import zipfile

import numpy as np
import pandas as pd
import pytest

from hybrid_seq_gnn.data.movielens import MovieLens1M, MovieLens20M, MovieLens100K
from hybrid_seq_gnn.data.movietweetings import MovieTweetings
from hybrid_seq_gnn.data.pairs import Pairs
from hybrid_seq_gnn.data.prepare import prepare
from hybrid_seq_gnn.data.recbole import RecBole
from hybrid_seq_gnn.data.sequences_file import SequencesFile
from hybrid_seq_gnn.data.synthetic import Synthetic
from hybrid_seq_gnn.data.table import Table
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.evaluation.groups import LengthGroups

ROWS = [("7", "b", 5.0, 30), ("7", "a", 3.0, 10), ("08", "a", 4.0, 20), ("7", "c", 1.0, 10)]


def facts(source):
    prepared = prepare(source)
    group = LengthGroups().group_of(prepared.split.test)
    sequences = prepared.sequences
    return (
        sequences.num_users,
        sequences.num_items,
        len(sequences.items),
        *(int((group == name).sum()) for name in ("short", "medium", "long")),
    )


def told(events):
    """The rows of `events`, as the source has them."""
    columns = [events.user_ids[events.user].tolist(), events.item_ids[events.item].tolist()]
    columns += [column.tolist() for column in (events.rating, events.timestamp) if column is not None]
    return list(zip(*columns, strict=True))


def read(source):
    return source.read(source.content())


def test_the_bundled_data_have_their_known_counts():
    assert facts(MovieTweetings()) == (4333, 2414, 68055, 2416, 1772, 145)


def test_item_ids_with_leading_zeros_come_back_as_they_were():
    sequences = prepare(MovieTweetings()).sequences
    assert sequences.user_ids.dtype == np.int64
    assert "0385002" in sequences.item_ids


def test_ml_100k_with_ratings_from_4_has_its_known_groups(shared_data):
    users, _, _, *groups = facts(MovieLens100K(path=str(shared_data / "ml-100k.zip"), min_rating=4.0))
    assert (users, groups) == (938, [86, 494, 358])


def test_ml_1m_with_ratings_from_4_has_its_known_users(shared_data):
    assert facts(MovieLens1M(path=str(shared_data / "ml-1m.zip"), min_rating=4.0))[0] == 6034


def test_beauty_has_its_known_counts(shared_data):
    assert facts(SequencesFile(path=str(shared_data / "beauty.txt.gz")))[:3] == (22363, 12101, 198502)


@pytest.mark.parametrize("ending", ["csv", "tsv", "csv.gz", "parquet"])
def test_a_table_is_read_in_file_order_with_its_own_ids(ending, tmp_path):
    path = tmp_path / f"log.{ending}"
    frame = pd.DataFrame(ROWS, columns=["who", "what", "stars", "when"])
    if ending == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
    table = Table(path=str(path), user="who", item="what", rating="stars", timestamp="when")
    assert told(read(table)) == ROWS


def test_a_table_may_have_quotes_other_separators_windows_line_ends_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes('\ufeffuser;item;timestamp\r\n1;"a;b";5\r\n2;c;6\r\n'.encode())
    assert told(read(Table(path=str(path), separator=";"))) == [(1, "a;b", 5), (2, "c", 6)]


def test_a_table_without_times_keeps_the_order_of_its_rows(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item\n" + "".join(f"1,{item}\n" for item in (5, 3, 9, 4, 8)))
    prepared = prepare(Table(path=str(path), timestamp=None))
    assert prepared.sequences.item_ids[prepared.sequences.items - 1].tolist() == [5, 3, 9, 4, 8]


def test_a_recbole_file_is_read_by_its_typed_header(tmp_path):
    path = tmp_path / "x.inter"
    lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float", *("\t".join(map(str, row)) for row in ROWS)]
    path.write_text("\n".join(lines))
    assert told(read(RecBole(path=str(path)))) == ROWS


def test_a_recbole_file_may_lack_times_and_ratings(tmp_path):
    path = tmp_path / "x.inter"
    path.write_text("item_id:token\tuser_id:token\nb\t1\na\t1\n")
    assert told(read(RecBole(path=str(path)))) == [(1, "b"), (1, "a")]


@pytest.mark.parametrize("path", ["", "*.inter"])
def test_the_parts_of_a_recbole_split_are_read_in_the_order_of_time(path, tmp_path):
    for item, name in enumerate(("train", "valid", "test")):
        (tmp_path / f"x.{name}.inter").write_text(f"user_id:token\titem_id:token\n1\t{item}\n")
    assert told(read(RecBole(path=str(tmp_path / path)))) == [(1, 0), (1, 1), (1, 2)]


@pytest.mark.parametrize("column", ["timestamp", "rating"])
@pytest.mark.parametrize(("one", "other"), [("1", "2"), ("2", "1")])
def test_a_column_that_some_recbole_files_lack_is_not_left_out_unsaid(column, one, other, tmp_path):
    (tmp_path / f"x.part{one}.inter").write_text("user_id:token\titem_id:token\n1\t2\n")
    (tmp_path / f"x.part{other}.inter").write_text(f"user_id:token\titem_id:token\t{column}:float\n1\t3\t4\n")
    with pytest.raises(UserError, match=f"{column}.*data.{column}.* has"):
        read(RecBole(path=str(tmp_path)))


@pytest.mark.parametrize("ending", ["txt", "txt.gz"])
def test_a_sequence_file_has_a_line_a_user(ending, tmp_path):
    path = tmp_path / f"s.{ending}"
    text = b"u1 5 3\nu2 9\n"
    path.write_bytes(gzip.compress(text) if ending.endswith("gz") else text)
    assert told(read(SequencesFile(path=str(path)))) == [("u1", 5), ("u1", 3), ("u2", 9)]


def archive(path, members):
    with zipfile.ZipFile(path, "w") as file:
        for name, text in members.items():
            file.writestr(name, text)
    return path


def test_movielens_is_the_same_from_zip_folder_and_file(tmp_path):
    text = "1::10::5::100\n1::11::4::90\n"
    (tmp_path / "ml-1m").mkdir()
    (tmp_path / "ml-1m" / "ratings.dat").write_text(text)
    archive(tmp_path / "ml-1m.zip", {"ml-1m/ratings.dat": text})
    for path in ("ml-1m.zip", "ml-1m", "ml-1m/ratings.dat", "."):
        assert told(read(MovieLens1M(path=str(tmp_path / path)))) == [(1, 10, 5.0, 100), (1, 11, 4.0, 90)]


def test_ml_20m_has_a_header(tmp_path):
    path = archive(tmp_path / "x.zip", {"ml-20m/ratings.csv": "userId,movieId,rating,timestamp\n1,10,3.5,100\n"})
    assert told(read(MovieLens20M(path=str(path)))) == [(1, 10, 3.5, 100)]


@pytest.mark.parametrize("member", ["../evil.txt", "/etc/evil", "a/../../evil", "..\\evil"])
def test_a_zip_whose_members_point_outside_is_refused(member, tmp_path):
    path = archive(tmp_path / "x.zip", {"ml-1m/ratings.dat": "1::2::3::4\n", member: "x"})
    with pytest.raises(ValueError, match="points outside its folder"):
        MovieLens1M(path=str(path)).content()


def test_a_zip_without_the_file_says_what_it_has(tmp_path):
    path = archive(tmp_path / "x.zip", {"readme.txt": "x"})
    with pytest.raises(ValueError, match=r"has no ml-1m/ratings\.dat; it has readme\.txt"):
        MovieLens1M(path=str(path)).content()


BROKEN = [
    ("1::2::3::4\n1::2::3\n", r"line 2: expected user::item::rating::timestamp, got '1::2::3'"),
    ("1::2::3::4\n\n1::2::3::4::5\n", r"line 3: expected user::item::rating::timestamp"),
    ("1::2::3::noon\n", r"line 1: expected a number or an ISO 8601 date as timestamp, got '1::2::3::noon'"),
    ("1::2::many::4\n", r"line 1: expected a number as rating"),
    ("1::2::3::nan\n", r"line 1: expected a number or an ISO 8601 date as timestamp"),
    ("1::2::3::inf\n", r"line 1: expected a number or an ISO 8601 date as timestamp"),
    ("::2::3::4\n", r"line 1: expected a user"),
    ("1,2,3,4\n", r"line 1: expected user::item::rating::timestamp, got '1,2,3,4'.*data=table"),
    ("  \n\n", r"is empty"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_the_first_broken_line_is_named(text, message, tmp_path):
    path = tmp_path / "ratings.dat"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        read(MovieLens1M(path=str(path)))
    assert str(path) in str(error.value)


def test_a_broken_line_is_found_far_down(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item,timestamp\n" + "1,2,3\n" * 5000 + '2,"x,y",\n' + "1,2,3\n")
    with pytest.raises(ValueError, match="line 5002: expected a number as timestamp"):
        read(Table(path=str(path)))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (lambda p: Table(path=str(p / "no.csv")), "there is no such file"),
        (lambda p: Table(path=str(p)), "is a folder"),
        (lambda p: Table(), "data.path is not set"),
    ],
)
def test_a_missing_file_is_named(source, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        source(tmp_path).content()


def test_a_sequence_file_with_a_bare_user_or_a_user_twice_is_refused(tmp_path):
    path = tmp_path / "s.txt"
    path.write_text("u1 5 3\nu2\n")
    with pytest.raises(ValueError, match="line 2: expected user item item"):
        read(SequencesFile(path=str(path)))
    path.write_text("u1 5 3\nu2 3\nu1 4\n")
    with pytest.raises(ValueError, match="line 3: user 'u1' has a line already, line 1"):
        read(SequencesFile(path=str(path)))


def test_parquet_with_a_missing_value_or_text_for_times_is_refused(tmp_path):
    path = tmp_path / "x.parquet"
    pd.DataFrame({"user": [1, 2], "item": ["a", None], "timestamp": [1, 2]}).to_parquet(path)
    with pytest.raises(ValueError, match=r"row 2: column 'item'"):
        read(Table(path=str(path)))
    pd.DataFrame({"user": [1], "item": ["a"], "timestamp": ["noon"]}).to_parquet(path)
    with pytest.raises(ValueError, match="holds neither numbers nor ISO 8601 dates"):
        read(Table(path=str(path)))


def test_in_an_ordered_world_the_last_item_tells_the_next():
    sequences = prepare(Synthetic(users=300, items=100, order_strength=1.0, short_share=0.5)).sequences
    following: dict[int, list[int]] = {}
    for user in range(sequences.num_users):
        history = sequences.history(user, sequences.lengths[user])
        for one, other in zip(history[:-1].tolist(), history[1:].tolist(), strict=True):
            following.setdefault(one, []).append(other)
    assert all(len(set(items)) == 1 for items in following.values())


def test_short_share_is_the_share_of_short_histories():
    for share_of_short in (0.0, 1.0):
        lengths = prepare(Synthetic(users=200, short_share=share_of_short)).sequences.lengths
        assert ((lengths <= 12).mean()) == share_of_short


def test_no_user_of_a_synthetic_world_has_an_item_twice():
    sequences = prepare(Synthetic(users=200, items=60)).sequences
    for user in range(200):
        history = sequences.history(user, sequences.lengths[user])
        assert len(set(history.tolist())) == len(history)


@pytest.mark.parametrize(
    "setting",
    [
        {"k_core": -1},
        {"min_user_events": 2},
        {"max_users": 0},
        {"valid_share": 0.0},
        {"test_share": 1.0},
        {"order_strength": 1.5},
        {"users": 0},
    ],
)
def test_a_bad_setting_is_refused_by_name(setting):
    with pytest.raises(ValueError, match=rf"data\.{next(iter(setting))}="):
        Synthetic(**setting)


@pytest.mark.parametrize("source", [Table, RecBole, Pairs, SequencesFile])
def test_an_empty_separator_is_refused_with_how_a_blank_is_written(source):
    with pytest.raises(UserError, match=r"""data\.separator is empty.*data\.separator="' '\""""):
        source(separator="")
