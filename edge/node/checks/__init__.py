"""Health checks, one a file: each looks at measured facts and says ok, warn or fail, and what to do. Pure."""
