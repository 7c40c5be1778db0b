"""What a workdir holds as a report: Markdown (content.py, screen.py, forest.py), rendered as a page (page.py)."""
