"""Building an image: base root, application, tree, partitions, bundles. Runs at a maintainer's, as root."""
