"""One folder per CRM, found by scanning. Each exports a `PLUGIN` and brings its own sandbox; none knows
another.
"""
