"""One file per published study: its question, claims and figures. Data: nothing is computed or drawn here.

`QUESTION`; `SOURCE`, the study in a few words; `CLAIMS`, statements (analysis/statements.py); `FIGURES`, declarations
(report/declared.py); `HEADLINE`, the key of the claim and the number of the figure that a report opens with. A config
names its findings: `c.findings = 'shen'`, or a file of one's own.
"""
