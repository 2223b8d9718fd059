# SPDX-License-Identifier: MIT
"""The table of a session: on the terminal, and between the marks of docs/benchmarks.md."""

import datetime
import pathlib
import platform
import re
import statistics
import subprocess

from session import ROOT, percentiles, spread

PAGE = ROOT / "docs" / "benchmarks.md"
RAW = ROOT / "docs" / "benchmarks"
MARKS = ("<!-- figures: begin -->", "<!-- figures: end -->")
LEAST = {"two_calls": 0.08, "stamping": 0.04, "reducer": 0.32}
INSTRUCTIONS_MAX = {"interpreter": 80000, "workflow": 220000, "counting": 11500}


def first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return ((done.stdout or done.stderr).strip().splitlines() or ["unknown"])[0]


def machine() -> list[str]:
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text("utf-8"))
    cores = sum(
        line.startswith("processor") for line in open("/proc/cpuinfo", encoding="utf-8").readlines()
    )
    memory = re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text("utf-8"))
    system = re.search(r'PRETTY_NAME="(.*)"', pathlib.Path("/etc/os-release").read_text("utf-8"))
    return [
        f"{cores} cores of {cpu.group(1) if cpu else platform.machine()},"
        f" {int(memory.group(1)) // 1048576} GiB",
        f"{system.group(1) if system else platform.system()}, kernel {platform.release()}",
        first_line("pg_config", "--version"),
        first_line("cc", "--version"),
        "librdkafka " + first_line("pkg-config", "--modversion", "rdkafka"),
        "commit " + first_line("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"),
    ]


def of(runs: list[dict], name: str) -> list[float]:
    return [run[name] for run in runs]


def ratios(runs: list[dict], yardstick: list[float]) -> list[float]:
    """Each run against the yardstick of its own round."""
    return [run["per_second"] / base for run, base in zip(runs, yardstick)]


def workflow_rows(figures: dict) -> list[tuple[str, str, str]]:
    commits, single = figures["commits_64"], figures["commits_1"]
    rows = [
        ("commits/s, 64 clients (yardstick)", spread(commits), ""),
        ("commits/s, 1 client (yardstick)", spread(single), ""),
    ]
    kinds = [("two calls", clients, runs) for clients, runs in figures["two_calls"].items()]
    kinds += [("stamping", clients, runs) for clients, runs in figures["stamping"].items()]
    for kind, clients, runs in kinds:
        who = f"{kind}, {clients} client{'s' if clients > 1 else ''}"
        rows.append((
            f"{who}: workflows/s",
            spread(of(runs, "per_second")),
            f"{spread(ratios(runs, commits), 3)} per commit",
        ))
        median_ms = statistics.median(of(runs, "p50_ms"))
        compared = (
            f"p50 is {median_ms * statistics.median(single) / 1000:.1f} single commits"
            if clients == 1
            else ""
        )
        rows.append((
            f"{who}: p50, p99 ms",
            f"{spread(of(runs, 'p50_ms'), 2)}, {spread(of(runs, 'p99_ms'), 2)}",
            compared,
        ))
    for run in figures["open"]:
        rows.append((
            f"two calls, open loop, {run['rate']:,.0f}/s due",
            f"{run['per_second']:,.0f}/s",
            f"p50 {run['p50_ms']:.2f}, p99 {run['p99_ms']:.2f}, max {run['max_ms']:.1f} ms, from when due",
        ))
    return rows


def cost_rows(figures: dict) -> list[tuple[str, str, str]]:
    rows = []
    for kind, clients in (("two_calls", 1), ("two_calls", 64), ("stamping", 64)):
        runs = figures[kind][clients]
        rows.append((
            f"{kind.replace('_', ' ')}, {clients} client{'s' if clients > 1 else ''}: a workflow costs",
            f"{statistics.median(of(runs, 'cpu_us')):.0f} us CPU,"
            f" PostgreSQL {statistics.median(of(runs, 'postgres_cpu_us')):.0f} us",
            f"{statistics.median(of(runs, 'transactions')):.2f} transactions,"
            f" {statistics.median(of(runs, 'wal_bytes')):,.0f} B of WAL",
        ))
    return rows


