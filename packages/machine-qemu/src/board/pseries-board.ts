import { DeviceError } from '@virtio-platform/core';
import type { AccessWidth } from '@virtio-platform/pci';
import { BRIDGE_ID, statusOf, type Rtas } from '../pseries/rtas.ts';
import { hex, type QtestConnection } from '../qtest/qtest-connection.ts';
import { WIDTH_NAMES, type AddressWindow, type Board } from './board.ts';

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
