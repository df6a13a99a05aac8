import { DeviceError } from '@virtio-platform/core';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { hex, type QtestConnection } from '../qtest/qtest-connection.ts';

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
