"""What the web sides of node and hub share: route table, refusals, OpenAPI, sessions, static files, logs.

Knows HTTP and nothing of records, keys or calls. A :class:`~edge.web.routes.Route` says everything
about an operation once; dispatch and ``/openapi.json`` are both made from it.
"""
