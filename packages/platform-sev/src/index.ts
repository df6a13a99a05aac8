/**
 * Encrypted x86 guest memory: private and shared pages, bounce buffers.
 *
 * @packageDocumentation
 */
import {
  definePlatformPlugin,
  deviceAddressing,
  GUEST_MEMORY,
  PLATFORM,
  PLUGIN_API_VERSION,
  type PlatformPlugin,
} from '@virtio-platform/core';
import { poolProblem, type AddressingProblem } from '@virtio-platform/core/dma';
import { formatByteSize } from '@virtio-platform/core/memory';
import { LEAST_IPA_BITS, sevOptionsSchema, type SevOptions } from './options.ts';
import { MEMORY_CONVERSION, REALM_FACILITY, SevPlatform, type MemoryConversion, type Realm } from './sev-platform.ts';
import { simulateSev } from './simulated/simulate-sev.ts';

export { sevOptionsSchema, TECHNOLOGIES, type SevOptions, type SevOptionsInput, type Technology } from './options.ts';
export { CoherentPool } from './coherent-pool.ts';
export { RestrictedMemory } from './restricted-memory.ts';
export {
  MEMORY_CONVERSION,
  REALM_FACILITY,
  SevPlatform,
  sevRules,
  type MemoryConversion,
  type Realm,
} from './sev-platform.ts';
export {
  EncryptedMemory,
  generateMemoryKeys,
  MemoryEncryption,
  type MemoryKeys,
} from './simulated/encrypted-memory.ts';
export { SevAddressSpace, sevAddressSpace, type SevAddressSpaceState } from './simulated/sev-address-space.ts';
export { simulateSev } from './simulated/simulate-sev.ts';

/** A pool that is halved has at least this. */
const SMALLEST_POOL = 2 ** 20;

const plugin: PlatformPlugin<SevOptions> = definePlatformPlugin({
  kind: 'platform',
  name: 'sev',
  apiVersion: PLUGIN_API_VERSION,
  options: sevOptionsSchema,
  needs: [MEMORY_CONVERSION],
  needsWith: ({ technology }) => (technology === 'cca' ? [REALM_FACILITY] : []),
  addressingProblem: (addressing, memory, options) =>
    aliasProblem(options, addressing.addressBits) ??
    poolProblem(addressing, memory, leastPool(options)) ??
    boundaryProblem(options, addressing.minAlignMask),
  register(container, options) {
    container.register(PLATFORM, {
      useFactory: (bound) =>
        new SevPlatform(
          options,
          bound.resolve(GUEST_MEMORY),
          bound.resolve<MemoryConversion>(MEMORY_CONVERSION),
          deviceAddressing(bound),
          options.technology === 'cca' ? bound.resolve<Realm>(REALM_FACILITY) : undefined,
        ),
    });
  },
  simulate: simulateSev,
});

/** In a realm the address of each shared page has the top bit set. */
function aliasProblem({ technology, ipaBits }: SevOptions, addressBits: number): AddressingProblem | undefined {
  if (technology !== 'cca' || addressBits >= ipaBits) return undefined;
  return {
    about: 'addressBits',
    message: `the address of a shared page has bit ${ipaBits - 1} set, and the device takes ${addressBits} bits`,
    hint:
      (addressBits >= LEAST_IPA_BITS ? `make platform.ipaBits at most ${addressBits}, or ` : '') +
      `have the device take ${ipaBits} bits (device.dmaBits)`,
  };
}

/** The smallest pool that the platform would do with. */
function leastPool({ pool, halvePool }: SevOptions): number {
  return halvePool ? Math.min(pool, SMALLEST_POOL) : pool;
}

function boundaryProblem({ boundary = Infinity }: SevOptions, minAlignMask: number): AddressingProblem | undefined {
  if (minAlignMask < boundary / 2) return undefined;
  return {
    about: 'minAlignMask',
    message: `a boundary of ${formatByteSize(boundary)} leaves no room for the bits 0x${minAlignMask.toString(16)}`,
    hint: 'make platform.boundary larger, or leave it out',
  };
}

export default plugin;
