// The page’s style: for desktop, phone, dark mode and print. Colours are variables, and pictures use them.

import { recolour, variables } from './palette.js';

export const STYLE = `:root { color-scheme: light; ${variables('light')} }
@media screen and (prefers-color-scheme: dark) {
:root { color-scheme: dark; ${variables('dark')} }
}
${recolour()}
* { box-sizing: border-box; }
html { background: var(--paper); -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif; }
main { max-width: 67rem; margin: 0 auto; padding: 1.75rem 1.5rem 3rem; }
h1 { margin: 0; font-size: 1.75rem; line-height: 1.2; overflow-wrap: anywhere; }
h1 .target { font-weight: 400; color: var(--quiet); }
h2 { margin: 0 0 .6rem; font-size: 1.1rem; line-height: 1.3; }
.made { margin: .3rem 0 0; color: var(--quiet); overflow-wrap: anywhere; }
.verdict { margin: 1.1rem 0 0; padding: .75rem 1rem; font-size: 1.06rem; background: var(--panel);
  border-left: 4px solid var(--axis); overflow-wrap: anywhere; }
.verdict.better { border-color: var(--chosen); }
.verdict.worse { border-color: var(--uniform); }
section { min-width: 0; margin-top: 1.6rem; }
.panels { display: grid; grid-template-columns: minmax(0, 1fr); column-gap: 2.5rem; }
.note, figcaption { margin: .5rem 0 0; font-size: .875rem; color: var(--quiet); max-width: 46rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem 0 .3rem 1.5rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--rule); }
th:first-child { padding-left: 0; text-align: left; }
thead th { font-size: .875rem; font-weight: 600; color: var(--quiet); border-color: var(--axis); }
tbody th { font-weight: 400; }
tr.chosen > * { font-weight: 650; }
.interval { font-weight: 400; font-size: .875em; color: var(--quiet); }
#texts td:nth-child(2), #texts thead th:nth-child(2), #origin td, #origin thead th { text-align: left; }
figure { margin: 0; }
.key { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; margin: 0 0 .3rem; padding: 0; list-style: none; font-size: .875rem; }
.key li { display: flex; align-items: center; gap: .4rem; min-width: 0; overflow-wrap: anywhere; }
svg.mark { flex: none; width: 30px; height: 14px; }
svg.chart { display: block; width: 100%; max-width: 42rem; height: auto; }
svg.narrow { display: none; }
details { margin-top: .5rem; font-size: .875rem; }
summary { cursor: pointer; color: var(--quiet); }
details .scroll { max-height: 24rem; margin-top: .3rem; overflow-y: auto; }
dl { margin: 0; }
dl > div { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1.5rem; padding: .3rem 0;
  border-bottom: 1px solid var(--rule); }
dt { color: var(--quiet); }
dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
#origin dl { max-width: 34rem; margin: 0 0 1rem; }
pre { margin: 0 0 .8rem; padding: .75rem 1rem; background: var(--panel); white-space: pre-wrap; overflow-wrap: anywhere; }
pre span { display: inline-block; max-width: 100%; }
code { font: .875rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
@media (min-width: 900px) {
.panels { grid-template-columns: repeat(2, minmax(0, 1fr)); }
.panels > :last-child:nth-child(odd) { grid-column: 1 / -1; max-width: 42rem; }
}
@media (max-width: 560px) {
main { padding: 1.1rem 1rem 2rem; }
h1 { font-size: 1.4rem; }
svg.wide { display: none; }
svg.narrow { display: block; }
th, td { padding-left: 1.1rem; }
}
@media print {
@page { margin: 14mm; }
body { font-size: 10.5pt; }
main { max-width: none; padding: 0; }
.panels { grid-template-columns: repeat(2, minmax(0, 1fr)); column-gap: 1.5rem; }
.panels > :last-child:nth-child(odd) { grid-column: 1 / -1; }
svg.wide { display: none; }
svg.narrow { display: block; }
figure, table, dl, pre, .verdict { break-inside: avoid; }
h2, summary { break-after: avoid; }
.scroll, details .scroll { overflow: visible; max-height: none; }
details:not([open]) { display: none; }
#origin td { white-space: normal; overflow-wrap: anywhere; }
}
`;
