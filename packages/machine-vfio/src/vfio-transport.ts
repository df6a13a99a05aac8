import { DeviceError, type DeviceDescription } from '@virtio-platform/core';
import type { QueueAddresses } from '@virtio-platform/core/queue';
import { hiddenFeatures, PciModernTransport, type PciInterrupts } from '@virtio-platform/pci';
import type { VfioFunction } from './device/vfio-function.ts';

/** The modern interface of a VFIO device, which can access memory from its first queue on: one that is refused never does. */
export class VfioTransport extends PciModernTransport {
  readonly #function: VfioFunction;

  /** Throws {@link DeviceError} for a device that is not what the profile says. */
  constructor(pci: VfioFunction, interrupts: PciInterrupts, description: DeviceDescription) {
    super(pci, interrupts, hiddenFeatures(description, 'pci'));
    this.#function = pci;
    const { type } = description;
    if (this.deviceType === type) return;
    throw new DeviceError('ERR_DEVICE_CONFIG', `${pci.name} is of type ${this.deviceType}, not ${type}`, {
      hint: `set device.type: ${this.deviceType}, or name another device in machine.device`,
    });
  }

  override enableQueue(queue: number, addresses: QueueAddresses): void {
    this.#function.becomeMaster();
    super.enableQueue(queue, addresses);
  }
}
