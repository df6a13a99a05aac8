import type { DecisionRow, DecisionTable } from '@virtio-platform/conformance';

export interface ObservedRow {
  readonly row: DecisionRow;
  readonly table: DecisionTable;
  /** Where profiles can be written. */
  readonly folder: string;
}

/** Does what a row is about, and gives what was seen in the words of its outcome. */
export type Observation = (observed: ObservedRow) => Promise<Readonly<Record<string, unknown>>>;

/** The name of what `DmaMapping.map` returned. */
export function mapResult(id: number): string {
  if (id >= 0) return 'mapped';
  return ['no space', 'too large', 'unreachable'][-1 - id]!;
}
