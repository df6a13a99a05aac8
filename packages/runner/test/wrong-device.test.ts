import { type MessageDriver, type MessageLink, Echo } from '@virtio-platform/device-kit';
import { type EntropyDriver, SeededBytes, ReadEntropy } from '@virtio-platform/device-entropy';
import type { Transport } from '@virtio-platform/core/device';
import type { Virtqueue } from '@virtio-platform/core/queue';
import type { DriverHalf, WorkDone, Workload, WorkloadContext } from '@virtio-platform/core';
import type { Profile } from '@virtio-platform/profile';
import { RunLoop, UsedNotifications } from '@virtio-platform/runner';
import { describe, expect, it } from 'vitest';

const REQUESTS = 12;
const BYTES = 20;

/** What a workload needs beside its driver while the driver never has to wait long. */
function contextFor<Options>(driver: DriverHalf, settings: unknown): WorkloadContext<never, Options> {
  const transport = { notify: () => {}, wait: () => 'notified', readStatus: () => 4, configGeneration: () => 0 };
  const queue = { index: 0, enableNotifications: () => true, disableNotifications: () => {} };
  const profile = { workload: { requests: REQUESTS, disruptions: [] }, driver: { timeoutMs: 50 } };
  const parts = { transport: transport as unknown as Transport, queues: [queue as unknown as Virtqueue] };
  const notifications = new UsedNotifications(parts.transport, parts.queues);
  const loop = new RunLoop({
    platform: {},
    ...parts,
    profile: profile as unknown as Profile,
    notifications,
    driver,
    onProgress: () => {},
  });
  const work = { kind: 'echo', requests: REQUESTS, depth: 4, options: { blockSize: BYTES }, seed: 3, mostReturned: 0 };
  const inspected = { u8: new Uint8Array(BYTES) };
  const context = { ...work, settings, queues: [{ queue }], notify: () => {}, loop, inspected };
  return context as unknown as WorkloadContext<never, Options>;
}

/** What a workload did, with what a report makes of it. */
function reportOf({ done }: Workload): WorkDone & { readonly errors: number; readonly verified: boolean } {
  const errors = Object.values(done.mismatches.counts).reduce((sum, count) => sum + count, 0);
  return { ...done, errors, verified: done.requests === REQUESTS && errors === 0 };
}

/** A link that gives back what `alter` makes of each message. */
class AlteringLink implements MessageLink {
  readonly isFramed: boolean;
  readonly inFlight = 0;
  readonly receiveQueue = 0;
  readonly #alter: (message: Uint8Array, number: number) => readonly Uint8Array[];
  readonly waiting: Uint8Array[] = [];
  #sent = 0;

  constructor(isFramed: boolean, alter: (message: Uint8Array, number: number) => readonly Uint8Array[]) {
    this.isFramed = isFramed;
    this.#alter = alter;
  }

