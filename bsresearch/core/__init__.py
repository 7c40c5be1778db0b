"""What every room uses: units, points of a run, random streams, looking members up, reading nested settings."""
