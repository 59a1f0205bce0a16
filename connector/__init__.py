"""One definition of a Marketing Qualified Lead, kept true in every connected CRM. Start at `pipeline.py`."""

__version__ = "0.1.0"
