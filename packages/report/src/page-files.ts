import { readFileSync } from 'node:fs';

/** The modules of the page's script, each after those that it imports. */
const MODULES = [
  'describe-event',
  'run-data',
  'timeline-view',
  'timeline',
  'ring-wheel',
  'event-table',
  'addresses',
  'main',
];

/** The files are read where they are written: in `src`, also by the compiled code. */
function read(name: string): string {
  return readFileSync(new URL(`../src/page/${name}`, import.meta.url), 'utf8');
}

/** The style of the page. */
export function pageStyle(): string {
  return `${read('page.css')}${read('plot.css')}`;
}

/**
 * The script of the page: its modules one after the other in one function, because a page that loads nothing has no
 * module to import. Their names are unique.
 */
export function pageScript(): string {
  const modules = MODULES.map((name) =>
    read(`${name}.js`)
      .replace(/^import [^;]*;\n/gm, '')
      .replace(/^export /gm, ''),
  );
  return `(() => {\n'use strict';\n${modules.join('\n')}})();\n`;
}