  send(source: Uint8Array, length: number): number {
    this.waiting.push(...this.#alter(source.slice(0, length), this.#sent++));
    return 0;
  }

  receive(target: Uint8Array): number {
    const message = this.waiting.shift();
    if (message !== undefined) target.set(message);
    return message?.length ?? 0;
  }

  flush(): number {
    return 0;
  }
}

async function echo(...links: readonly MessageLink[]): Promise<ReturnType<typeof reportOf>> {
  const driver: MessageDriver = { links, isConnected: true, connect: () => 0, dispose: () => {} };
  const workload = new Echo(driver, contextFor(driver, {}), 14);
  await workload.run();
  return reportOf(workload);
}

/** The message with the last bit of one byte turned. */
function damaged(message: Uint8Array, at: number): Uint8Array {
  return message.map((byte, i) => (i === at ? byte ^ 1 : byte));
}

function cut(message: Uint8Array): Uint8Array[] {
  return [message.subarray(0, 1), message.subarray(1, 18), message.subarray(18)];
}

function cross(link: AlteringLink, message: Uint8Array): Uint8Array[] {
  link.waiting.push(message);
  return [];
}

describe('Echo', () => {
  it.each([true, false])('verifies a link that gives back what it is sent (framed: %s)', async (isFramed) => {
    const report = await echo(new AlteringLink(isFramed, (message) => [message]));
    expect(report).toMatchObject({ requests: REQUESTS, bytes: 2 * REQUESTS * BYTES, errors: 0, verified: true });
  });

  it('takes a stream in any pieces', async () => {
    expect(await echo(new AlteringLink(false, cut))).toMatchObject({ errors: 0, verified: true });
  });

  it.each([0, 7, BYTES - 1])('finds one wrong bit, in byte %i', async (at) => {
    for (const isFramed of [true, false]) {
      const link = new AlteringLink(isFramed, (message, number) => [number === 5 ? damaged(message, at) : message]);
      expect(await echo(link)).toMatchObject({ requests: REQUESTS, errors: 1, verified: false });
    }
  });

  it('finds messages that changed places', async () => {
    let late: Uint8Array | undefined;
    const swap = (message: Uint8Array, number: number): Uint8Array[] => {
      if (number === 4) late = message;
      return number === 4 ? [] : number === 5 ? [message, late!] : [message];
    };
    expect(await echo(new AlteringLink(true, swap))).toMatchObject({ errors: 2, verified: false });
  });

  it('finds links that changed places', async () => {
    const first: AlteringLink = new AlteringLink(true, (message) => cross(second, message));
    const second: AlteringLink = new AlteringLink(true, (message) => cross(first, message));
    expect(await echo(first, second)).toMatchObject({ errors: REQUESTS, verified: false });
  });

  it('gives up a device that notifies without end and gives nothing back', async () => {
    const silent = new AlteringLink(true, () => []);
    await expect(echo(silent)).rejects.toMatchObject({ code: 'ERR_DEVICE_STALLED' });
  });

  it.each([BYTES - 1, BYTES + 1])('finds a message of %i bytes', async (length) => {
    const resize = (message: Uint8Array): Uint8Array[] => [Uint8Array.from({ length }, (_, i) => message[i] ?? 0)];
    expect(await echo(new AlteringLink(true, resize))).toMatchObject({ errors: REQUESTS, verified: false });
  });
});

/** Reads from a driver whose buffers `answer` fills; a seed of 3 is what the workload expects. */
async function read(
  answer: (number: number) => readonly number[],
  seed?: number,
): Promise<ReturnType<typeof reportOf>> {
  const asked: number[] = [];
  let batch: number[] = [];
  const driver = {
    inFlight: 0,
    bytes: BYTES,
    mostPieces: 1,
    submit: () => asked.push(asked.length) - 1,
    slot: (index: number) => batch[index]!,
    asked: () => BYTES,
    address: () => 0,
    publish: () => false,
    poll: () => (batch = asked.slice(served)).length,
    read(index: number, target: Uint8Array) {
      const bytes = answer(batch[index]!);
      target.set(bytes);
      served++;
      return bytes.length;
    },
    dispose: () => {},
  };
  let served = 0;
  const entropy = driver as unknown as EntropyDriver;
  const workload = new ReadEntropy(entropy, contextFor(entropy, { seed }));
  await workload.run();
  return reportOf(workload);
}

function seeded(number: number, length = BYTES): number[] {
  const bytes = new SeededBytes(3);
  bytes.begin(number);
  return Array.from({ length }, () => bytes.next());
}

function zerosInTheMiddle(number: number): number[] {
  return Array.from({ length: BYTES }, () => (number === 5 ? 0 : 1));
}

describe('ReadEntropy', () => {
  it('verifies what a seed gives, in any order and of any length', async () => {
    const report = await read((number) => seeded(REQUESTS - 1 - number, 5 + number), 3);
    expect(report).toMatchObject({ requests: REQUESTS, errors: 0, verified: true });
    expect(report.bytes).toBe(5 * REQUESTS + (REQUESTS * (REQUESTS - 1)) / 2);
  });

  it.each([
    ['comes twice', (number: number) => seeded(number === 5 ? 4 : number)],
    ['has a number that was never asked for', (number: number) => seeded(number === 5 ? 1000 : number)],
    ['is empty', (number: number) => (number === 5 ? [] : seeded(number))],
    [
      'has one wrong byte',
      (number: number) => seeded(number).map((byte, i) => (number === 5 && i === 19 ? byte ^ 1 : byte)),
    ],
  ])('finds a buffer of a device with a seed that %s', async (_, answer) => {
    expect(await read(answer, 3)).toMatchObject({ requests: REQUESTS, errors: 1, verified: false });
  });

  it('finds a buffer that was not written', async () => {
    expect(await read(zerosInTheMiddle)).toMatchObject({ errors: 1, verified: false });
  });
});
