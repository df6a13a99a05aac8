/**
 * Encrypted x86 guest memory: private and shared pages, bounce buffers.
 *
 * @packageDocumentation
 */
import {
  definePlatformPlugin,
  GUEST_MEMORY,
  PLATFORM,
  PLUGIN_API_VERSION,
  type PlatformPlugin,
} from '@virtio-platform/core';
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

const plugin: PlatformPlugin<SevOptions> = definePlatformPlugin({
  kind: 'platform',
  name: 'sev',
  apiVersion: PLUGIN_API_VERSION,
  options: sevOptionsSchema,
  needs: [MEMORY_CONVERSION],
  register(container, options) {
    container.register(PLATFORM, {
      useFactory: (bound) =>
        new SevPlatform(options, bound.resolve(GUEST_MEMORY), bound.resolve<MemoryConversion>(MEMORY_CONVERSION)),
    });
  },
  simulate: simulateSev,
});

export default plugin;
