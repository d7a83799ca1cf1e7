"""What the log says of data that can be read, but may mean something else: missing ids, times, ties, repeats."""

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from hybrid_seq_gnn.data.events import Events
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split

MISSING = {"", "na", "n/a", "nan", "nat", "null", "none", "\\n", "<na>", "(null)"}  # how programs write what is missing
UNITS = {
    "s": ("seconds", 1),
    "ms": ("milliseconds", 10**3),
    "us": ("microseconds", 10**6),
    "ns": ("nanoseconds", 10**9),
}
CLOCK = {8: "", 12: "%H%M", 14: "%H%M%S"}  # how long a date with a time of day is
RECENT = (6e8, 6e9)  # seconds, from 1989 to 2160
MOST_REPEATS = 0.1  # of held-out items that repeat an event before
MOST_TIES = 0.2  # of held-out items that have the time of the event before


def missing_ids(events: Events) -> list[str]:
    """A line for each user and item whose id looks like a missing one."""
    lines = []
    for name, codes, ids in (("user", events.user, events.user_ids), ("item", events.item, events.item_ids)):
        if ids.dtype != object:
            continue
        words = pc.utf8_lower(pc.utf8_trim_whitespace(pa.array(ids, pa.string())))
        for k in np.flatnonzero(pc.is_in(words, pa.array(sorted(MISSING)))):
            count = int((codes == k).sum())
            lines.append(f"warning: {count:,} events have the {name} {ids[k]!r}; if that means missing, remove them")
    return lines


def header_line(events: Events) -> list[str]:
    """A line where the id of the first event is no number and all others of its column are: a header or a comment."""
    for name, ids in (("user", events.user_ids), ("item", events.item_ids)):
        number = r"^-?\d+$"
        if ids.dtype != object or len(ids) < 3 or re.match(number, ids[0]) or not re.match(number, ids[1]):
            continue
        if pc.all(pc.match_substring_regex(pa.array(ids[1:], pa.string()), number)).as_py():
            return [
                f"warning: the first event has the {name} {ids[0]!r}, and all others are whole numbers; if its line is "
                "a header or a comment, remove it (data=table passes over a header with data.header=true)"
            ]
    return []


def time_span(events: Events) -> list[str]:
    """A line with the first and last time, as dates where the unit is known or can be guessed from the last."""
    if events.timestamp is None:
        return []
    first, last = events.timestamp.min(), events.timestamp.max()
    unit, guessed = events.unit, ""
    for each, (name, second) in UNITS.items():
        if events.unit is None and RECENT[0] * second <= last < RECENT[1] * second:
            unit, guessed = each, f", read as {name} since 1970"
    if unit is None:
        return [f"times: {first} to {last}", *digits_of_dates(events.timestamp)]
    days = np.array([int(first), int(last)]).astype(f"datetime64[{unit}]").astype("datetime64[D]")
    return [f"times: {days[0]} to {days[1]} (UTC{guessed})"]


def digits_of_dates(times: np.ndarray) -> list[str]:
    """A line where whole numbers are the digits of dates that begin with the day or month, which sort wrongly."""
    width = len(str(times.max())) + len(str(times.max())) % 2  # a first zero is missing
    if times.dtype.kind != "i" or width not in CLOCK or times.min() < 10 ** (width - 2):
        return []
    for form in (f"%d%m%Y{CLOCK[width]}", f"%m%d%Y{CLOCK[width]}"):
        if are_dates(times[:100], form, width) and are_dates(times, form, width):
            return [
                "warning: the times look like dates that begin with the day or month but sort as numbers: data=table "
                f"reads them as dates with data.time_format={form}"
            ]
    return []


def are_dates(times: np.ndarray, form: str, width: int) -> bool:
    """Whether all numbers, with zeros before them, are dates of our time."""
    dates = pd.to_datetime(pd.Series(np.unique(times)).astype(str).str.zfill(width), format=form, errors="coerce")
    return bool(dates.notna().all() and dates.dt.year.between(1970, 2100).all())


def tied_targets(events: Events, sequences: Sequences, split: Split) -> list[str]:
    """A line where more than a fifth of the held-out items have the same time as the event before them."""
    times, at = sequences.timestamps, targets(sequences, split)
    share = 0.0 if times is None or not len(at) else float((times[at] == times[at - 1]).mean())
    if share <= MOST_TIES:
        return []
    backwards = "; it has the newest events first: turn its rows around" if newest_first(events) else ""
    return [
        f"warning: {100 * share:.0f} % of the held-out items have the time of the event before them, so the order of "
        f"the file decides{backwards}"
    ]


def newest_first(events: Events) -> bool:
    """Whether, in file order, most events of a user are earlier than the one before."""
    order = np.argsort(events.user, kind="stable")
    user, times = events.user[order], np.asarray(events.timestamp)[order]
    same = user[1:] == user[:-1]
    return int((same & (times[1:] < times[:-1])).sum()) > int((same & (times[1:] > times[:-1])).sum())


def repeated_targets(sequences: Sequences, split: Split, duplicates: str) -> list[str]:
    """A line where more than a tenth of the held-out items are among the events before them."""
    at = targets(sequences, split)
    share = float(repeats_history(sequences, split).mean()) if len(at) else 0.0
    if share <= MOST_REPEATS:
        return []
    said = f"warning: {100 * share:.0f} % of the held-out items are in the user's history already"
    last = float((sequences.items[at] == sequences.items[at - 1]).mean())
    if last > MOST_REPEATS:
        said += f" ({100 * last:.0f} % repeat the event before them, so a model that repeats the last item looks good"
        twice = duplicates == "keep" and sequences.timestamps is not None
        said += "; data.duplicates=drop helps if the file has events twice)" if twice else ")"
    return [
        f"{said}; recommend shows none of these, unless with --include-seen or evaluation.mask_history=false "
        "loss=cross_entropy"
    ]


def repeats_history(sequences: Sequences, split: Split) -> np.ndarray:
    """Whether each test target is among the events before it."""
    users = np.flatnonzero(split.test > 0)
    target = np.zeros(sequences.num_users, dtype=sequences.items.dtype)
    target[users] = sequences.items[targets(sequences, split)]
    same = np.flatnonzero(sequences.items == np.repeat(target, sequences.lengths))  # the targets, and few others
    user = np.searchsorted(sequences.indptr, same, side="right") - 1
    before = user[same - sequences.indptr[user] < split.test[user]]
    return np.isin(users, before)


def targets(sequences: Sequences, split: Split) -> np.ndarray:
    """Where the test targets stand in `sequences.items`."""
    users = np.flatnonzero(split.test > 0)
    return np.asarray(sequences.indptr[users] + split.test[users])
