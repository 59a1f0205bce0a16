"""Stand-ins for what the flow asks of the world, and the suite that every adapter must pass. Never shipped
into a run.
"""
