/**
 * Encrypted x86 guest memory: private and shared pages, bounce buffers.
 *
 * @packageDocumentation
 */
import { definePlatformPlugin, PLATFORM, PLUGIN_API_VERSION, type PlatformPlugin } from '@virtio-platform/core';
import { MEMORY_CONVERSION } from './memory-conversion.ts';
import { sevOptionsSchema, type SevOptions } from './options.ts';
import { SEV_OPTIONS, SevPlatform } from './sev-platform.ts';
import { simulateSev } from './simulated/simulate-sev.ts';

export * from './memory-conversion.ts';
export { sevOptionsSchema, TECHNOLOGIES, type SevOptions, type SevOptionsInput, type Technology } from './options.ts';
export { PoolMemory } from './pool-memory.ts';
export { SEV_OPTIONS, SevPlatform } from './sev-platform.ts';
export { sevRules } from './sev-rules.ts';
export { EncryptedMemory } from './simulated/encrypted-memory.ts';
export { generateMemoryKeys, MemoryEncryption, type MemoryKeys } from './simulated/memory-encryption.ts';
export { SevAddressSpace, sevAddressSpace, type SevAddressSpaceState } from './simulated/sev-address-space.ts';
export { simulateSev } from './simulated/simulate-sev.ts';

const plugin: PlatformPlugin<SevOptions> = definePlatformPlugin({
  kind: 'platform',
  name: 'sev',
  apiVersion: PLUGIN_API_VERSION,
  options: sevOptionsSchema,
  needs: [MEMORY_CONVERSION],
  register(container, options) {
    container.register(SEV_OPTIONS, { useValue: options });
    container.registerSingleton(PLATFORM, SevPlatform);
  },
  simulate: simulateSev,
});

export default plugin;
