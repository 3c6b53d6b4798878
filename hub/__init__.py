"""The hub: receives sealed entries from nodes, serves doctors, sends prescriptions back."""
