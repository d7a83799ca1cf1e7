"""What the runs learned from: data and graph."""

import json
from typing import Any

from hybrid_seq_gnn.report.facts import Facts
from hybrid_seq_gnn.report.page import Section
from hybrid_seq_gnn.results.labels import value_in_words
from hybrid_seq_gnn.run.identity import flatten


def write(section: Section, facts: Facts) -> None:
    first = facts.runs[0].results
    data = first["data"]
    users, items, events = (data.get(key) for key in ("users", "items", "events"))
    groups = {g: m["count"] for g, m in first["grouped_metrics"].items()}
    rows: list[list[Any]] = [["data set", str(first["options"].get("data"))]]
    rows += [[name, f"{value:,}"] for name, value in (("users", users), ("items", items), ("events", events)) if value]
    if users and items and events:
        rows += [["events a user, mean", f"{events / users:.1f}"], ["density", f"{events / users / items:.3%}"]]
    if facts.users is not None and len(facts.users):
        quantiles = facts.users["length"].quantile([0, 0.25, 0.5, 0.75, 1])
        rows.append(["length of test histories: least, quartiles, greatest", ", ".join(f"{q:.0f}" for q in quantiles)])
    rows += [[f"test users, {group}", f"{count:,}"] for group, count in groups.items()]
    rows += [["filter", str(line)] for line in data.get("filters", [])]
    settings = {k: v for k, v in flatten(first["config"].get("data") or {}) if k != "url" and v is not None}
    rows += [[f"data.{key}", value_in_words(value)] for key, value in settings.items()]
    rows += [["hash of the data (sha256)", str(data.get("hash"))], ["hash of data and split", str(data["split_hash"])]]
    section.table(["data", ""], rows)
    graphs: dict[str, list[str]] = {}
    for one in facts.configurations:
        if statistics := one.runs[0].results.get("graph"):
            graphs.setdefault(json.dumps(statistics), []).append(one.name)
    if not graphs:
        section.gap("no run here uses a graph.")
        return
    cards = [dict(flatten(json.loads(text))) for text in graphs]
    keys = list(dict.fromkeys(key for card in cards for key in card))
    header = ["graph", *(f"graph {k + 1}" for k in range(len(cards)))] if len(cards) > 1 else ["graph", ""]
    body = [[key, *(figure_of(card.get(key)) for card in cards)] for key in keys]
    section.table(header, [*body, ["used by", *("; ".join(names) for names in graphs.values())]])


def figure_of(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