def idle_rows(name: str, idle: dict, busy_mib: float) -> list[tuple[str, str, str]]:
    return [
        (f"{name}: start to ready, ms", spread(idle["start_ms"]), "5 starts"),
        (
            f"{name}: resident memory, MiB",
            f"{idle['rss_mib']:.1f} idle ({idle['anonymous_mib']:.1f} anonymous)",
            f"{busy_mib:.0f} at most under load",
        ),
        (f"{name}: idle queries/s", f"{idle['queries_per_second']:.2f}", "over 10 s"),
    ]


def load_rows(one: dict) -> list[tuple[str, str, str]]:
    """A topic: what kcat reads of it, what one reducer and two count of it."""
    name, rows = f"reducer, {one['load']}", []
    rows.append((f"{name}: kcat reads/s (yardstick)", spread(one["reads"]), f"{one['load'].events:,} events"))
    for count, runs in (("1 reducer", one["runs"]), ("2 reducers", one["two"])):
        rows.append((
            f"{name}: {count}, events/s",
            spread(of(runs, "per_second")),
            f"{spread(ratios(runs, one['reads']), 3)} per read;"
            f" {spread(of(runs, 'steady_per_second'))} between 10 % and 90 %",
        ))
    runs = one["runs"]
    rows.append((
        f"{name}: an event costs",
        f"{statistics.median(of(runs, 'cpu_us')):.2f} us CPU, PostgreSQL"
        f" {statistics.median(of(runs, 'postgres_cpu_us')):.2f} us",
        f"{statistics.median(of(runs, 'kafka_cpu_us')):.2f} us of it in the Kafka client;"
        f" {statistics.median(of(runs, 'wal_bytes')):.0f} B of WAL;"
        f" {max(of(runs, 'rss_mib')):.0f} MiB at most",
    ))
    return rows


def reducer_rows(measured: dict) -> list[tuple[str, str, str]]:
    rows = [row for one in measured["loads"] for row in load_rows(one)]
    main, idle, restart = measured["loads"][0], measured["idle"], measured["restart"]
    rows.append((
        "reducer: start to first committed row, s", spread(of(main["runs"], "first_row_s"), 2), ""
    ))
    rows += idle_rows("reducer", idle, max(of(main["runs"], "rss_mib")))
    rows.append((
        "reducer, idle: event to queryable row, p50, p99 ms",
        "{:.1f}, {:.1f}".format(*percentiles(idle["single_ms"])),
        f"{len(idle['single_ms'])} events, one after the other",
    ))
    rows.append((
        f"reducer: restart with {restart['rows']:,} open rows, s",
        spread(restart["seconds"], 2),
        f"to the commit of a record that waited; {restart['rss_mib']:.0f} MiB",
    ))
    rows.append((
        "orchestrator: start to ready on Kafka, ms",
        spread(measured["orchestrator_start_ms"]),
        "5 starts",
    ))
    return rows


def pure_rows(figures: dict) -> list[tuple[str, str, str]]:
    names = {
        "interpreter": "pure interpreter, stamping: transitions/s on one core",
        "workflow": "the same with the engine's waits and published events",
    }
    rows = []
    for level, name in names.items():
        one = figures[level]
        rows.append((
            name,
            spread(of(one["runs"], "transitions_per_second")),
            f"{one['instructions']:,.0f} instructions per workflow"
            f" of {one['runs'][0]['transitions']} transitions",
        ))
    for items, microseconds in figures["map"].items():
        rows.append((f"pure, Map of {items:,}: us per item", spread(microseconds, 2), ""))
    counting = figures["counting"]
    rows.append((
        "pure reducer, all shipped aggregations: events/s on one core",
        spread([1e9 / nanoseconds for nanoseconds in of(counting["runs"], "ns_per_event")]),
        f"{counting['instructions']:,.0f} instructions per event",
    ))
    return rows


