"""How to do it again."""

from hybrid_seq_gnn.evaluation.metrics import METRIC
from hybrid_seq_gnn.report.facts import Facts
from hybrid_seq_gnn.report.page import Section
from hybrid_seq_gnn.results.configurations import Configuration
from hybrid_seq_gnn.results.labels import value_in_words
from hybrid_seq_gnn.run.identity import flatten


def write(section: Section, facts: Facts) -> None:
    runs = facts.runs
    commands = list(dict.fromkeys(run.results["command"] for run in runs if run.results.get("command")))
    if commands:
        section.pre("\n".join(commands))
    else:
        section.gap("the runs do not say which commands made them.")
    found: dict[str, list[str]] = {}
    for run in runs:
        for package, version in (run.results.get("versions") or {}).items():
            found.setdefault(package, []).append(str(version))
    rows = [[package, ", ".join(dict.fromkeys(versions))] for package, versions in found.items()]
    states = [run.results.get("git") or {} for run in runs]
    commits = dict.fromkeys(
        f"{state.get('commit') or 'unknown'}{' with changes' if state.get('dirty') else ''}" for state in states
    )
    rows.append(["git commit of the software", ", ".join(commits)])
    rows.append(["device", "; ".join(dict.fromkeys(run.machine for run in runs))])
    section.table(["version", ""], rows)
    several = [package for package, versions in found.items() if len(set(versions)) > 1]
    if several or len(commits) > 1:
        what = [*several, *(["the software"] if len(commits) > 1 else [])]
        section.text(f"The runs were not all made with the same version of {', '.join(what)}.")
    table = [
        [one.name, run.seed, str(run.folder), str(run.results.get("identity", "–"))[:16], run.split_hash[:16]]
        for one in facts.configurations
        for run in one.runs
    ]
    section.table(
        ["configuration", "seed", "folder", "identity (sha256)", "data and split"],
        table,
        summary=f"All {len(runs)} runs",
    )
    for one in facts.configurations:
        seeds = ", ".join(map(str, one.seeds))
        summary = f"{one.name} (seeds {seeds}; validation {METRIC} {one.validation:.4f}): its configuration"
        section.pre(configuration(one), summary=summary)


def configuration(one: Configuration) -> str:
    """Every setting of a configuration in the words of the command line, a line each."""
    results = one.runs[0].results
    options = [f"{group}={option}" for group, option in results["options"].items() if results["config"].get(group)]
    lines = [f"{key}={value_in_words(v, exact=True)}" for key, v in flatten(results["config"]) if "." in key]
    return "\n".join([*options, *lines])
