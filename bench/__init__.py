"""Benchmarks: ratios against a peer or a physical limit, measured in one run. Never a timed test.

`make bench` runs all of them small; `python -m bench P1 P8` some. Each is one module; `docs/explanation/speed.md` holds
the last measured table and what it was measured on.
"""
