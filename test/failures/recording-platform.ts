import {
  definePlatformPlugin,
  DeviceError,
  GUEST_MEMORY,
  PLATFORM,
  PLUGIN_API_VERSION,
  type PlatformPlugin,
} from '@virtio-platform/core';
import type { DeviceFault } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';
import legacy, { LegacyPlatform, legacyOptionsSchema } from '@virtio-platform/platform-legacy';
import { z } from 'zod';

const optionsSchema = z.strictObject({
  recorded: z.int().min(0).default(0).describe('Faults in the registers at the end.'),
  isGone: z.boolean().default(false).describe('The registers cannot be read at the end.'),
});

type RecordingOptions = z.output<typeof optionsSchema>;

/**
 * A platform without an IOMMU, and with the fault registers of one: what is in them is an option. One fault is there
 * from before.
 */
class RecordingPlatform extends LegacyPlatform {
  readonly #options: RecordingOptions;
  #reads = 0;

  constructor(memory: GuestMemory, options: RecordingOptions) {
    super(legacyOptionsSchema.parse({}), memory);
    this.#options = options;
  }

  recordedFaults(): readonly DeviceFault[] {
    const { recorded, isGone } = this.#options;
    const count = [1, recorded][this.#reads++] ?? 0;
    if (this.#reads > 1 && isGone) throw new DeviceError('ERR_DEVICE_LOST', 'the registers are gone');
    return Array.from({ length: count }, (_, i) => ({
      address: BigInt(i) << 12n,
      length: 1,
      access: 'write',
      cause: 'unmapped',
    }));
  }
}

const plugin: PlatformPlugin<RecordingOptions> = definePlatformPlugin({
  kind: 'platform',
  needs: legacy.needs,
  name: 'recording',
  apiVersion: PLUGIN_API_VERSION,
  options: optionsSchema,
  register(container, options) {
    container.register(PLATFORM, { useFactory: (from) => new RecordingPlatform(from.resolve(GUEST_MEMORY), options) });
  },
  simulate: (memory) => legacy.simulate!(memory, legacyOptionsSchema.parse({})),
});

export default plugin;
