"""Commands beside main.py: preparing data, drawing figures, exporting, measuring speed."""
