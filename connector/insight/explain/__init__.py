"""Explains one person in three directions: why, why not yet, and why it changed. Pure: values in, dataclasses out."""
