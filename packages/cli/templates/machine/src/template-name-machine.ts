import { CodedError, type BootedMachine, RequestedMachine } from '@virtio-platform/core';
import { FaultLog } from '@virtio-platform/core/address-space';
import { VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import { allocateSharedMemory, GuestMemory } from '@virtio-platform/core/memory';
import { ENTROPY_DEVICE, ENTROPY_FEATURES, EntropyTransport } from './entropy-transport.ts';
import type { TemplateNameOptions } from './options.ts';

/** Guest memory, the platform's hardware in software, and an entropy device that reaches memory only through it. */
export class TemplateNameMachine extends RequestedMachine<TemplateNameOptions> {
  readonly name = 'template-name';

  async boot(): Promise<BootedMachine> {
    const { device, memory: bytes, simulate, watchDevice } = this.request;
    if (device.type.id !== ENTROPY_DEVICE || device.interface !== 'modern') {
      throw new CodedError(
        'ERR_X_TEMPLATE_NAME_DEVICE',
        `template-name has no ${device.interface} ${device.type.name} device`,
        {
          hint: 'it has a modern entropy device: device: { type: entropy }',
        },
      );
    }
    if (simulate === undefined) {
      throw new CodedError('ERR_PLUGIN_FACILITY', 'the platform has no hardware in software', {
        hint: 'choose a platform whose plugin has a `simulate`',
      });
    }
    const memory = new GuestMemory(allocateSharedMemory(bytes));
    const hardware = simulate(memory);
    const offers = device.offers?.and(ENTROPY_FEATURES) ?? ENTROPY_FEATURES;
    // Bound by what the device offers, before a driver accepts anything.
    const blueprint = hardware.addressSpace(offers.has(VIRTIO_F_ACCESS_PLATFORM));
    const faults = new FaultLog();
    const space = blueprint.open(memory, faults, blueprint.state);
    const transport = new EntropyTransport(watchDevice?.(space) ?? space, offers, this.options.most);
    return { memory, transport, facilities: hardware.facilities, faults, dispose: async () => transport.dispose() };
  }
}
