"""Filters on events. Each filter reports in one line what it removed."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from hybrid_seq_gnn.data.events import Events
from hybrid_seq_gnn.data.source import Source
from hybrid_seq_gnn.errors import UserError


def filter_events(events: Events, source: Source) -> tuple[Events, list[str]]:
    """The events that pass all filters of `source`, in file order, and one log line per filter.

    Raises:
        UserError: a minimum rating or `drop` is set but the data have no ratings or times, or no event is left.
    """
    log: list[str] = []

    def step(name: str, keep: Callable[[Events], np.ndarray], again: bool = False) -> None:
        nonlocal events
        before = events
        while not (rows := keep(events)).all():
            events = events.keep(rows)
            if not again:
                break
        log.append(
            f"{name}: removed {len(before) - len(events):,} of {len(before):,} events, "
            f"{distinct(before.user) - distinct(events.user):,} users, "
            f"{distinct(before.item) - distinct(events.item):,} items"
        )

    if source.duplicates == "drop" and events.timestamp is None:
        column = " or set data.timestamp to a column" if "timestamp" in source.settings else ""
        raise UserError(
            "data.duplicates=drop: these data have no times, so an event that is there twice cannot be told from one "
            f"that happened again; set it to keep{column}."
        )
    if repeats := int((again := repeated_events(events)).sum()):
        dropped = source.duplicates == "drop"
        what = "are dropped" if dropped else "are kept; data.duplicates=drop drops them"
        log.append(
            f"{repeats:,} of {len(events):,} events repeat an earlier one (same user, item and time); they {what}"
        )
        events = events.keep(~again) if dropped else events
    if (least := source.min_rating) is not None:
        if events.rating is None:
            column = " or set data.rating to a column" if "rating" in source.settings else ""
            raise UserError(f"data.min_rating={least:g}: these data have no ratings; set it to null{column}.")
        step(f"data.min_rating={least:g}", lambda e: np.asarray(e.rating) >= least)
    if (k := source.k_core) > 1:
        step(f"data.k_core={k}", lambda e: (e.per_user() >= k) & (e.per_item() >= k), again=True)
    if source.min_item_events > 1:
        step(f"data.min_item_events={source.min_item_events}", lambda e: e.per_item() >= source.min_item_events)
    longest = int(events.per_user().max(initial=0))
    if source.min_user_events > 1:
        step(f"data.min_user_events={source.min_user_events}", lambda e: e.per_user() >= source.min_user_events)
    if not len(events):
        raise UserError(
            f"no user is left: the longest history has {longest} events before the last filter. {'; '.join(log)}. "
            "Lower data.min_user_events, data.k_core or data.min_rating."
        )
    if source.max_users is not None:
        users = pd.unique(events.user)[: source.max_users]  # in order of first appearance
        step(f"data.max_users={source.max_users}", lambda e: np.isin(e.user, users))
    return events, log


def distinct(codes: np.ndarray) -> int:
    """How many different codes there are."""
    return int(np.count_nonzero(np.bincount(codes)))


def repeated_events(events: Events) -> np.ndarray:
    """(events,) whether an earlier row has the same user, item and time; never, where there are no times."""
    if events.timestamp is None:
        return np.zeros(len(events), dtype=bool)
    pair = events.user * len(events.item_ids) + events.item
    ordered = np.sort(pair)
    rows = np.flatnonzero(pd.Series(pair).isin(ordered[1:][ordered[1:] == ordered[:-1]]))  # few, in most data
    found = np.zeros(len(events), dtype=bool)
    found[rows] = pd.DataFrame({"pair": pair[rows], "timestamp": events.timestamp[rows]}).duplicated()
    return found
