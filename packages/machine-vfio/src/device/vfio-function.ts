import { CodedError } from '@virtio-platform/core';
import type { DeviceFile } from '@virtio-platform/host';
import {
  PCI_BASE_ADDRESS_0,
  PCI_BASE_ADDRESS_SPACE_IO,
  PCI_COMMAND,
  PCI_COMMAND_INTX_DISABLE,
  PCI_COMMAND_IO,
  PCI_COMMAND_MASTER,
  PCI_COMMAND_MEMORY,
  type AccessWidth,
  type PciFunction,
} from '@virtio-platform/pci';
import { readStructure } from '../kernel/sized-structure.ts';
import {
  VFIO_DEVICE_FLAGS_PCI,
  VFIO_DEVICE_FLAGS_RESET,
  VFIO_DEVICE_GET_INFO,
  VFIO_DEVICE_RESET,
  VFIO_PCI_CONFIG_REGION_INDEX,
} from '../kernel/vfio-requests.ts';
import { DeviceRegion } from './device-region.ts';
import { VfioBar } from './vfio-bar.ts';

/** Bytes of struct vfio_device_info, up to the number of interrupts. */
const INFO_BYTES = 20;
/** Bytes of the configuration space of every PCI device. */
const CONFIG_BYTES = 256;
/**
 * Command bits that are always set: the registers of the device answer, and it does not assert its interrupt line,
 * because no handler would acknowledge it.
 */
const COMMAND_REGISTERS = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE;

/** A PCI device that the kernel assigned to this process. The caller keeps and closes the device file. */
export class VfioFunction implements PciFunction {
  readonly name: string;
  readonly #file: DeviceFile;
  readonly #config: DeviceRegion;
  readonly #canReset: boolean;
  readonly #bars = new Map<number, VfioBar | undefined>();
  #isMaster = false;

  private constructor(file: DeviceFile, name: string, config: DeviceRegion, canReset: boolean) {
    this.name = name;
    this.#file = file;
    this.#config = config;
    this.#canReset = canReset;
  }

  /** Resets the device where the kernel can, and enables its registers. Throws {@link CodedError}. */
  static open(file: DeviceFile, name: string): VfioFunction {
    const info = readStructure(file, VFIO_DEVICE_GET_INFO, { bytes: INFO_BYTES, doing: `ask what ${name} is` });
    const flags = info.getUint32(4, true);
    if ((flags & VFIO_DEVICE_FLAGS_PCI) === 0 || info.getUint32(8, true) <= VFIO_PCI_CONFIG_REGION_INDEX)
      throw new CodedError('ERR_MACHINE_START', `${name} is not a PCI device`);
    const config = DeviceRegion.find(file, name, VFIO_PCI_CONFIG_REGION_INDEX);
    if (config.layout.size < CONFIG_BYTES)
      throw new CodedError('ERR_MACHINE_START', `${name} has ${config.layout.size} bytes of configuration space`, {
        hint: 'a PCI device has 256 or 4096: the kernel, or what it runs on, is broken',
      });
    const pci = new VfioFunction(file, name, config, (flags & VFIO_DEVICE_FLAGS_RESET) !== 0);
    pci.#reset();
    pci.#setCommand(COMMAND_REGISTERS);
    return pci;
  }

  readConfig(offset: number, width: AccessWidth): number {
    return this.#config.read(offset, width);
  }

  writeConfig(offset: number, width: AccessWidth, value: number): void {
    this.#config.write(offset, width, value);
  }

  openBar(index: number): VfioBar | undefined {
    if (!this.#bars.has(index)) this.#bars.set(index, this.#openBar(index));
    return this.#bars.get(index);
  }

  /** Lets the device access memory: the memory that its container maps, and the interrupt controller. */
  enableBusMaster(): void {
    if (!this.#isMaster) this.#setCommand(COMMAND_REGISTERS | PCI_COMMAND_MASTER);
    this.#isMaster = true;
  }

  /**
   * Ends the device: disables its accesses to memory, unmaps its registers, resets it. A failed step does not stop the
   * others.
   */
  dispose(): void {
    try {
      this.#setCommand(COMMAND_REGISTERS);
    } catch {
      // The device is gone. Its accesses to memory end with its container.
    }
    for (const bar of this.#bars.values()) bar?.dispose();
    this.#bars.clear();
    this.#reset();
  }

  /** Where the kernel cannot reset the device alone, only virtio resets it. */
  #reset(): void {
    if (this.#canReset) this.#file.control(VFIO_DEVICE_RESET);
    this.#isMaster = false;
  }

  #setCommand(bits: number): void {
    const others = this.readConfig(PCI_COMMAND, 2) & ~(COMMAND_REGISTERS | PCI_COMMAND_MASTER);
    this.writeConfig(PCI_COMMAND, 2, others | bits);
  }

  #openBar(index: number): VfioBar | undefined {
    if (!(index >= 0 && index <= 5)) return undefined;
    const region = DeviceRegion.find(this.#file, this.name, index);
    if (region.layout.size === 0) return undefined;
    const isIo = (this.readConfig(PCI_BASE_ADDRESS_0 + 4 * index, 4) & PCI_BASE_ADDRESS_SPACE_IO) !== 0;
    return VfioBar.open(this.#file, isIo ? 'io' : 'memory', region);
  }
}
