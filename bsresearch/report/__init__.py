"""What a workdir holds as a report: collected once into blocks (content.py), written as HTML and as Markdown."""
