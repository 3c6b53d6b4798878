"""The pure core: facts, commands, rules. Imports msgspec only; knows no clock, socket or database."""
