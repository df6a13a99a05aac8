/** The style of the page: readable by day and by night, and with the names in sight while it scrolls. */
export const MATRIX_STYLE = `
:root { color-scheme: light dark; --accepted: light-dark(#e3f4e6, #16361f); --refused: light-dark(#fbe4e2, #43191a);
  --changed: light-dark(#a35a00, #f0a848); --line: light-dark(#c8ccd2, #3d434b); --page: light-dark(#fff, #14171a); --faint: light-dark(#5a626c, #9aa4af); }
body { font: 15px/22px system-ui, sans-serif; margin: 1.5rem; background: var(--page); }
h1 { font-size: 1.4rem; line-height: 1.3; margin: 0 0 .5rem; }
h2 { font-size: 1.1rem; margin: 1.5rem 0 .5rem; }
a { color: inherit; }
th a { color: var(--faint); text-decoration: none; }
sup { color: var(--faint); margin-left: .3rem; line-height: 0; }
ol { max-width: 100ch; }
p { max-width: 80ch; color: var(--faint); margin: 0 0 1rem; }
form { display: flex; flex-wrap: wrap; gap: 1rem; align-items: baseline; margin-bottom: 1rem; }
input, select { font: inherit; padding: .2rem .4rem; }
#text { width: 22rem; max-width: 60vw; }
output { color: var(--faint); }
.scroll { overflow: auto; width: fit-content; max-width: 100%; max-height: 82vh; border: 1px solid var(--line); }
table { border-collapse: separate; border-spacing: 0; }
th, td { border: 0 solid var(--line); border-width: 0 1px 1px 0; padding: .3rem .55rem; text-align: left; vertical-align: top; }
th { background: var(--page); white-space: nowrap; }
thead th { position: sticky; top: 0; z-index: 1; }
tbody th, thead th:first-child { position: sticky; left: 0; }
thead th:first-child { z-index: 2; }
th small { display: block; font-weight: normal; color: var(--faint); }
td[data-outcome=accepted] { background: var(--accepted); }
td[data-outcome=refused] { background: var(--refused); }
td.dimmed { opacity: .18; }
td[data-changed] { outline: 2px solid var(--changed); outline-offset: -2px; }
:target { scroll-margin: 4rem; box-shadow: inset 0 0 0 3px var(--changed); }
summary { cursor: pointer; white-space: nowrap; }
dl { margin: .4rem 0 0; width: 22rem; font-size: .85rem; }
dt { color: var(--faint); }
dd { margin: 0 0 .3rem; overflow-wrap: anywhere; }
@page { size: landscape; margin: 1cm; }
@media print {
  :root { color-scheme: light; print-color-adjust: exact; }
  body { font-size: 8.5pt; margin: 0; }
  form, th a { display: none; }
  .scroll { overflow: visible; max-height: none; border: 0; }
  table { width: 100%; }
  th, td { position: static; white-space: normal; padding: .15rem .3rem; }
  thead { display: table-header-group; }
  tr, li { break-inside: avoid; }
  td.dimmed { opacity: 1; }
  summary { list-style: none; white-space: normal; }
  summary::-webkit-details-marker { display: none; }
  ol a::after { content: ' ' attr(href); overflow-wrap: anywhere; }
}
`;
