import { html, type Markup } from './markup.ts';

/** A row of {@link rowTable}: a cell for each word of the head. */
export interface TableRow {
  readonly cells: readonly (string | number)[];
  /** Whether the row is marked as one that a reader looks for. */
  readonly isUnexpected: boolean;
}

/** A table that scrolls by itself where the page is too narrow for it. `kind` is its class in the style sheet. */
export function rowTable(head: readonly string[], rows: readonly TableRow[], kind = 'index'): Markup {
  return html`<div class="scroll">
    <table class="${kind}">
      <thead>
        <tr>
          ${head.map((word) => html`<th scope="col">${word}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(({ cells, isUnexpected }) => {
          const parts = cells.map((cell) => html`<td>${cell}</td>`);
          return isUnexpected
            ? html`<tr class="unexpected">
                ${parts}
              </tr>`
            : html`<tr>
                ${parts}
              </tr>`;
        })}
      </tbody>
    </table>
  </div>`;
}
