import type { RunState } from '../state/run-state.ts';
import type { Paint } from './paint.ts';
import { windowOf, type PanelLine } from './panel.ts';

/** What became of each feature so far, and by which rule. */
export function negotiationPanel(state: RunState, rows: number, paint: Paint): PanelLine[] {
  const { decisions, offered, accepted, path, refusal } = state;
  const head = [
    { text: 'NEGOTIATION', paint: paint.bold },
    { text: `offered ${bitsText(offered)}  written ${bitsText(accepted)}`, paint: paint.cyan },
  ];
  const lines = decisions.map(({ feature, outcome, rule }) => ({
    text: `${outcome === 'accepted' ? '+' : '-'} ${feature}  ${rule}`,
    paint: outcome === 'accepted' ? paint.green : paint.dim,
  }));
  const end =
    refusal !== null
      ? [{ text: `refused by ${refusal}`, paint: paint.red }]
      : path !== null
        ? [{ text: `path ${path}`, paint: paint.cyan }]
        : [];
  const all = [...lines, ...end];
  const { from, to } = windowOf(all.length, rows - head.length, all.length - 1, all.length - 1);
  return [...head, ...all.slice(from, to)];
}

function bitsText(bits: bigint | null): string {
  return bits === null ? 'not yet' : `0x${bits.toString(16)}`;
}
