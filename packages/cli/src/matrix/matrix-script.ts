/** The filter of the page: cells that do not match are dimmed, and offers without a cell that does are not shown. */
export const MATRIX_SCRIPT = `
const text = document.getElementById('text');
const outcome = document.getElementById('outcome');
const count = document.getElementById('count');
const rows = [...document.querySelectorAll('tbody tr')];
const heads = [...document.querySelectorAll('thead th')].slice(1).map((head) => head.textContent.toLowerCase());
function filter() {
  const words = text.value.toLowerCase().split(/\\s+/).filter((word) => word !== '');
  let shown = 0, all = 0;
  for (const row of rows) {
    const name = row.cells[0].textContent.toLowerCase();
    let any = false;
    [...row.cells].slice(1).forEach((cell, i) => {
      const haystack = name + ' ' + heads[i] + ' ' + cell.textContent.toLowerCase();
      const matches = (outcome.value === '' || cell.dataset.outcome === outcome.value)
        && words.every((word) => haystack.includes(word));
      cell.classList.toggle('dimmed', !matches);
      all++;
      if (matches) { shown++; any = true; }
    });
    row.hidden = !any;
  }
  count.value = shown + ' of ' + all + ' cells';
}
text.addEventListener('input', filter);
outcome.addEventListener('change', filter);
document.getElementById('filter').addEventListener('submit', (event) => event.preventDefault());
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const details = target && target.querySelector(':scope > details');
  if (details) details.open = true;
}
window.addEventListener('hashchange', openTarget);
openTarget();
filter();
`;
