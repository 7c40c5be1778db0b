"""The configs that come with the package, by name; what `bsresearch fields` says of the fields of a config."""
