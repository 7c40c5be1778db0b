"""What a workdir holds as a report: questions, figures and tables in Markdown, rendered as a page."""
