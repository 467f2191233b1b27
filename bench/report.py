"""What bench/proxy and bench/intercept share: measurements by scene and way, and the table that tells them."""

import os
import platform
import re
import statistics
import time
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results.md"
RESULTS_HEAD = """# What the benchmarks measured last

README.md says what the rows mean; trust ratios, absolutes don't carry over.
"""


def busy_share(seconds=0.25):
    """Of all cores, taken by whatever runs while the stand itself is silent; time stolen from this machine too."""
    def ticks():
        values = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(values), values[3] + values[4]  # idle, iowait
    all_before, idle_before = ticks()
    time.sleep(seconds)
    all_after, idle_after = ticks()
    return 1 - (idle_after - idle_before) / max(1, all_after - all_before)


class Results:
    def __init__(self):
        self.runs = {}  # (scene, way) → reports
        self.idle = {}  # way → KiB
        self.busy = []

    def add(self, scene, way, report):
        self.runs.setdefault((scene, way), []).append(report)

    def series(self, scene, way, value):
        return [value(report) for report in self.runs[scene, way]]

    def added(self, scene, way, value):
        """To the direct connection of the same round."""
        return [proxied - direct for proxied, direct in zip(self.series(scene, way, value),
                                                            self.series(scene, "direct", value))]


# What is told of a report ------------------------------------------------------------------------------------------


def field(name):
    return lambda report: report[name]


rate = field("requests_per_s")
megabytes = field("mb_per_s")
p50 = field("p50_us")
p99 = field("p99_us")


def cpu_request(report, who="proxy"):
    return report["cpu_s"].get(who, 0) / max(1, report["requests"]) * 1e6


def database_request(report):
    return cpu_request(report, "database")


def cpu_gigabyte(report):
    return report["cpu_s"].get("proxy", 0) / max(1, report["bytes"]) * 1e9


def median(series):
    return statistics.median(series) if series else None


def number(value):
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


class Table:
    """Direct connection, peer and gateway side by side; `peer` is its way, `peer_name` what it is called."""

    def __init__(self, results, peer, peer_name):
        self.results, self.peer, self.rows = results, peer, []
        self.head = ("what", "direct", peer_name, "gateway", f"gateway ÷ {peer_name}", "wanted")

    def row(self, what, direct, peer, gateway, wanted=None):
        """Series of figures, one a round. The ratio is the median of the rounds' own: what slows a round down
        slows both."""
        ratio = None
        if peer and min(peer) > 0 and min(gateway) > 0:
            ratio = median([ours / theirs for ours, theirs in zip(gateway, peer)])
        self.rows.append((what, number(median(direct)), number(median(peer)), number(median(gateway)),
                          "" if ratio is None else f"{ratio:.2f}",
                          wanted(ratio, median(gateway)) if wanted else ""))

    def rates(self, what, scene, way, value, wanted=None, with_direct=True, peer=None):
        series = self.results.series
        self.row(what, series(scene, "direct", value) if with_direct else [], series(scene, peer or self.peer, value),
                 series(scene, way, value), wanted)

    def added(self, what, scene, way, value, wanted=None):
        results = self.results
        self.row(what, results.series(scene, "direct", value), results.added(scene, self.peer, value),
                 results.added(scene, way, value), wanted)

    def database(self, what, scene, way):
        self.row(what, [], [], self.results.series(scene, way, database_request))

    def group(self, name):
        self.rows.append((f"**{name}**", "", "", "", "", ""))

    def markdown(self):
        rows = [self.head, *self.rows]
        widths = [max(len(row[i]) for row in rows) for i in range(len(self.head))]
        def line(cells):
            padded = [cell.ljust(width) if i == 0 else cell.rjust(width)
                      for i, (cell, width) in enumerate(zip(cells, widths))]
            return "| " + " | ".join(padded) + " |"
        rule = "|" + "|".join("-" * (width + 2) if i == 0 else "-" * (width + 1) + ":"
                              for i, width in enumerate(widths)) + "|"
        return "\n".join([line(self.head), rule, *map(line, self.rows)])


# What is wanted ----------------------------------------------------------------------------------------------------


def at_least(least):
    return lambda ratio, _: f"≥ {least:.1f} ×: " + ("yes" if ratio and round(ratio, 2) >= least else "NO")


def at_most(most):
    return lambda ratio, _: f"≤ {most:.1f} ×: " + ("yes" if ratio and round(ratio, 2) <= most else "NO")


def at_most_of(most, unit):
    return lambda _, gateway: f"≤ {most:,.0f} {unit}: " + ("yes" if gateway <= most else "NO")


def machine(results, rounds, seconds, peer, threads):
    models = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
              if line.startswith("model name")]
    return (f"{rounds} interleaved rounds of {seconds:g} s, medians. {os.cpu_count()} cores"
            f"{f' ({models[0]})' if models else ''}, Linux {platform.release().split('-')[0]}, {peer}, {threads} "
            f"threads each; load and origin on the same cores. Between the rounds other work took "
            f"{statistics.median(results.busy):.0%} of the machine (at most {max(results.busy):.0%}).")


def write(name, text):
    """Into the part of `name` in results.md; the others' stay."""
    before = RESULTS.read_text() if RESULTS.exists() else RESULTS_HEAD
    parts = dict(re.findall(r"^## (\S+)\n\n(.*?)(?=^## |\Z)", before, re.MULTILINE | re.DOTALL))
    parts[name] = text
    RESULTS.write_text("\n".join([RESULTS_HEAD, *(f"## {part}\n\n{said.strip()}\n" for part, said in parts.items())]))
