"""Who sees which patient, and when: pure parts (hours, core, waits), and the desk that wires them to the hub."""
