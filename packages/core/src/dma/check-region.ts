import { ContractError } from '../errors/coded-error.ts';
import { describeValue } from '../errors/message-of.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { DmaRegion } from './dma-region.ts';

const METHODS = ['writeDeviceAddress', 'syncForDevice', 'syncForCpu', 'release'] as const;

/**
 * Checks a region that a mapping gave in `hook`, before a ring or a driver works in it: its address is that of `length`
 * bytes of guest memory and a multiple of `alignment`. Throws {@link ContractError}. Cold.
 */
export function checkRegion(
  hook: 'premap' | 'allocateCoherent',
  region: DmaRegion,
  length: number,
  alignment: number,
  memory: Pick<GuestMemory, 'contains' | 'size'>,
): DmaRegion {
  const value: unknown = region;
  const fail = (what: string): never => {
    throw new ContractError('platform', hook, what);
  };
  if (typeof value !== 'object' || value === null) return fail(`returned ${describeValue(value)}, not a region`);
  const missing = METHODS.filter((name) => typeof Reflect.get(value, name) !== 'function');
  if (missing.length > 0) return fail(`returned a region without ${missing.join(', ')}`);
  const { address } = region;
  if (!Number.isSafeInteger(address) || address < 0) {
    return fail(`returned a region at ${describeValue(address)}, which is no address`);
  }
  if (!memory.contains(address, length)) {
    return fail(`returned ${length} bytes at 0x${address.toString(16)}, outside guest memory of ${memory.size} bytes`);
  }
  if (address % alignment !== 0) {
    return fail(`returned a region at 0x${address.toString(16)}, which is no multiple of ${alignment}`);
  }
  if (!(region.length >= length))
    return fail(`returned a region of ${describeValue(region.length)} bytes for ${length}`);
  return region;
}
