"""What runs as root on the appliance: the clinic's network, installing updates, keeping or leaving a slot."""
