"""Medical devices: drivers, ports, measurements."""
