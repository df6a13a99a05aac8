/**
 * What a block holds after the workload wrote it in a round, worked out anew: xorshift32 from the mixed seed, block and
 * round.
 */
export function expectedBlock(size: number, seed: number, block: number, round: number): Buffer {
  const bytes = Buffer.alloc(size);
  let state = seed ^ Math.imul(block + 1, 0x9e3779b1) ^ Math.imul(round + 1, 0x85ebca6b);
  for (let i = 0; i < size; i += 4) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes.writeUInt32LE(state >>> 0, i);
  }
  return bytes;
}
