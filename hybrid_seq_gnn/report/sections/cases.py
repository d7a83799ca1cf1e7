"""Single users: whom the hybrid helps most and whom it hurts most, what both recommend, and what the graph says."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid_seq_gnn.data.titles import Titles
from hybrid_seq_gnn.errors import UserError, as_user_error
from hybrid_seq_gnn.report.facts import Facts
from hybrid_seq_gnn.report.page import Section
from hybrid_seq_gnn.results.configurations import Configuration
from hybrid_seq_gnn.results.labels import counted
from hybrid_seq_gnn.results.runs import FinishedRun

if TYPE_CHECKING:
    import pandas as pd

    from hybrid_seq_gnn.use.histories import Histories
    from hybrid_seq_gnn.use.load import Trained

PEOPLE = 10  # of each kind
OPEN = 4  # of these, not folded away
BEST = 5  # items of a recommendation
EVENTS = 8  # latest events
LETTERS = 48  # of a title


def write(section: Section, facts: Facts) -> None:
    base = facts.baseline
    hybrid = next((one for one in facts.tested if one.settings.get("model") == "hybrid"), None)
    if base is None or hybrid is None or facts.comparison is None:
        section.gap("single users: there are no hybrid and baseline that can be compared user by user.")
        return
    seeds = sorted({*hybrid.seeds} & {*base.seeds})
    if not seeds:
        section.gap(f"single users: {hybrid.name} and the baseline ({base.name}) have no seed in common.")
        return
    ours, theirs = (next(run for run in one.runs if run.seed == seeds[0]) for one in (hybrid, base))
    frame = gains(ours, theirs)
    section.text(summary(frame, hybrid, base, seeds[0]))
    helped, hurt = extremes(frame)
    if not len(helped) + len(hurt):
        return
    try:
        cards, note = cards_of([*helped.itertuples(), *hurt.itertuples()], ours, theirs)
    except UserError as error:
        section.gap(f"what was recommended to single users needs both models and their data: {error}")
        return
    if note:
        section.gap(f"titles of items: {note}")
    for what, part in (("helps", cards[: len(helped)]), ("hurts", cards[len(helped) :])):
        if part:
            section.text(f"Whom the hybrid {what} most:")
            section.add("cases", cases=part[:OPEN])
        if rest := part[OPEN:]:
            section.add("cases", cases=rest, summary=f"{len(rest)} more whom it {what}")


def gains(ours: FinishedRun, theirs: FinishedRun) -> "pd.DataFrame":
    """user, target, length, the ranks `ours` and `theirs`, and the gain 1 / ours - 1 / theirs of every test user."""
    other = theirs.per_user[["user", "target", "rank"]].rename(columns={"rank": "theirs"})
    frame = ours.per_user[["user", "target", "length", "rank"]].rename(columns={"rank": "ours"})
    frame = frame.merge(other, on=["user", "target"], validate="one_to_one")
    return frame.assign(gain=1 / frame["ours"] - 1 / frame["theirs"])


def extremes(frame: "pd.DataFrame") -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """The users with the greatest gains and those with the greatest losses; of equal ones the first by id."""
    up, down = (frame.sort_values(["gain", "user"], ascending=[order, True]) for order in (False, True))
    return up[up["gain"] > 0].head(PEOPLE), down[down["gain"] < 0].head(PEOPLE)


def summary(frame: "pd.DataFrame", hybrid: Configuration, base: Configuration, seed: int) -> str:
    higher, lower = int((frame["gain"] > 0).sum()), int((frame["gain"] < 0).sum())
    return (
        f"{hybrid.name} (the hybrid) ranks the held-out item higher than {base.name} (the baseline) for {higher:,} of "
        f"{len(frame):,} users, and lower for {lower:,}; seed {seed}. Below are the greatest differences of 1 / rank. "
        "They show how the two differ, and prove nothing: among many users there are always some such. ✓ marks the "
        "held-out item; after an event stands its share of what the graph side says for an item."
    )


def cards_of(people: Sequence[Any], ours: FinishedRun, theirs: FinishedRun) -> tuple[list[dict[str, Any]], str]:
    """A card for each user, and why there are no titles if their file cannot be read.

    Raises:
        UserError: a model or the data are not there, or not those of the runs.
    """
    from hybrid_seq_gnn.use.explain import because, explain
    from hybrid_seq_gnn.use.histories import of_training
    from hybrid_seq_gnn.use.load import load_trained
    from hybrid_seq_gnn.use.titles import titles_of

    models = []
    for run in (ours, theirs):
        with as_user_error(f"{run.folder / 'model.pt'} cannot be used"):  # a report is more than its cases
            models.append(load_trained(run, "cpu"))
    model, other = models
    users, targets = [person.user for person in people], model.numbers([person.target for person in people])
    histories = of_training(model, users, before="test")
    best, before = (recommended(each, histories, targets) for each in (model, other))
    note, titles = "", Titles()
    try:
        titles = titles_of(model.config["data"])
    except UserError as error:
        note = str(error)
    why = explain(model, histories, np.stack([targets, best[:, 0]], axis=1))

    def name(item: int) -> str:
        return name_of(model.item_ids[item - 1], titles)

    cards = []
    for u, (person, target) in enumerate(zip(people, targets.tolist(), strict=True)):
        events = histories.of(u).tolist()
        first, share = int(best[u, 0]), float(why.share[u, 0])
        said = [because(why.reasons[u, k], why.weights[u, k], name) for k in range(2)]
        lists = [[(name(item), item == target) for item in one[u].tolist() if item] for one in (before, best)]
        about = [counted(person.length, "event")]
        about += [f"alpha {why.alpha[u]:.2f}"] if why.alpha is not None else []
        card = {
            "user": f"User {person.user}",
            "ranks": (int(person.theirs), int(person.ours)),
            "about": ", ".join(about),
            "events": [name(item) for item in events[-EVENTS:]],
            "earlier": len(events) > EVENTS,
            "target": name(target),
            "share": "" if np.isnan(share) else f"{100 * share:.0f} % of its score from the sequence side",
            "lists": [("baseline", lists[0]), ("hybrid", lists[1])],
            "reasons": [(name(target), said[0])] + ([(name(first), said[1])] if first not in (0, target) else []),
        }
        cards.append(card)
    return cards, note


def recommended(model: "Trained", histories: "Histories", targets: np.ndarray) -> np.ndarray:
    """The best items (U, K) of the evaluation's candidates: the held-out item stays one if it was had before.

    Args:
        histories: what came before the held-out items.
        targets: (U,) numbers of the held-out items.
    """
    from hybrid_seq_gnn.use.recommend import recommend

    k = min(BEST + int(histories.lengths.max()), model.num_items)
    best = np.zeros((len(histories), BEST), dtype=np.int64)
    for u, items in enumerate(next(recommend(model, histories, k, include_seen=True)).items):
        had = histories.of(u) if model.mask_history else histories.items[:0]
        left = items[~np.isin(items, had) | (items == targets[u])][:BEST]
        best[u, : len(left)] = left
    return best


def name_of(item: Any, titles: Titles) -> str:
    """The title of an item, or its id."""
    plain = item.item() if isinstance(item, np.generic) else item
    title = titles.get(plain, f"item {plain}" if isinstance(plain, int) else str(plain))
    return title if len(title) <= LETTERS else f"{title[: LETTERS - 1].rstrip()}…"
