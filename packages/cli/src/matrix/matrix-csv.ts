import type { MatrixRow } from '@virtio-platform/runner';
import type { MatrixChange } from './compare-matrices.ts';

const COLUMNS = [
  'profile',
  'layout',
  'platform',
  'privilege',
  'offer',
  'outcome',
  'path',
  'refusal',
  'rule',
  'option',
  'source',
  'accepted',
  'declined',
  'reason',
] as const;

/**
 * The matrix as comma-separated values (RFC 4180), a line for each cell, so that a spreadsheet can filter and pivot it.
 */
export function matrixCsv(rows: readonly MatrixRow[]): string {
  const lines = rows.flatMap(({ profile, layout, platform, privilege, cells }) =>
    cells.map((cell) => [
      profile,
      layout,
      platform,
      privilege,
      cell.offer,
      cell.outcome,
      cell.path ?? '',
      cell.refusal?.code ?? '',
      cell.rule,
      cell.option ?? '',
      cell.source,
      cell.accepted.join(' '),
      cell.declined.map(({ feature }) => feature).join(' '),
      cell.refusal?.reason ?? '',
    ]),
  );
  return csv([COLUMNS, ...lines]);
}

/** The changes of a matrix in the same form, a line for each cell and layout. */
export function comparisonCsv(changes: readonly MatrixChange[]): string {
  const head = ['profile', 'layout', 'offer', 'before', 'after', 'decided before', 'decided after'];
  const lines = changes.flatMap(({ profile, offer, layouts, before, after }) =>
    layouts.map((layout) => [
      profile,
      layout,
      offer,
      before?.text ?? '',
      after?.text ?? '',
      before?.decidedBy ?? '',
      after?.decidedBy ?? '',
    ]),
  );
  return csv([head, ...lines]);
}

function csv(lines: readonly (readonly string[])[]): string {
  return lines.map((fields) => fields.map(quote).join(',')).join('\r\n');
}

/** A spreadsheet takes a field that begins so for a formula. */
const FORMULA = /^[=+\-@\t\r]/;

function quote(field: string): string {
  return `"${(FORMULA.test(field) ? `'${field}` : field).replaceAll('"', '""')}"`;
}
