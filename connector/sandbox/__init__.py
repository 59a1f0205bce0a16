"""What all made-up CRMs share: people, a clock, faults, a call log, a control surface and a server.

No vendor is named here.
"""
