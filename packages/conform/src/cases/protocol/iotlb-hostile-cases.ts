import { returnsNothing } from '@virtio-platform/core';
import { openSync, closeSync } from 'node:fs';
import { VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import { USER_BASE } from '../../protocol/front-end-memory.ts';
import {
  IOTLB_TYPES,
  IOVA_BASE,
  IotlbFrontEnd,
  iotlbPayload,
  READ_WRITE,
  type IotlbEntry,
} from '../../protocol/iotlb-front-end.ts';
import { HAS_IOTLB } from '../../protocol/iotlb-needs.ts';
import { payloadOf } from '../../protocol/payload.ts';
import type { ProtocolBench } from '../../protocol/protocol-bench.ts';
import { protocolCase, type ProtocolCase } from '../../protocol/protocol-case.ts';

const PAGE = 4096n;
const MESSAGE = 'IOTLB_MSG';
const LAST = 0xffff_ffff_ffff_f000n;
/** Entries that a front-end sends without being asked: more than a back-end has a reason to keep. */
const MANY = 4000;

function hostile(
  id: string,
  clause: string,
  title: string,
  run: (bench: ProtocolBench, iotlb: IotlbFrontEnd) => void | Promise<void>,
): ProtocolCase {
  return {
    id: `vhost-user/iotlb-${id}`,
    clause: `vhost-user: ${clause}`,
    level: 'MUST',
    title,
    isHostile: true,
    needs: HAS_IOTLB,
    run: async (bench) => {
      using iotlb = new IotlbFrontEnd(bench);
      await run(bench, iotlb);
    },
  };
}

/** Sends a message that is wrong, and has the back-end go on. */
async function send(bench: ProtocolBench, type: number, entry: IotlbEntry): Promise<void> {
  bench.defy('IOTLB_MSG', iotlbPayload(type, entry));
  bench.ring().give(bench.layOut().segments);
  await bench.settle();
}

/** A page at the start of memory, at an address that nothing else has. */
const ENTRY: IotlbEntry = { iova: 0x77_0000_0000n, size: PAGE, user: USER_BASE, permission: READ_WRITE };

/** Entries that are wrong, and what of them is. */
const WRONG: Readonly<Record<string, readonly [title: string, change: Partial<IotlbEntry>]>> = {
  'user-nowhere': ['for memory that it does not have', { user: 0x1000n, iova: IOVA_BASE }],
  'user-behind-its-region': ['that goes on behind its region', { size: 1n << 40n, iova: IOVA_BASE }],
  'user-wraps': ['whose user address wraps', { user: LAST, size: 2n * PAGE, iova: IOVA_BASE }],
  'iova-wraps': ['whose I/O virtual address wraps', { iova: LAST, size: 4n * PAGE }],
  'no-bytes': ['of no bytes', { size: 0n }],
  'all-bytes': ['of 2^64 - 1 bytes', { iova: 0n, size: 0xffff_ffff_ffff_ffffn }],
  'odd-bytes': ['of 13 bytes at an odd address', { iova: IOVA_BASE + 3n, size: 13n }],
  'no-permission': ['without a permission', { permission: 0, iova: IOVA_BASE }],
  'all-permissions': ['with permissions that there are none of', { permission: 0xff }],
};

/** Front-ends that say wrong things of I/O virtual addresses. */
export const IOTLB_HOSTILE_CASES: readonly ProtocolCase[] = [
  ...Object.entries(WRONG).map(([name, [what, change]]) =>
    hostile(`update-${name}`, MESSAGE, `survives an entry ${what}`, async (bench, iotlb) => {
      iotlb.start();
      await bench.serve();
      if (change.iova === IOVA_BASE) iotlb.invalidate(IOVA_BASE, BigInt(bench.memory.size));
      iotlb.isAnswering = false;
      await send(bench, IOTLB_TYPES.UPDATE, { ...ENTRY, ...change });
    }),
  ),
  ...[0, 5, 0xff].map((type) =>
    hostile(`type-${type}`, MESSAGE, `survives an IOTLB message of type ${type}`, async (bench, iotlb) => {
      iotlb.start();
      await bench.serve();
      await send(bench, type, ENTRY);
    }),
  ),
  hostile('miss-of-front-end', MESSAGE, 'survives a miss of its front-end', async (bench, iotlb) => {
    iotlb.start();
    await bench.serve();
    for (const type of [IOTLB_TYPES.MISS, IOTLB_TYPES.ACCESS_FAILED]) await send(bench, type, ENTRY);
  }),
  hostile(
    'invalidate-unknown',
    MESSAGE,
    'survives an invalidation of what it has no entry for',
    async (bench, iotlb) => {
      iotlb.start();
      await bench.serve();
      await send(bench, IOTLB_TYPES.INVALIDATE, ENTRY);
    },
  ),
  hostile('invalidate-wraps', MESSAGE, 'survives an invalidation whose addresses wrap', async (bench, iotlb) => {
    iotlb.start();
    await bench.serve();
    await send(bench, IOTLB_TYPES.INVALIDATE, { ...ENTRY, iova: LAST, size: 0xffff_ffff_ffff_ffffn });
  }),
  hostile('update-before-memory', MESSAGE, 'survives an entry before it has any memory', (bench, iotlb) => {
    iotlb.open();
    bench.defy('IOTLB_MSG', iotlbPayload(IOTLB_TYPES.UPDATE, { ...ENTRY, iova: IOVA_BASE }));
    bench.share();
    bench.startQueues();
    bench.outlast();
  }),
  hostile('many-entries', MESSAGE, `survives ${MANY} entries that it did not ask for`, async (bench, iotlb) => {
    iotlb.start();
    await bench.serve();
    for (let n = 0; n < MANY; n++) {
      const entry = { ...ENTRY, iova: ENTRY.iova + BigInt(n) * 2n * PAGE };
      bench.frontEnd.send('IOTLB_MSG', iotlbPayload(IOTLB_TYPES.UPDATE, entry));
    }
    bench.synchronise();
    bench.ring().give(bench.layOut().segments);
    await bench.settle();
  }),
  hostile('short', MESSAGE, 'survives an IOTLB message that is too short', async (bench, iotlb) => {
    iotlb.start();
    await bench.serve();
    bench.frontEnd.send('IOTLB_MSG', payloadOf(IOVA_BASE, PAGE));
    await bench.settle();
  }),
  hostile(
    'invalidated-in-flight',
    'IOMMU support',
    'survives that memory goes with every buffer',
    async (bench, iotlb) => {
      const ring = iotlb.start();
      await bench.serve();
      for (let n = 0; n < 8; n++) {
        ring.give(bench.layOut(n).segments);
        iotlb.invalidate(IOVA_BASE, BigInt(bench.memory.size));
      }
      await bench.settle();
    },
  ),
  hostile(
    'memory-goes',
    'IOMMU support',
    'survives a memory table without the memory of its entries',
    async (bench, iotlb) => {
      const ring = iotlb.start();
      await bench.serve();
      iotlb.isAnswering = false;
      const [half, gone] = [BigInt(bench.memory.size) / 2n, bench.memory.region(bench.memory.size / 2)];
      bench.share([{ ...gone, size: half }]);
      ring.give(bench.layOut().segments);
      await bench.settle();
    },
  ),
  hostile(
    'channel-closed',
    'SET_BACKEND_REQ_FD',
    'survives a back channel that its front-end closed',
    async (bench, iotlb) => {
      const ring = iotlb.start();
      await bench.serve();
      iotlb.invalidate(IOVA_BASE, BigInt(bench.memory.size));
      iotlb.close();
      ring.give(bench.layOut().segments);
      await bench.settle();
    },
  ),
  hostile('channel-of-garbage', 'SET_BACKEND_REQ_FD', 'survives garbage on the back channel', async (bench, iotlb) => {
    const ring = iotlb.start();
    await bench.serve();
    for (let n = 0; n < 4; n++) iotlb.sendBytes(new Uint8Array(1000).fill(0xc5));
    ring.give(bench.layOut().segments);
    await bench.settle();
  }),
  hostile(
    'channel-missing',
    'SET_BACKEND_REQ_FD',
    'survives ACCESS_PLATFORM without a back channel',
    async (bench, iotlb) => {
      iotlb.greet();
      bench.share();
      bench.translate({ base: IOVA_BASE, descriptor: bench.doorbell().descriptor, pump: () => {} });
      const ring = bench.startQueues();
      ring.give(bench.layOut().segments);
      await bench.settle();
    },
  ),
  ...(
    [
      ['a-file', (bench: ProtocolBench) => bench.memory.descriptor],
      ['an-event', (bench: ProtocolBench) => bench.doorbell().descriptor],
    ] as const
  ).map(([name, descriptorOf]) =>
    hostile(
      `channel-is-${name}`,
      'SET_BACKEND_REQ_FD',
      `survives a back channel that is ${name.replace('-', ' ')}`,
      async (bench, iotlb) => {
        iotlb.greet();
        bench.share();
        bench.defy('SET_BACKEND_REQ_FD', undefined, [descriptorOf(bench)]);
        bench.translate({ base: IOVA_BASE, descriptor: bench.doorbell().descriptor, pump: () => {} });
        const ring = bench.startQueues();
        ring.give(bench.layOut().segments);
        await bench.settle();
      },
    ),
  ),
  hostile(
    'channel-is-a-folder',
    'SET_BACKEND_REQ_FD',
    'survives a back channel that is a folder',
    async (bench, iotlb) => {
      iotlb.greet();
      bench.share();
      const folder = openSync('/', 'r');
      try {
        bench.defy('SET_BACKEND_REQ_FD', undefined, [folder]);
      } finally {
        closeSync(folder);
      }
      bench.translate({ base: IOVA_BASE, descriptor: bench.doorbell().descriptor, pump: () => {} });
      bench.startQueues().give(bench.layOut().segments);
      await bench.settle();
    },
  ),
  hostile(
    'channel-with-2-descriptors',
    'SET_BACKEND_REQ_FD',
    'survives two back channels in one message',
    async (bench, iotlb) => {
      iotlb.greet();
      bench.defy('SET_BACKEND_REQ_FD', undefined, [bench.doorbell().descriptor, bench.doorbell().descriptor]);
      await bench.settle();
    },
  ),
  hostile(
    'user-addresses',
    'SET_VRING_ADDR',
    'survives rings at user addresses, which are nothing here',
    async (bench, iotlb) => {
      iotlb.open();
      bench.share();
      bench.untranslate();
      const ring = bench.startQueues();
      bench.translate(iotlb);
      ring.give(bench.layOut().segments);
      await returnsNothing(bench, ring, 'it took user addresses as those of rings, with ACCESS_PLATFORM');
    },
  ),
  protocolCase({
    id: 'vhost-user/iotlb-without-protocol-feature',
    clause: 'vhost-user: IOMMU support',
    title: 'survives ACCESS_PLATFORM without the protocol feature of the back channel',
    isHostile: true,
    needs: HAS_IOTLB,
    run: async (bench) => {
      bench.greet({ with: [VIRTIO_F_ACCESS_PLATFORM] });
      bench.share();
      const ring = bench.startQueues();
      ring.give(bench.layOut().segments);
      await bench.settle();
    },
  }),
];
