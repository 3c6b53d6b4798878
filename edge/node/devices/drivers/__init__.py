"""Medical devices on a serial line, one parser a file: bytes and time go in, news comes out.

No port, no clock, no thread.
"""
