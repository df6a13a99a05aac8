import type { MatrixCell, MatrixRow } from '@virtio-platform/runner';
import { deciderText, outcomeText } from './matrix-view.ts';

/** What a cell came to, and what decided it. */
export interface ComparedCell {
  readonly text: string;
  /** Sorted by name. */
  readonly accepted: readonly string[];
  readonly decidedBy: string;
  /** The rule that accepted or declined each feature of the offer, by its name, as far as the matrix has it. */
  readonly rules: Readonly<Record<string, string>>;
}

/** A cell that is not as it was; `null` where only one of the matrices has it. */
export interface MatrixChange {
  readonly profile: string;
  readonly offer: string;
  /** The layouts of drivers for which it changed in this way. */
  readonly layouts: readonly string[];
  readonly before: ComparedCell | null;
  readonly after: ComparedCell | null;
}

/**
 * The cells of two matrices that differ: in outcome, path, accepted features, or in what decided. Rows are found by
 * profile and layout; where both matrices have one profile, it is the same one whatever its name.
 */
export function compareMatrices(before: readonly MatrixRow[], after: readonly MatrixRow[]): readonly MatrixChange[] {
  const isOnePair = [before, after].every((rows) => new Set(rows.map(({ profile }) => profile)).size === 1);
  const key = ({ profile, layout }: MatrixRow): string => JSON.stringify([isOnePair ? '' : profile, layout]);
  const old = new Map(before.map((row) => [key(row), row]));
  const now = new Map(after.map((row) => [key(row), row]));
  const changes = new Map<string, MatrixChange>();
  for (const at of new Set([...old.keys(), ...now.keys()])) {
    const [was, is] = [old.get(at), now.get(at)];
    const { profile, layout } = is ?? was!;
    for (const offer of new Set([...offersOf(was), ...offersOf(is)])) {
      const [a, b] = [cellOf(was, offer), cellOf(is, offer)];
      if (sameness(a) === sameness(b)) continue;
      const alike = JSON.stringify([profile, offer, ...[a, b].map((cell) => sameness(withoutLayout(cell)))]);
      const layouts = [...(changes.get(alike)?.layouts ?? []), layout];
      changes.set(alike, { profile, offer, layouts, before: a, after: b });
    }
  }
  return [...changes.values()];
}

function offersOf(row: MatrixRow | undefined): readonly string[] {
  return row?.cells.map(({ offer }) => offer) ?? [];
}

function cellOf(row: MatrixRow | undefined, offer: string): ComparedCell | null {
  const cell: MatrixCell | undefined = row?.cells.find((one) => one.offer === offer);
  if (cell === undefined) return null;
  const declinedBy = Object.fromEntries(cell.declined.map(({ feature, rule }) => [feature, rule]));
  const rules = { ...cell.acceptedBy, ...declinedBy };
  return { text: outcomeText(cell), accepted: cell.accepted.toSorted(), decidedBy: deciderText(cell), rules };
}

/** What two cells have in common that are the same. */
function sameness(cell: ComparedCell | null): string {
  return JSON.stringify(cell && [cell.text, cell.accepted, cell.decidedBy]);
}

/** The cell without what only tells the layouts apart, so that a change of both is one change. */
function withoutLayout(cell: ComparedCell | null): ComparedCell | null {
  return cell && { ...cell, accepted: cell.accepted.filter((name) => name !== 'RING_PACKED') };
}
