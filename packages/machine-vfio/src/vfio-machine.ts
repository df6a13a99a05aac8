import {
  CodedError,
  facilityName,
  RequestedMachine,
  type BootedMachine,
  type DeviceDescription,
  type MachineRequest,
} from '@virtio-platform/core';
import { FaultLog } from '@virtio-platform/core/address-space';
import { GuestMemory } from '@virtio-platform/core/memory';
import type { QueueAddresses } from '@virtio-platform/core/queue';
import { Disposal } from '@virtio-platform/host';
import { checkDeviceType, hiddenFeatures, NO_MSIX, PciModernTransport, type PciInterrupts } from '@virtio-platform/pci';
import { VFIO_CONTAINER } from '@virtio-platform/platform-vfio';
import { ProcessMemory } from './container/process-memory.ts';
import { VfioFunction } from './device/vfio-function.ts';
import { VfioMsix } from './device/vfio-msix.ts';
import { type VfioMachineOptions } from './options.ts';
import { requestDevice } from './request-device.ts';

/**
 * A real PCI device that the kernel assigns to this process. An IOMMU confines it to the memory that the platform maps
 * in its container. Guest memory is memory of this process. A container reports no faults to its process, so what the
 * IOMMU blocks appears in the kernel's log and not in the report.
 */
export class VfioMachine extends RequestedMachine<VfioMachineOptions> {
  readonly name = 'vfio';

  async boot(): Promise<BootedMachine> {
    checkRequest(this.request);
    return await Disposal.orNothing((disposal) => this.#boot(disposal));
  }

  /** The reverse order of disposal ends the device before its container, and the container before the memory. */
  #boot(disposal: Disposal): BootedMachine {
    const { device: name, interrupts: mode } = this.options;
    const processMemory = ProcessMemory.create(this.request.memory);
    disposal.add(() => processMemory.dispose());
    const { container, device } = requestDevice(this.options, processMemory, disposal);
    const pci = VfioFunction.open(device, name);
    disposal.add(() => pci.dispose());
    const msix = VfioMsix.find(device, name);
    disposal.add(() => msix.disable());
    const transport = new VfioTransport(pci, mode === 'isr' ? NO_MSIX : msix, this.request.device);
    disposal.add(() => transport.dispose());
    return {
      memory: new GuestMemory(processMemory.buffer),
      transport,
      pci,
      facilities: new Map([[VFIO_CONTAINER, container]]),
      faults: new FaultLog(),
      dispose: () => disposal.run(),
    };
  }
}

/** The modern interface of a VFIO device, which can access memory from its first queue on: not before negotiation. */
class VfioTransport extends PciModernTransport {
  readonly #function: VfioFunction;

  /** Throws {@link DeviceError} where the type of the device differs from the profile. */
  constructor(pci: VfioFunction, interrupts: PciInterrupts, description: DeviceDescription) {
    super(pci, interrupts, hiddenFeatures(description, 'pci'));
    this.#function = pci;
    checkDeviceType(this, pci.name, description);
  }

  override enableQueue(queue: number, addresses: QueueAddresses): void {
    this.#function.enableBusMaster();
    super.enableQueue(queue, addresses);
  }
}

function checkRequest({ needs, device }: MachineRequest): void {
  const isContainer = needs.length === 1 && needs[0] === VFIO_CONTAINER;
  if (!isContainer) {
    const asked = needs.length === 0 ? 'nothing' : needs.map(facilityName).join(' and ');
    throw new CodedError('ERR_PLUGIN_FACILITY', `vfio provides a VFIO container, and the platform asks for ${asked}`, {
      hint: 'a device behind VFIO reaches only the memory that is mapped for it: use platform-vfio',
    });
  }
  if (device.driverInterface === 'modern') return;
  const problem = 'a device behind VFIO has to offer ACCESS_PLATFORM, which the legacy interface cannot carry';
  throw new CodedError('ERR_MACHINE_INTERFACE', problem, { hint: 'use driver.interface: modern' });
}
