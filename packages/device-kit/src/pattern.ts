import { xorshift32 } from './random.ts';

/**
 * Fills `length` bytes (a multiple of 4) at `address` with a pattern that no other block, round or seed has: xorshift32
 * from a mixed state. Hot: no allocation.
 */
export function fillPattern(
  u32: Uint32Array,
  address: number,
  length: number,
  seed: number,
  block: number,
  round: number,
): void {
  let state = mix(seed, block, round);
  for (let i = address / 4, end = (address + length) / 4; i < end; i++) {
    state = xorshift32(state);
    u32[i] = state;
  }
}

/** Whether `length` bytes at `address` are what {@link fillPattern} would write. Hot: no allocation. */
export function matchesPattern(
  u32: Uint32Array,
  address: number,
  length: number,
  seed: number,
  block: number,
  round: number,
): boolean {
  let state = mix(seed, block, round);
  for (let i = address / 4, end = (address + length) / 4; i < end; i++) {
    state = xorshift32(state);
    if (u32[i] !== state >>> 0) return false;
  }
  return true;
}

function mix(seed: number, block: number, round: number): number {
  const state = seed ^ Math.imul(block + 1, 0x9e37_79b1) ^ Math.imul(round + 1, 0x85eb_ca6b);
  return state === 0 ? 1 : state;
}
