"""Patients at home: a site of the hub that has no node. The contract is ``docs/home-patients.md``."""
