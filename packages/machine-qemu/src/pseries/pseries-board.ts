import { DeviceError } from '@virtio-platform/core';
import type { AccessWidth } from '@virtio-platform/pci';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { swap16, swap32 } from '@virtio-platform/core/queue';
import { hex, type QtestConnection } from '../qtest/qtest-connection.ts';
import { WIDTH_NAMES, type AddressWindow, type Board } from '../board/board.ts';

/**
 * A POWER machine with its host bridge 0. RTAS accesses configuration space, all registers are in memory space, and the
 * processor is big-endian.
 */
export class PseriesBoard implements Board {
  readonly name = 'pseries';
  readonly io: AddressWindow = { pciBase: 0x1000, processorBase: 0x2000_0000_1000, size: 0xf000 };
  readonly memory: AddressWindow = { pciBase: 0x8000_0000, processorBase: 0x2000_8000_0000, size: 0x4000_0000 };
  readonly memory64: AddressWindow = {
    pciBase: 0x2100_0000_0000,
    processorBase: 0x2100_0000_0000,
    size: 0x4000_0000,
  };
  readonly taken: Map<AddressWindow, number> = new Map();
  readonly #qtest: QtestConnection;
  readonly #rtas: Rtas;

  constructor(qtest: QtestConnection, rtas: Rtas) {
    this.#qtest = qtest;
    this.#rtas = rtas;
  }

  readConfig(devfn: number, offset: number, width: AccessWidth): number {
    const outputs = this.#rtas.call('ibm,read-pci-config', [devfn * 0x100 + offset, ...BRIDGE_ID, width], 2);
    this.#check('read', devfn, offset, outputs);
    // A cell has 32 bits, whatever was read.
    return width === 4 ? outputs[1]! : outputs[1]! % 2 ** (8 * width);
  }

  writeConfig(devfn: number, offset: number, width: AccessWidth, value: number): void {
    const cells = [devfn * 0x100 + offset, ...BRIDGE_ID, width, value];
    this.#check('write', devfn, offset, this.#rtas.call('ibm,write-pci-config', cells, 1));
  }

  /** qtest reads numbers in the byte order of the processor. */
  readMemory(address: number, width: AccessWidth): number {
    return swap(this.#qtest.number(`read${WIDTH_NAMES[width]} ${hex(address)}`, width), width);
  }

  writeMemory(address: number, width: AccessWidth, value: number): void {
    this.#qtest.post(`write${WIDTH_NAMES[width]} ${hex(address)} ${hex(swap(value, width))}`);
  }

  /** I/O space is a part of the processor's address space on POWER. */
  readIo(address: number, width: AccessWidth): number {
    return this.readMemory(address, width);
  }

  writeIo(address: number, width: AccessWidth, value: number): void {
    this.writeMemory(address, width, value);
  }

  #check(what: string, devfn: number, offset: number, outputs: readonly number[]): void {
    const status = statusOf(outputs);
    if (status === 0) return;
    throw new DeviceError(
      'ERR_DEVICE_LOST',
      `RTAS does not ${what} byte ${offset} of the configuration of device ${devfn >> 3}: status ${status}`,
    );
  }
}

function swap(value: number, width: AccessWidth): number {
  if (width === 1) return value;
  return width === 2 ? swap16(value) : swap32(value);
}

/** Addresses of the cells of a call, in memory that the driver does not get. */
const CELLS_ADDRESS = 0x2_0000;
const OUTPUTS_ADDRESS = 0x2_0100;
const MOST_CELLS = 16;

/**
 * The run-time abstraction services (RTAS) of the hypervisor of a POWER guest. qtest calls them without the processor
 * of the guest. Cells are 32-bit numbers.
 */
export class Rtas {
  readonly #memory: GuestMemory;
  readonly #qtest: QtestConnection;

  constructor(memory: GuestMemory, qtest: QtestConnection) {
    this.#memory = memory;
    this.#qtest = qtest;
  }

  /**
   * Calls a service and returns its `outputs` cells, of which the first is the status. Throws {@link DeviceError}
   * `ERR_DEVICE_REFUSED` where QEMU does not make the call.
   */
  call(name: string, cells: readonly number[], outputs: number): readonly number[] {
    if (cells.length > MOST_CELLS || outputs > MOST_CELLS)
      throw new RangeError(`${name} with ${cells.length} cells for ${outputs}`);
    const { view } = this.#memory;
    cells.forEach((cell, i) => view.setUint32(CELLS_ADDRESS + 4 * i, cell));
    // A failed call writes only its status, so the results of the call before are cleared.
    for (let i = 0; i < outputs; i++) view.setUint32(OUTPUTS_ADDRESS + 4 * i, 0);
    const line = `rtas ${name} ${cells.length} ${hex(CELLS_ADDRESS)} ${outputs} ${hex(OUTPUTS_ADDRESS)}`;
    const answer = this.#qtest.ask(line);
    if (answer !== '0')
      throw new DeviceError('ERR_DEVICE_REFUSED', `QEMU does not make the RTAS call ${name}: ${answer}`);
    return Array.from({ length: outputs }, (_, i) => view.getUint32(OUTPUTS_ADDRESS + 4 * i));
  }
}

/** The unique id of host bridge 0 of the machine (QEMU include/hw/pci-host/spapr.h). */
export const BRIDGE_ID: readonly [high: number, low: number] = [0x0800_0000, 0x2000_0000];

/** The status cell of the outputs, as a signed number. */
export function statusOf(outputs: readonly number[]): number {
  return outputs[0]! | 0;
}
