/**
 * No IOMMU: physical addresses, legacy and transitional devices, guest-endian rings.
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
import { PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import { poolProblem } from '@virtio-platform/core/dma';
import { LegacyPlatform } from './legacy-platform.ts';
import { legacyOptionsSchema, type LegacyOptions } from './options.ts';

export { LegacyPlatform } from './legacy-platform.ts';
export { legacyOptionsSchema, type LegacyOptions, type LegacyOptionsInput } from './options.ts';

const plugin: PlatformPlugin<LegacyOptions> = definePlatformPlugin({
  kind: 'platform',
  name: 'legacy',
  apiVersion: PLUGIN_API_VERSION,
  options: legacyOptionsSchema,
  needs: [],
  addressingProblem: (addressing, memory, { pool }) => poolProblem(addressing, memory, pool, memory.end),
  register(container, options) {
    container.register(PLATFORM, {
      useFactory: (bound) => new LegacyPlatform(options, bound.resolve(GUEST_MEMORY), deviceAddressing(bound)),
    });
  },
  simulate(_memory, options) {
    return {
      facilities: new Map(),
      guestByteOrder: options.guestEndian,
      addressSpace: () => PHYSICAL_ADDRESS_SPACE,
    };
  },
});

export default plugin;
