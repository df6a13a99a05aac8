import { DeviceError } from '@virtio-platform/core';
import type { AccessWidth } from '@virtio-platform/pci';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { hex, type QtestConnection } from '../qtest/qtest-connection.ts';
import { WIDTH_NAMES, type AddressWindow, type Board } from '../board/board.ts';

/** A POWER machine with its host bridge 0: configuration space through RTAS, registers in memory, and a processor of the other byte order. */
export class PseriesBoard implements Board {
  readonly name = 'pseries';
  readonly io: AddressWindow = { pciBase: 0x1000, processorBase: 0x2000_0000_1000, size: 0xf000 };
  readonly memory: AddressWindow = { pciBase: 0x8000_0000, processorBase: 0x2000_8000_0000, size: 0x4000_0000 };
  readonly memory64: AddressWindow = {
    pciBase: 0x2100_0000_0000,
    processorBase: 0x2100_0000_0000,
    size: 0x4000_0000,
  };
  readonly #qtest: QtestConnection;
  readonly #rtas: Rtas;

  constructor(qtest: QtestConnection, rtas: Rtas) {
    this.#qtest = qtest;
    this.#rtas = rtas;
  }

  readConfig(devfn: number, offset: number, width: AccessWidth): number {
    const outputs = this.#rtas.call('ibm,read-pci-config', [devfn * 0x100 + offset, ...BRIDGE_ID, width], 2);
    this.#check('read', devfn, offset, outputs);
    return outputs[1]!;
  }

  writeConfig(devfn: number, offset: number, width: AccessWidth, value: number): void {
    const cells = [devfn * 0x100 + offset, ...BRIDGE_ID, width, value];
    this.#check('write', devfn, offset, this.#rtas.call('ibm,write-pci-config', cells, 1));
  }

  /** The protocol has numbers as the processor sees them. */
  readMemory(address: number, width: AccessWidth): number {
    return swap(this.#qtest.number(`read${WIDTH_NAMES[width]} ${hex(address)}`), width);
  }

  writeMemory(address: number, width: AccessWidth, value: number): void {
    this.#qtest.post(`write${WIDTH_NAMES[width]} ${hex(address)} ${hex(swap(value, width))}`);
  }

  /** I/O space is a part of memory here. */
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
  if (width === 2) return ((value & 0xff) << 8) | (value >>> 8);
  return (((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}

/** Where the cells of a call are, in memory that the driver is not given. */
const CELLS_ADDRESS = 0x2_0000;
const OUTPUTS_ADDRESS = 0x2_0100;
const MOST_CELLS = 16;

/** Calls the run-time abstraction services of a POWER guest's hypervisor, which need no processor. Cells are 32-bit numbers. */
export class Rtas {
  readonly #memory: GuestMemory;
  readonly #qtest: QtestConnection;

  constructor(memory: GuestMemory, qtest: QtestConnection) {
    this.#memory = memory;
    this.#qtest = qtest;
  }

  /** Calls a service and returns its `outputs` cells, of which the first is the status. Throws {@link DeviceError}. */
  call(name: string, cells: readonly number[], outputs: number): readonly number[] {
    if (cells.length > MOST_CELLS || outputs > MOST_CELLS)
      throw new RangeError(`${name} with ${cells.length} cells for ${outputs}`);
    const { view } = this.#memory;
    cells.forEach((cell, i) => view.setUint32(CELLS_ADDRESS + 4 * i, cell));
    // A call that fails writes its status alone: nothing of the call before may be taken for an answer.
    for (let i = 0; i < outputs; i++) view.setUint32(OUTPUTS_ADDRESS + 4 * i, 0);
    const line = `rtas ${name} ${cells.length} ${hex(CELLS_ADDRESS)} ${outputs} ${hex(OUTPUTS_ADDRESS)}`;
    const answer = this.#qtest.ask(line);
    if (answer !== '0')
      throw new DeviceError('ERR_DEVICE_REFUSED', `QEMU does not make the RTAS call ${name}: ${answer}`);
    return Array.from({ length: outputs }, (_, i) => view.getUint32(OUTPUTS_ADDRESS + 4 * i));
  }
}

/** The host bridge 0 of the machine, by its unique id (QEMU include/hw/pci-host/spapr.h). */
export const BRIDGE_ID: readonly [high: number, low: number] = [0x0800_0000, 0x2000_0000];

/** A status cell as the signed number that it is. */
export function statusOf(outputs: readonly number[]): number {
  return outputs[0]! | 0;
}
