"""An advice in words: as a page, as JSON."""
