"""The report's CSS: legible on a small laptop, printable, no external font or image."""

CSS = """
:root { --ink: #1d2430; --soft: #5b6472; --line: #dde1e7; --tint: #f5f7f9; --accent: #2f5d8c; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1280px; margin: 0 auto; padding: 26px 28px 60px; display: grid; gap: 0 44px;
  grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
main > * { grid-column: 1 / -1; min-width: 0; }
#hardware { grid-column: 1; } #time { grid-column: 2; }
@media (max-width: 900px) { #hardware, #time { grid-column: 1 / -1; } }
h1 { font-size: 27px; line-height: 1.2; margin: 0 0 10px; letter-spacing: -0.01em; }
h2 { font-size: 20px; margin: 40px 0 12px; padding-bottom: 5px; border-bottom: 2px solid var(--line); }
h3 { font-size: 15.5px; margin: 24px 0 8px; }
p { margin: 8px 0; max-width: 95ch; }
.incomplete { font-weight: 600; color: #98201a; background: #fcebe9; border-left: 4px solid; padding: 6px 12px; }
nav { margin: 14px 0 0; font-size: 14px; } nav a { color: var(--accent); margin-right: 16px; text-decoration: none; }
nav a:hover { text-decoration: underline; }
code, pre, .id { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
code, .id { font-size: 0.9em; } .soft { color: var(--soft); }
dl.facts { display: flex; flex-wrap: wrap; gap: 8px; margin: 16px 0 0; }
dl.facts div { background: var(--tint); border: 1px solid var(--line); border-radius: 7px; padding: 6px 14px 7px; }
dl.facts dt { font-size: 12px; color: var(--soft); } dl.facts dd { margin: 0; font-size: 16px; font-weight: 600; }
.tally { display: flex; flex-wrap: wrap; gap: 8px; margin: 14px 0 0; padding: 0; list-style: none; }
.verdict { display: inline-block; white-space: nowrap; border: 1px solid; border-radius: 999px; padding: 1px 11px 2px;
  font-size: 13px; font-weight: 600; }
.tally .verdict { font-size: 15px; padding: 3px 15px 4px; }
.holds { color: #14622f; background: #e5f4ea; border-color: #94cfa8; }
.does-not-hold { color: #98201a; background: #fcebe9; border-color: #ebaaa4; }
.undecided { color: #7a5200; background: #fdf3d9; border-color: #e2c474; }
.depends { color: #4a3591; background: #efebfb; border-color: #bfb1ea; }
.not-measured { color: #525b68; background: #f0f2f4; border-color: #c6ccd3; }
.wide { overflow-x: auto; margin: 8px 0 14px; }
table { border-collapse: collapse; font-size: 13.5px; line-height: 1.4; }
caption, summary, .caption { text-align: left; color: var(--soft); font-size: 13.5px; padding: 4px 0; }
th { text-align: left; font-weight: 600; background: var(--tint); border-bottom: 1px solid #c3c9d1;
  vertical-align: bottom; }
th, td { padding: 5px 12px 5px 8px; }
td { border-bottom: 1px solid var(--line); vertical-align: top; white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.bad { color: #98201a; font-weight: 600; }
td.long, .claims td { white-space: normal; }
td.long { min-width: 15em; max-width: 46em; overflow-wrap: anywhere; }
table.claims { width: 100%; } .claim { width: 46%; } table.claims td { padding-top: 9px; padding-bottom: 9px; }
table.claims .source, table.claims .remark { display: block; color: var(--soft); font-size: 13px; margin-top: 2px; }
summary { cursor: pointer; color: var(--accent); } details { margin: 8px 0; }
pre { background: var(--tint); border: 1px solid var(--line); border-radius: 7px; padding: 10px 14px; overflow-x: auto;
  font-size: 12.5px; line-height: 1.45; }
.figures { display: flex; flex-wrap: wrap; gap: 18px 20px; align-items: flex-start; }
figure { margin: 0; border: 1px solid var(--line); border-radius: 8px; padding: 10px 12px; max-width: 100%; }
figure div { overflow-x: auto; } figure img { display: block; height: auto; width: 100%; }
figcaption { font-size: 13px; color: var(--soft); border-top: 1px solid var(--line); margin-top: 8px;
  padding-top: 6px; }
figcaption code { overflow-wrap: anywhere; }
.bar { width: 200px; } .bar i { display: block; height: 11px; background: var(--accent); border-radius: 2px; }
footer { margin-top: 44px; border-top: 1px solid var(--line); padding-top: 10px; font-size: 13px; color: var(--soft); }
@media print {
  body { font-size: 10.5pt; } main { max-width: none; padding: 0; } nav { display: none; }
  h2 { break-after: avoid; } figure, tr { break-inside: avoid; } .wide, figure div, pre { overflow: visible; }
  pre { white-space: pre-wrap; } figure img { min-width: 0 !important; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
