// The page's look: readable on a phone, in print and in the dark. Charts take their colours from the variables.

export const STYLE = `
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --quiet: #57606a; --faint: #d6dbe1; --panel: #f4f6f8;
  --chosen: #0b62a8; --uniform: #b4530a; --surrogate: #6f7b87; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14181d; --ink: #e6e9ed; --quiet: #a3adb8; --faint: #3a434d; --panel: #1d232a;
    --chosen: #6cb6ff; --uniform: #f0a35e; --surrogate: #8f9ba8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 60rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
.subtitle { color: var(--quiet); margin: 0 0 1.2rem; }
.verdict { font-size: 1.08rem; background: var(--panel); border-left: 4px solid var(--chosen); padding: .8rem 1rem; margin: 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .9rem .35rem 0; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--faint); }
th:first-child, td:first-child { text-align: left; }
th { color: var(--quiet); font-weight: 600; }
tr.chosen td { font-weight: 600; }
figure { margin: 0 0 1rem; break-inside: avoid; }
figure > svg { display: block; width: 100%; max-width: 46rem; height: auto; }
figure > svg.narrow { display: none; }
figcaption, .note { color: var(--quiet); font-size: .93rem; max-width: 46rem; }
details { margin-top: .4rem; font-size: .93rem; }
summary { cursor: pointer; color: var(--quiet); }
pre { background: var(--panel); padding: .8rem 1rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .88rem; }
@media (max-width: 480px) { body { padding-left: .8rem; padding-right: .8rem; } figure > svg.wide { display: none; }
  figure > svg.narrow { display: block; } }
@media print {
  :root { color-scheme: light; --paper: #fff; --ink: #000; --quiet: #444; --faint: #ccc; --panel: #f4f4f4;
    --chosen: #0b62a8; --uniform: #b4530a; --surrogate: #6f7b87; }
  body { max-width: none; padding: 0; font-size: 11pt; } details:not([open]) { display: none; }
  section { break-inside: avoid; } }
`;
