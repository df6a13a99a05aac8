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
import type { AddressingProblem, MemoryRange } from '@virtio-platform/core/dma';
import { formatByteSize } from '@virtio-platform/core/memory';
import { sevOptionsSchema, type SevOptions } from './options.ts';
import { MEMORY_CONVERSION, SevPlatform, type MemoryConversion } from './sev-platform.ts';
import { simulateSev } from './simulated/simulate-sev.ts';

export { sevOptionsSchema, TECHNOLOGIES, type SevOptions, type SevOptionsInput, type Technology } from './options.ts';
export { CoherentPool } from './coherent-pool.ts';
export { RestrictedMemory } from './restricted-memory.ts';
export { MEMORY_CONVERSION, SevPlatform, sevRules, type MemoryConversion } from './sev-platform.ts';
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
  addressingProblem: ({ addressBits, minAlignMask }, memory, options) =>
    aliasProblem(options, addressBits) ??
    poolProblem(options, addressBits, memory) ??
    boundaryProblem(options, minAlignMask),
  register(container, options) {
    container.register(PLATFORM, {
      useFactory: (bound) =>
        new SevPlatform(
          options,
          bound.resolve(GUEST_MEMORY),
          bound.resolve<MemoryConversion>(MEMORY_CONVERSION),
          deviceAddressing(bound),
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
    hint: 'make platform.ipaBits smaller, or have the device take as many bits',
  };
}

/** The pool of a narrow device lies below its mask, beside rings. */
function poolProblem(
  { pool, halvePool }: SevOptions,
  addressBits: number,
  memory: MemoryRange,
): AddressingProblem | undefined {
  const room = 2 ** addressBits - memory.first;
  const bytes = halvePool ? SMALLEST_POOL : pool;
  if (bytes <= room / 2) return undefined;
  return {
    about: 'addressBits',
    message: `a pool of ${formatByteSize(bytes)} and the rings do not lie below 2^${addressBits}`,
    hint: 'make platform.pool smaller, or have the device take more bits',
  };
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
