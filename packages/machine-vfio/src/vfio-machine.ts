import { CodedError, facilityName, inject, MACHINE_REQUEST, DeviceError, type BootedMachine, type Machine, type MachineRequest, type DeviceDescription } from '@virtio-platform/core';
import { FaultLog } from '@virtio-platform/core/address-space';
import { GuestMemory } from '@virtio-platform/core/memory';
import { Disposal, hostProblem } from '@virtio-platform/host';
import { NO_MESSAGES, hiddenFeatures, PciModernTransport, type PciInterrupts } from '@virtio-platform/pci';
import { VFIO_CONTAINER } from '@virtio-platform/platform-vfio';
import { injectable } from 'tsyringe';
import type { QueueAddresses } from '@virtio-platform/core/queue';
import { ProcessMemory } from './container/process-memory.ts';
import { MessageInterrupts } from './device/vfio-msix.ts';
import { VfioFunction } from './device/vfio-function.ts';
import { requestDevice } from './request-device.ts';
import { VFIO_MACHINE_OPTIONS, type VfioMachineOptions } from './options.ts';

/**
 * A real PCI device, which the kernel hands to this process, and an IOMMU that confines it to what the platform maps in its container.
 * Guest memory is memory of this process. What the IOMMU stops is in the kernel's log and not in the report: a container of type 1
 * tells its process nothing.
 */
@injectable()
export class VfioMachine implements Machine {
  readonly name = 'vfio';
  readonly #request: MachineRequest;
  readonly #options: VfioMachineOptions;

  constructor(
    @inject(MACHINE_REQUEST) request: MachineRequest,
    @inject(VFIO_MACHINE_OPTIONS) options: VfioMachineOptions,
  ) {
    this.#request = request;
    this.#options = options;
  }

  async boot(): Promise<BootedMachine> {
    const problem = hostProblem();
    if (problem !== undefined) throw problem;
    checkNeeds(this.#request);
    return await Disposal.orNothing((disposal) => this.#boot(disposal));
  }

  /** Undone in reverse order: the device is quiet before its container goes, and its container before the memory. */
  #boot(disposal: Disposal): BootedMachine {
    const { device: name, interrupts: how } = this.#options;
    const processMemory = ProcessMemory.create(this.#request.memory);
    disposal.add(() => processMemory.dispose());
    const { container, device } = requestDevice(this.#options, processMemory, disposal);
    const pci = VfioFunction.open(device, name);
    disposal.add(() => pci.dispose());
    const messages = MessageInterrupts.find(device, name);
    disposal.add(() => messages.disable());
    const transport = new VfioTransport(pci, how === 'messages' ? messages : NO_MESSAGES, this.#request.device);
    disposal.add(() => transport.dispose());
    return {
      memory: new GuestMemory(processMemory.buffer),
      transport,
      facilities: new Map([[VFIO_CONTAINER, container]]),
      faults: new FaultLog(),
      dispose: () => disposal.run(),
    };
  }
}

function checkNeeds({ needs, device }: MachineRequest): void {
  const isContainer = needs.length === 1 && needs[0] === VFIO_CONTAINER;
  if (!isContainer) {
    const asked = needs.length === 0 ? 'nothing' : needs.map(facilityName).join(' and ');
    throw new CodedError('ERR_PLUGIN_FACILITY', `vfio provides a VFIO container, and the platform asks for ${asked}`, {
      hint: 'a device behind VFIO reaches only what is mapped for it: use platform-vfio',
    });
  }
  if (device.driverInterface === 'modern') return;
  throw new CodedError(
    'ERR_MACHINE_INTERFACE',
    'a device behind VFIO has to offer ACCESS_PLATFORM, which no legacy interface can',
    {
      hint: 'use driver.interface: modern',
    },
  );
}


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
