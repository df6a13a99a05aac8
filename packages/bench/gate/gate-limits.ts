import { readFileSync, writeFileSync } from 'node:fs';

const FILE = new URL('./gate-limits.json', import.meta.url);

/** The ends that the gate holds, each with requests of one and of three descriptors. */
export const GATE_ENDS = ['split/driver', 'split/device', 'packed/driver', 'packed/device'] as const;
export type GateEnd = (typeof GATE_ENDS)[number];

/** How many times its C reference an end takes, as it was measured when the limits were written, and the room above. */
export interface GateLimits {
  /** What measured it: a ratio of one processor and compiler is not that of another. */
  readonly measuredOn: string;
  /** The ratio may be so many times as large. */
  readonly room: number;
  /** Bytes of heap of a request. */
  readonly bytes: number;
  /** Geometric mean of the ratios with one and with three descriptors. */
  readonly ratios: Readonly<Record<GateEnd, number>>;
}

/** The limits that the repository has. */
export function readLimits(): GateLimits {
  const limits: GateLimits = JSON.parse(readFileSync(FILE, 'utf8'));
  return limits;
}

/** Replaces them. */
export function writeLimits(limits: GateLimits): void {
  writeFileSync(FILE, `${JSON.stringify(limits, undefined, 2)}\n`);
}
