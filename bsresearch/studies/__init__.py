"""One kind of question per file: `stages(plans)` yields lists of Plans; each stage may need the last one's results."""
