"""The three phases of a run, each in its own module: gather, decide, push. `connector/pipeline.py` puts them in order."""
