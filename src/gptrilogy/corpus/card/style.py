"""The card's looks: one column of paper, bright or dark as the reader's screen, bright in print."""

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --quiet: #5c6570; --line: #dfe3e8; --paper: #fff; --soft: #f5f7f9;
  --kept: #1f4e8c; --dropped: #b3402b; --good: #24683a; }
@media screen and (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --quiet: #9aa4b0; --line: #30363f;
  --paper: #14171c; --soft: #1c2027; --kept: #7fb0ec; --dropped: #f08a76; --good: #86c796; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 62rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; overflow-wrap: anywhere; }
h1 { margin: 0 0 .5rem; font-size: 2rem; line-height: 1.2; letter-spacing: -.01em; }
h2 { margin: 3rem 0 1rem; padding-top: .6rem; border-top: 1px solid var(--line); font-size: 1.3rem; }
h3 { margin: 0; font-size: .95rem; }
p { margin: .6rem 0; max-width: 44rem; }
nav { display: flex; flex-wrap: wrap; gap: .1rem 1rem; font-size: .9rem; }
a { color: var(--kept); text-underline-offset: .15em; }
pre { margin: .6rem 0; padding: .7rem .9rem; overflow: auto; max-height: 16rem; border-radius: 6px;
  background: var(--soft); font: .8rem/1.5 ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace;
  white-space: pre-wrap; tab-size: 4; }
pre.code { max-height: 32rem; }
.good, .bad { padding-left: .7rem; border-left: 4px solid var(--good); font-weight: 600; }
.bad { border-color: var(--dropped); color: var(--dropped); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(7.5rem, 1fr)); gap: .8rem; margin: 1rem 0; }
.tiles div { display: flex; flex-direction: column; padding: .7rem .9rem; border-radius: 6px; background: var(--soft); }
.tiles dd { margin: 0; font-size: 1.6rem; font-weight: 650; font-variant-numeric: tabular-nums; white-space: nowrap; }
.tiles dt { color: var(--quiet); font-size: .9rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1.2rem 2rem;
  align-items: start; margin: 1rem 0; }
figure { margin: 0; min-width: 0; }
figure.table { overflow-x: auto; overflow-wrap: normal; }
figure.wide { grid-column: 1 / -1; }
table { width: 100%; border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption, figcaption { padding-bottom: .3rem; text-align: left; font-weight: 650; font-size: .95rem; }
th, td { padding: .28rem .5rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: baseline; }
th { color: var(--quiet); font-weight: 500; vertical-align: bottom; }
th:first-child, td:first-child { padding-left: 0; overflow-wrap: break-word; max-width: 14rem; }
th:last-child, td:last-child { padding-right: 0; }
.n { text-align: right; }
td.n { white-space: nowrap; }
.bar { display: inline-block; margin-right: .5rem; width: 3.5rem; height: .5rem; }
.share { display: inline-block; min-width: 3.4rem; }
.bar .all { fill: var(--line); }
.bar .part { fill: var(--kept); }
.picture { max-width: 30rem; }
.picture img { display: block; width: 100%; height: auto; }
article { margin: 1rem 0; padding-left: .8rem; border-left: 4px solid var(--kept); break-inside: avoid; }
article.dropped { border-color: var(--dropped); }
.where { margin: 0; color: var(--quiet); font-size: .8rem; }
@media (max-width: 30rem) { .bar { display: none; } .share { min-width: 0; } table { font-size: .8rem; }
  th, td { padding: .28rem .25rem; } }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } nav { display: none; } .bar { width: 2rem; }
  .grid { grid-template-columns: 1fr 1fr; gap: 1rem; } table { font-size: 8.5pt; } th, td { padding: .2rem .25rem; }
  pre, pre.code { max-height: none; } h2 { break-after: avoid; } figure { break-inside: avoid; } }
"""
