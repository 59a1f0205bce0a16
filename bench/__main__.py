"""`make bench`: print ratios, each against a peer or a limit measured in the same run on the same machine."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import asdict

MODULES = {
    "P1": "reading",
    "P2": "reading",
    "P3": "rate",
    "P4": "rate",
    "P5": "calls",
    "P6": "calls",
    "P7": "memory",
    "P8": "scoring",
    "P9": "due",
    "I1": "ingest",
    "L1": "lookups",
}


def main(arguments: list[str]) -> int:
    """All targets, or those named; `--json` for a document."""
    named = [each for each in arguments if not each.startswith("-")]
    unknown = [each for each in named if each not in MODULES]
    if unknown:
        sys.stderr.write(f"There is no {', '.join(unknown)}; there are {', '.join(MODULES)}.\n")
        return 2
    rows = []
    for module in dict.fromkeys(MODULES[each] for each in named or MODULES):
        sys.stderr.write(f"measuring {module} ...\n")
        rows += importlib.import_module(f"bench.{module}").run()
    if "--json" in arguments:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return 0
    for row in rows:
        verdict = "" if row.met is None else ("met" if row.met else "NOT MET")
        print(f"{row.target:<4} {row.what:<72} {row.value:>18}  {row.wanted:<10} {verdict}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
