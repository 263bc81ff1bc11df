"""The report page's style sheet: system fonts, both colour schemes, no address in it."""

STYLE = """
:root {
  --bg: #fbfaf8; --card: #fff; --ink: #1d1f24; --soft: #676c76; --line: #e3e1dc;
  --main: #2f6fde; --other: #a9b0bd; --good: #1f8a5b; --bad: #c8452f; --tint: 47 111 222;
}
@media (prefers-color-scheme: dark) {
  :root {
    --bg: #14161a; --card: #1c1f25; --ink: #e9eaed; --soft: #9aa1ad; --line: #30343c;
    --main: #6aa0ff; --other: #5d6573; --good: #4fc58d; --bad: #ff7a63; --tint: 106 160 255;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--bg); color: var(--ink); line-height: 1.5;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
main { max-width: 1080px; margin: 0 auto; padding: 48px 24px 96px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 8px; letter-spacing: -.01em; }
h2 { font-size: 20px; margin: 48px 0 12px; }
h3 { font-size: 17px; margin: 14px 0 2px; }
.lead { color: var(--soft); margin: 0 0 28px; max-width: 70ch; }
.fine, figcaption { color: var(--soft); font-size: 13px; margin: 8px 0; }
main > figure {
  margin: 0; padding: 20px 20px 8px; background: var(--card);
  border: 1px solid var(--line); border-radius: 12px;
}
.chart { width: 100%; height: auto; display: block; font-family: inherit; }
.chart .grid { stroke: var(--line); }
.chart .tick, .chart .note, .chart .chance-name { fill: var(--soft); font-size: 12px; }
.chart .name { fill: var(--ink); font-size: 15px; font-weight: 600; }
.chart .value { fill: var(--ink); font-size: 16px; font-weight: 650; }
.chart .bar.headline { fill: var(--main); }
.chart .bar.other { fill: var(--other); }
.chart .error { stroke: var(--ink); stroke-width: 1.5; fill: none; }
.chart .chance { stroke: var(--bad); stroke-width: 1.5; stroke-dasharray: 4 4; }
.chart .chance-name { fill: var(--bad); }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 12px; }
table { border-collapse: collapse; width: 100%; background: var(--card); font-size: 14px; }
th, td { padding: 8px 10px; text-align: right; border-top: 1px solid var(--line); }
thead th { border-top: 0; font-weight: 600; vertical-align: bottom; }
th:first-child { text-align: left; }
td { font-variant-numeric: tabular-nums; }
td[style] { background: rgb(var(--tint) / calc(var(--v) * .28)); }
td.macro { font-weight: 650; white-space: nowrap; }
th small { display: block; font-weight: 400; color: var(--soft); font-size: 12px; }
td small { font-weight: 400; color: var(--soft); }
tr.headline th, tr.headline td.macro { color: var(--main); }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); gap: 10px; }
.facts div {
  background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 10px 14px;
}
dt { color: var(--soft); font-size: 13px; }
dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
article {
  background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 16px; margin: 0 0 16px; break-inside: avoid;
}
.strip { display: flex; gap: 8px; overflow-x: auto; }
.strip figure { margin: 0; flex: 0 0 auto; text-align: center; }
.strip img { display: block; height: 112px; border-radius: 6px; image-rendering: pixelated; }
.strip figcaption { margin: 2px 0 0; }
.options { list-style: none; margin: 10px 0 0; padding: 0; display: grid; gap: 6px; }
.options li {
  display: flex; gap: 12px; align-items: baseline; padding: 6px 12px; border-radius: 8px;
  border: 1px solid var(--line);
  background: linear-gradient(to right, rgb(var(--tint) / .2) var(--p), transparent var(--p));
}
.options span { flex: 1; overflow-wrap: anywhere; }
.options em { font-style: normal; font-size: 13px; color: var(--soft); }
.options b { font-variant-numeric: tabular-nums; min-width: 4ch; text-align: right; }
.options .right { border-color: var(--good); }
.options .right em { color: var(--good); }
.options .wrong { border-color: var(--bad); }
.options .wrong em { color: var(--bad); }
.options .chosen span { font-weight: 650; }
@media print { body { background: none; } main { padding: 0; } }
"""
