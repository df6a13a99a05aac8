import { Worker } from 'node:worker_threads';
import type { TwoThreadsTask } from '../measured/measure-task.ts';
import type { RoundsMeasurement } from '../measured/measure-rounds.ts';
import { YOUNG_GENERATION_MIB } from '../processes/measuring-process.ts';
import type { DeviceThreadData, DeviceThreadMessage, DriverThreadMessage, ThreadData } from './two-threads.ts';

/** Of guest memory: the ring and a page of buffers. */
const MEMORY_BYTES = 256 * 1024;

/**
 * Measures a ring between two threads of this process, the driver's started first because it makes the ring. Times are
 * those of the driver's thread, bytes and collections those of both. Rejects with the error of a thread; the other one
 * goes on then, and ends with the process.
 */
export async function measureTwoThreads(
  task: TwoThreadsTask,
  requests: number,
  samples: number,
): Promise<RoundsMeasurement> {
  const memory = new SharedArrayBuffer(MEMORY_BYTES);
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const data: ThreadData = { ...task, memory, stop, requests, samples };
  const driver = startThread('driver-thread-worker', data);
  const first = await nextMessage<DriverThreadMessage>(driver);
  if (!('addresses' in first)) throw new TypeError('the driver’s thread measured before it made a ring');
  const deviceData: DeviceThreadData = { ...data, addresses: first.addresses };
  const device = startThread('device-thread-worker', deviceData);
  const [last, ofDevice] = await Promise.all([
    nextMessage<DriverThreadMessage>(driver),
    nextMessage<DeviceThreadMessage>(device),
  ]);
  if (!('measured' in last)) throw new TypeError('the driver’s thread made two rings');
  return {
    ...last.measured,
    bytesPerRequest: last.measured.bytesPerRequest + ofDevice.bytesPerRequest,
    collections: last.measured.collections + ofDevice.collections,
  };
}

function nextMessage<T>(thread: Worker): Promise<T> {
  return new Promise((resolve, reject) => thread.once('message', resolve).once('error', reject));
}

function startThread(module: string, data: ThreadData): Worker {
  return new Worker(new URL(`./${module}.js`, import.meta.url), {
    workerData: data,
    resourceLimits: { maxYoungGenerationSizeMb: 3 * YOUNG_GENERATION_MIB },
  });
}
