"""The hub: receives sealed entries from nodes, serves doctors, sends prescriptions back."""

__version__ = "0.1.0"
