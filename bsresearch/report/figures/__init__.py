"""Figures, a file per kind: `draw(study, figure)` gives a sheet (panels.py), which drawing.py saves.

It raises ValueError where a name is unknown or the records lack what the figure is about. A kind may have OPTIONS with
their defaults (a special one must), `parts(study, figure)`, the figures that one is made of, each with a name and a
caption, and `text(study)`, what it reports in words.
"""
