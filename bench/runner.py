"""The course of bench/proxy and bench/intercept: command line, interleaved rounds, table."""

import argparse
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import report
from stand import MOST_CONNECTIONS, ROOT, BenchError


def arguments(doc, idle):
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="3 rounds of 0.3 s: whether it works at all")
    parser.add_argument("--write", action="store_true", help="put the table into bench/results.md too")
    parser.add_argument("--raw", type=Path, metavar="FILE", help="put every measurement into it, as JSON")
    parser.add_argument("--rounds", type=int, help="default 5")
    parser.add_argument("--seconds", type=float, help="of each measurement; default 1.5")
    parser.add_argument("--only", metavar="SCENE,SCENE", help="measure these alone, and print what was measured")
    parser.add_argument("--idle", type=int, default=idle, help=f"idle connections; default {idle}")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each proxy; default one a core")
    parser.add_argument("--bin-dir", type=Path, default=Path(os.environ.get("NOMIQON_BIN_DIR",
                                                                            ROOT / "build/release/bin")))
    chosen = parser.parse_args()
    chosen.rounds = chosen.rounds or (3 if chosen.quick else 5)
    chosen.seconds = chosen.seconds or (0.3 if chosen.quick else 1.5)
    if not 1 <= chosen.idle <= MOST_CONNECTIONS:
        parser.error(f"--idle takes 1 to {MOST_CONNECTIONS}")
    return chosen


def measure(stand, scenes, idle_ways, chosen, say):
    """`scenes`: name → task, connections, path, ways. In each round every way is taken once, in turn."""
    results = report.Results()
    only = chosen.only.split(",") if chosen.only else [*scenes, "idle"]
    for way in idle_ways if "idle" in only else ():
        say(f"{chosen.idle} idle: {way}")
        results.idle[way] = stand.idle_kib(way, chosen.idle, settle_seconds=1.5)
    for turn in range(chosen.rounds):
        results.busy.append(report.busy_share())
        for scene, (task, connections, path, ways) in scenes.items():
            if scene not in only:
                continue
            first = turn % len(ways)
            for way in ways[first:] + ways[:first]:
                say(f"round {turn + 1} of {chosen.rounds}: {scene}, {way}")
                results.add(scene, way, stand.load(task, way, chosen.seconds, connections, path))
    return results


def single_figures(results):
    """What --only prints: medians, a line each."""
    for way, kib in results.idle.items():
        yield f"idle {way}: {kib:.1f} KiB"
    for (scene, way), reports in results.runs.items():
        figures = {name: report.median([one[name] for one in reports])
                   for name, value in reports[0].items() if isinstance(value, (int, float)) and value}
        figures["cpu_us"] = report.median([report.cpu_request(one) for one in reports])
        figures["cpu_s_per_gb"] = report.median([report.cpu_gigabyte(one) for one in reports])
        figures["database_cpu_us"] = report.median([report.database_request(one) for one in reports])
        yield f"{scene} {way}: " + ", ".join(f"{name} {report.number(value)}" for name, value in figures.items())


def run(name, doc, open_stand, scenes, idle_ways, idle, tabulate):
    """`open_stand(bin_dir, directory, threads)` for a `with`; `tabulate(results, idle connections)` → Markdown."""
    chosen = arguments(doc, idle)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(f"{name}: terminated"))  # through the clean-up
    directory = Path(tempfile.mkdtemp(prefix="nomiqon-bench-"))
    directory.chmod(0o755)  # started by root, the private PostgreSQL and Squid run as other users
    def say(text):
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True) if sys.stderr.isatty() else None
    try:
        with open_stand(chosen.bin_dir.resolve(), directory, chosen.threads) as stand:
            results = measure(stand, scenes, idle_ways, chosen, say)
            said = report.machine(results, chosen.rounds, chosen.seconds, stand.peer_version, chosen.threads)
        say("")
    except BenchError as error:
        say("")
        sys.exit(f"{name}: {error}")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if chosen.raw:
        chosen.raw.write_text(json.dumps({f"{scene} {way}": reports for (scene, way), reports in results.runs.items()}))
    if chosen.only:
        return print(*single_figures(results), sep="\n")
    text = f"{said}\n\n{tabulate(results, chosen.idle)}\n"
    print(text, end="")
    if chosen.write:
        report.write(name, text)