def waiting_rows(figures: dict) -> list[tuple[str, str, str]]:
    rows = []
    for one in figures["map"]:
        rows.append((
            f"Map of {one['items']:,} calls, 100 at once: s",
            f"{one['seconds']:.2f}",
            f"{one['cpu_us_per_item']:.0f} us CPU per item, {one['more_mib']:.0f} MiB more at most",
        ))
    for one in figures["sleepers"]:
        name = f"{one['count']:,} workflows in Wait"
        rows.append((
            f"{name}: MiB of memory",
            f"{one['mib']:.0f}",
            f"{one['mib'] * 1048576 / one['count']:,.0f} octets each; {one['share'] * 100:.1f} % of a"
            f" core, {one['queries_per_second']:.2f} queries/s",
        ))
        rows.append((
            f"{name}: kill -9 to ready, s",
            spread([times["end_s"] + times["ready_s"] for times in one["kill"]], 2),
            f"all loaded after {spread(of(one['kill'], 'loaded_s'), 2)} s;"
            f" SIGTERM to ready {one['term']['end_s'] + one['term']['ready_s']:.2f} s",
        ))
    return rows


def takeover_rows(figures: dict) -> list[tuple[str, str, str]]:
    return [
        (
            "kill -9 of one of two orchestrators, 10,000 workflows in flight: ms",
            spread(figures["takeover_ms"]),
            "until the first of them ends elsewhere, 64 clients",
        ),
        (
            "kill -9 of the only one: ms from its start",
            spread(figures["restart_ms"]),
            "until the first workflow ends",
        ),
    ]


def table(measured: dict) -> str:
    """Of the parts that were measured: pure, workflows, waiting, takeover, reducer."""
    rows: list[tuple[str, str, str]] = []
    if "pure" in measured:
        rows += pure_rows(measured["pure"])
    if "workflows" in measured:
        workflows = measured["workflows"]
        rows += workflow_rows(workflows["load"]) + cost_rows(workflows["load"])
        rows += idle_rows("orchestrator", workflows["idle"], workflows["load"]["busy_rss_mib"])
    if "waiting" in measured:
        rows += waiting_rows(measured["waiting"])
    if "takeover" in measured:
        rows += takeover_rows(measured["takeover"])
    if "reducer" in measured:
        rows += reducer_rows(measured["reducer"])
    lines = ["| what | min / median / max | beside it |", "| --- | --- | --- |"]
    return "\n".join(lines + [f"| {a} | {b} | {c} |" for a, b, c in rows])


def outside_budget(measured: dict) -> list[str]:
    """Sentences about ratios and counts that say the architecture is wrong."""
    found = {}
    if "workflows" in measured:
        load = measured["workflows"]["load"]
        commits = load["commits_64"]
        found["two_calls"] = max(
            statistics.median(ratios(load["two_calls"][clients], commits)) for clients in (64, 128)
        )
        found["stamping"] = statistics.median(ratios(load["stamping"][64], commits))
    if "reducer" in measured:
        main = measured["reducer"]["loads"][0]
        found["reducer"] = statistics.median(ratios(main["runs"], main["reads"]))
    told = [
        f"{name}: {value:.3f} of its yardstick, the least allowed is {LEAST[name]}"
        for name, value in found.items()
        if value < LEAST[name]
    ]
    for level, most in INSTRUCTIONS_MAX.items() if "pure" in measured else ():
        count = measured["pure"][level]["instructions"]
        if count > most:
            told.append(f"{level}: {count:,.0f} instructions each, at most {most:,}")
    return told


def write(directory: pathlib.Path, figures: str, raw: list[str], record: bool) -> list[pathlib.Path]:
    """Table and raw output under build/bench, and in docs/ when they are to be recorded."""
    today = datetime.datetime.now(datetime.timezone.utc)
    head = "\n".join([f"Taken {today:%Y-%m-%d %H:%M} UTC on:", "", *(f"- {x}" for x in machine())])
    page = f"{head}\n\n{figures}\n"
    text = "\n".join(machine() + [""] + raw) + "\n"
    directory.mkdir(parents=True, exist_ok=True)
    written = [directory / "figures.md", directory / "raw.txt"]
    written[0].write_text(page, encoding="utf-8")
    written[1].write_text(text, encoding="utf-8")
    if record:
        RAW.mkdir(parents=True, exist_ok=True)
        output = RAW / f"{today:%Y-%m-%d}.txt"
        output.write_text(text, encoding="utf-8")
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(MARKS[0])
        after = rest.partition(MARKS[1])[2]
        source = f"Raw output: [benchmarks/{output.name}](benchmarks/{output.name})."
        PAGE.write_text(
            f"{before}{MARKS[0]}\n{page}\n{source}\n{MARKS[1]}{after}", encoding="utf-8"
        )
        written += [output, PAGE]
    return written
