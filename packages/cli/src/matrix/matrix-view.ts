import type { MatrixCell, MatrixRow } from '@virtio-platform/runner';

/** Short names of the features that are in dispute; the others are told by the offer itself. */
const DISPUTED: ReadonlyMap<string, string> = new Map([
  ['ACCESS_PLATFORM_NO_TRANSLATION', 'NT'],
  ['ACCESS_PLATFORM_IDENTITY_ADDRESS', 'ID'],
]);

/**
 * A matrix as every format shows it: offers down, platforms across, and the rules that decided, numbered as they come.
 */
export interface MatrixView {
  readonly platforms: readonly MatrixRow[];
  readonly offers: readonly { readonly name: string; readonly cells: readonly MatrixCell[] }[];
  readonly rules: readonly { readonly rule: string; readonly source: string }[];
}

/** Arranges the results of a matrix as rows of offers and columns of platforms. */
export function matrixView(platforms: readonly MatrixRow[]): MatrixView {
  const names = platforms[0]?.cells.map(({ offer }) => offer) ?? [];
  const offers = names.map((name, i) => ({ name, cells: platforms.map(({ cells }) => cells[i]!) }));
  const rules = new Map<string, string>();
  for (const { rule, source } of offers.flatMap(({ cells }) => cells)) if (!rules.has(rule)) rules.set(rule, source);
  return { platforms, offers, rules: Array.from(rules, ([rule, source]) => ({ rule, source })) };
}

/** A cell in a word or two: `EPERM`, or the path and which of the disputed features were accepted. */
export function cellText({ refusal, path, accepted }: MatrixCell): string {
  if (refusal !== null) return refusal.code;
  const disputed = accepted.flatMap((name) => DISPUTED.get(name) ?? []);
  return [path ?? 'none', ...disputed.map((name) => `+${name}`)].join(' ');
}

/** The number of the rule that decided a cell. */
export function ruleNumber({ rules }: MatrixView, cell: MatrixCell): number {
  return rules.findIndex(({ rule }) => rule === cell.rule) + 1;
}
