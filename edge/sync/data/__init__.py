"""Files that the release ships: dictionaries by number. A number that was shipped is never changed."""
