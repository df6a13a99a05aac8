import { CodedError } from '@virtio-platform/core';
import type { DeviceFile } from '@virtio-platform/host';
import type { AccessWidth, PciFunction } from '@virtio-platform/pci';
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

/** struct vfio_device_info up to the number of interrupts. */
const INFO_BYTES = 20;
const COMMAND = 0x04;
const COMMAND_IO = 1;
const COMMAND_MEMORY = 2;
const COMMAND_MASTER = 4;
/** No interrupt by a line: nobody would take it back. */
const COMMAND_NO_LINE = 0x400;
/** What the device may do at any time. */
const COMMAND_REGISTERS = COMMAND_IO | COMMAND_MEMORY | COMMAND_NO_LINE;
const FIRST_BAR = 0x10;
const BAR_IO = 1;

/** A PCI device that the kernel handed to this process. Its file stays the owner's. */
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

  /** Resets the device where that can be done, and turns its registers on. Throws {@link CodedError}. */
  static open(file: DeviceFile, name: string): VfioFunction {
    const info = readStructure(file, VFIO_DEVICE_GET_INFO, { bytes: INFO_BYTES, doing: `ask what ${name} is` });
    const flags = info.getUint32(4, true);
    if ((flags & VFIO_DEVICE_FLAGS_PCI) === 0 || info.getUint32(8, true) <= VFIO_PCI_CONFIG_REGION_INDEX)
      throw new CodedError('ERR_MACHINE_START', `${name} is no PCI device`);
    const config = DeviceRegion.find(file, name, VFIO_PCI_CONFIG_REGION_INDEX);
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

  /** Lets the device access memory: what its container maps, and the interrupt controller. */
  becomeMaster(): void {
    if (!this.#isMaster) this.#setCommand(COMMAND_REGISTERS | COMMAND_MASTER);
    this.#isMaster = true;
  }

  /** Ends all that the device does: first its accesses to memory. Tries every step, whatever the others do. */
  dispose(): void {
    try {
      this.#setCommand(COMMAND_REGISTERS);
    } catch {
      // It is gone; what it may still do ends with its container.
    }
    for (const bar of this.#bars.values()) bar?.dispose();
    this.#bars.clear();
    this.#reset();
  }

  /** A device that cannot be reset alone is reset by virtio only. */
  #reset(): void {
    if (this.#canReset) this.#file.control(VFIO_DEVICE_RESET);
    this.#isMaster = false;
  }

  #setCommand(bits: number): void {
    const others = this.readConfig(COMMAND, 2) & ~(COMMAND_REGISTERS | COMMAND_MASTER);
    this.writeConfig(COMMAND, 2, others | bits);
  }

  #openBar(index: number): VfioBar | undefined {
    if (!(index >= 0 && index <= 5)) return undefined;
    const region = DeviceRegion.find(this.#file, this.name, index);
    if (region.layout.size === 0) return undefined;
    const isIo = (this.readConfig(FIRST_BAR + 4 * index, 4) & BAR_IO) !== 0;
    return VfioBar.open(this.#file, isIo ? 'io' : 'memory', region);
  }
}
