import type { MatrixRow } from '@virtio-platform/runner';

const COLUMNS = [
  'profile',
  'platform',
  'privilege',
  'offer',
  'outcome',
  'path',
  'refusal',
  'rule',
  'source',
  'accepted',
  'declined',
  'reason',
] as const;

/**
 * The matrix as comma-separated values (RFC 4180), a line for each cell, so that a spreadsheet can filter and pivot it.
 */
export function matrixCsv(rows: readonly MatrixRow[]): string {
  const lines = rows.flatMap(({ profile, platform, privilege, cells }) =>
    cells.map((cell) => [
      profile,
      platform,
      privilege,
      cell.offer,
      cell.outcome,
      cell.path ?? '',
      cell.refusal?.code ?? '',
      cell.rule,
      cell.source,
      cell.accepted.join(' '),
      cell.declined.map(({ feature }) => feature).join(' '),
      cell.refusal?.reason ?? '',
    ]),
  );
  return [COLUMNS, ...lines].map((fields) => fields.map(quote).join(',')).join('\r\n');
}

/** A spreadsheet takes a field that begins so for a formula. */
const FORMULA = /^[=+\-@\t\r]/;

function quote(field: string): string {
  return `"${(FORMULA.test(field) ? `'${field}` : field).replaceAll('"', '""')}"`;
}
