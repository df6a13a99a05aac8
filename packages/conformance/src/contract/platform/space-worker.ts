import 'reflect-metadata';
import { parentPort, workerData } from 'node:worker_threads';
import { FaultLog, type OpenAddressSpace } from '@virtio-platform/core/address-space';
import { GuestMemory } from '@virtio-platform/core/memory';

/** What the check gives to the device's thread. */
export interface SpaceWorkerData {
  readonly memory: SharedArrayBuffer;
  /** URL of the module of the blueprint. */
  readonly module: string;
  readonly state: unknown;
}

/** One question to the device's thread: it reads `bytes` bytes there, or writes them where `source` is given. */
export interface SpaceQuestion {
  readonly low: number;
  readonly high: number;
  readonly bytes: number;
  readonly source?: Uint8Array | undefined;
}

/** What the device's thread answers. */
export interface SpaceAnswer {
  readonly isTaken: boolean;
  readonly bytes: Uint8Array;
  readonly faults: number;
  readonly generation: number;
}

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only SpaceThread starts this module
const { memory, module, state } = workerData as SpaceWorkerData;
const exported: Partial<Record<string, unknown>> = await import(module);
const { openAddressSpace } = exported;
if (typeof openAddressSpace !== 'function') throw new TypeError(`${module} exports no function openAddressSpace`);
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the contract of a blueprint's module
const open = openAddressSpace as OpenAddressSpace;
const space = open(new GuestMemory(memory), new FaultLog(), state);

parentPort!.on('message', ({ low, high, bytes, source }: SpaceQuestion) => {
  const seen = new Uint8Array(bytes);
  const isTaken =
    source === undefined ? space.read(low, high, seen, 0, bytes) : space.write(low, high, source, 0, bytes);
  const answer: SpaceAnswer = { isTaken, bytes: seen, faults: space.faults.count, generation: space.generation };
  parentPort!.postMessage(answer);
});
parentPort!.postMessage('ready');
