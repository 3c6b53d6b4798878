"""The node's HTTP API: decode → command → reply. Handlers know the desk; they know no database."""
