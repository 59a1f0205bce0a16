"""The phases of a run, one module each: gather, decide, push. `connector/pipeline.py` puts them in order."""
