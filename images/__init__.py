"""From a blank card to a node in service: images, their manifests, flashing and provisioning."""
