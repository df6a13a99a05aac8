import { BOTH_LAYOUTS, type ConformBench, type ConformCase } from '@virtio-platform/core';
import { isCodedError } from '@virtio-platform/core';
import { VIRTIO_F_NOTIFICATION_DATA } from '@virtio-platform/core/features';
import type { QueueAddresses } from '@virtio-platform/core/queue';
import { offers } from '../needs.ts';
import { hostileCases } from './hostile-case.ts';

/** Does something that a transport may refuse to a driver: then the device never sees it. */
async function attempt(bench: ConformBench, action: () => unknown): Promise<void> {
  try {
    await action();
  } catch (error) {
    // The device itself refuses, over vhost-user.
    if (isCodedError(error) && error.code === 'ERR_DEVICE_REFUSED') return;
    const isRefusal = error instanceof RangeError || error instanceof TypeError;
    const isUnreachable = isCodedError(error) && error.code === 'ERR_DEVICE_RING_UNREACHABLE';
    if (!isRefusal && !isUnreachable) throw error;
    bench.skip('the transport does not let a driver do so');
  }
  bench.go();
  bench.transport.notify(0, 0);
  await bench.settle();
}

/** Enables queue 0 with addresses or a size that a driver may not give. */
function enabledWrongly(
  id: string,
  title: string,
  change: (addresses: QueueAddresses, bench: ConformBench) => QueueAddresses,
): ConformCase {
  return {
    id,
    clause: '2.6',
    level: 'MUST',
    title,
    layouts: BOTH_LAYOUTS,
    isHostile: true,
    run: (bench) =>
      attempt(bench, () => bench.start({ isHeld: true, addresses: (addresses) => change(addresses, bench) })),
  };
}

function withWords({ size, words }: QueueAddresses, change: (words: Uint32Array) => void): QueueAddresses {
  const changed = words.slice();
  change(changed);
  return { size, words: changed };
}

/** Queues that are set up wrongly, and notifications that say what is wrong. */
export const HOSTILE_QUEUE_CASES: readonly ConformCase[] = [
  enabledWrongly('hostile/V28-areas-overlap', 'survives areas that are one and the same', (addresses) =>
    withWords(addresses, (words) => words.set(words.slice(0, 2), 4)),
  ),
  enabledWrongly('hostile/V28-misaligned', 'survives areas that are misaligned by one byte', (addresses) =>
    withWords(addresses, (words) => {
      for (const at of [0, 2, 4]) words[at]! += 1;
    }),
  ),
  enabledWrongly('hostile/V28-nowhere', 'survives areas where nothing is', (addresses, bench) =>
    withWords(addresses, (words) => {
      for (const at of [0, 2, 4]) words.set(bench.nowhere[0]!, at);
    }),
  ),
  enabledWrongly('hostile/V29-size-0', 'survives a queue of 0 entries', ({ words }) => ({ size: 0, words })),
  enabledWrongly('hostile/V29-size-32769', 'survives a queue of 32769 entries', ({ words }) => ({
    size: 32_769,
    words,
  })),
  {
    id: 'hostile/V29-size-3',
    clause: '2.7',
    level: 'MUST',
    title: 'survives a split queue of 3 entries',
    isHostile: true,
    run: (bench) => attempt(bench, () => bench.start({ isHeld: true, addresses: ({ words }) => ({ size: 3, words }) })),
  },
  ...hostileCases({ layouts: BOTH_LAYOUTS }, [
    {
      id: 'hostile/V30-enabled-again',
      clause: '4.1.4.3.2',
      title: 'survives other addresses and another size for a queue that is enabled',
      misuse: async (bench, ring) => {
        const other = withWords(ring.addresses, (words) => words.set(words.slice(0, 2), 2));
        await attempt(bench, () => bench.transport.enableQueue(ring.index, { size: 4, words: other.words }));
      },
    },
    {
      id: 'hostile/V31-kick-of-no-queue',
      clause: '2.9',
      title: 'survives notifications of queues that are not enabled',
      misuse: async (bench) => {
        const { transport, device } = bench;
        if (device.queueCount < 2) bench.skip('the device has one queue');
        await attempt(bench, () => {
          for (let queue = 1; queue < device.queueCount; queue++) transport.notify(queue, 0);
        });
      },
    },
    {
      id: 'hostile/V31-kick-storm',
      clause: '2.7.10.2',
      title: 'survives 500 notifications of nothing',
      misuse: (_bench, ring) => {
        for (let i = 0; i < 500; i++) ring.kick();
      },
    },
    {
      id: 'hostile/V35-wrong-data',
      clause: '2.9',
      title: 'survives notifications whose data differ from the ring',
      with: [VIRTIO_F_NOTIFICATION_DATA],
      needs: [offers(VIRTIO_F_NOTIFICATION_DATA)],
      misuse: (bench, ring) => {
        ring.add(bench.layOut(1).segments);
        ring.publish();
        for (const next of [0, 0xffff, 0x8000, 12_345]) bench.transport.notify(ring.index, next);
      },
    },
  ]),
];
