import { Worker } from 'node:worker_threads';
import { YOUNG_GENERATION_MIB } from './measure-in-process.ts';
import type {
  DeviceThreadData,
  DeviceThreadMessage,
  DriverThreadMessage,
  ThreadData,
  TwoThreadsMeasurement,
  TwoThreadsOptions,
} from './two-threads.ts';

/** Of guest memory: the ring and a page of buffers. */
const MEMORY_BYTES = 256 * 1024;

/**
 * Starts both threads, the driver's first because it makes the ring. An error in one ends the process, and with it the
 * other.
 */
async function measure(options: TwoThreadsOptions, requests: number, samples: number): Promise<TwoThreadsMeasurement> {
  const memory = new SharedArrayBuffer(MEMORY_BYTES);
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const data: ThreadData = { ...options, memory, stop, requests, samples };
  const driver = startThread('driver-thread', data);
  const first = await nextMessage<DriverThreadMessage>(driver);
  if (!('addresses' in first)) throw new TypeError('the driver’s thread measured before it made a ring');
  const deviceData: DeviceThreadData = { ...data, addresses: first.addresses };
  const device = startThread('device-thread', deviceData);
  const [last, ofDevice] = await Promise.all([
    nextMessage<DriverThreadMessage>(driver),
    nextMessage<DeviceThreadMessage>(device),
  ]);
  if (!('measured' in last)) throw new TypeError('the driver’s thread made two rings');
  return {
    ...options,
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

const [options = '', requests, samples] = process.argv.slice(2);
try {
  process.stdout.write(JSON.stringify(await measure(JSON.parse(options), Number(requests), Number(samples))));
} catch (error) {
  // The other thread still polls.
  process.stderr.write(`${String(error)}\n`);
  process.exit(1);
}
