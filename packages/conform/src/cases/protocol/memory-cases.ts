import { type BenchSegment, BOTH_LAYOUTS, type LaidOutRequest } from '@virtio-platform/core';
import { regionPayload, tablePayload, type Region } from '../../protocol/payload.ts';
import type { ProtocolBench } from '../../protocol/protocol-bench.ts';
import {
  protocolCase,
  type ProtocolCase,
  protocolCases,
  speaks,
  startedProtocolCases,
} from '../../protocol/protocol-case.ts';
import { SpareMemory } from '../../protocol/spare-memory.ts';

/** Guest addresses of memory beside that of the ring: right behind it, and above what 32 bits hold. */
const BESIDE = 0x4000_0000n;
const ABOVE = 0x12_3456_0000n;

/** Cuts the memory of the front-end into `count` regions. */
function cut({ memory }: ProtocolBench, count: number): readonly Region[] {
  const size = memory.size / count;
  return Array.from({ length: count }, (_, i) => memory.region(i * size, size));
}

/** Request 0 with what the device writes in a spare memory; what it reads where it writes nothing. */
function layOutIn(bench: ProtocolBench, spare: SpareMemory): LaidOutRequest {
  const laid = bench.layOut();
  const { readable, writable } = laid.request;
  if (writable === 0) {
    const buffer = spare.buffer('what the device reads', 0x100, readable.length);
    buffer.write(readable);
    return { ...laid, segments: [{ buffer }] };
  }
  const buffer = spare.buffer('what the device writes', 0x100, writable);
  const segments: BenchSegment[] = [
    ...laid.segments.filter(({ isWritable }) => isWritable !== true),
    { buffer, isWritable: true },
  ];
  return {
    ...laid,
    segments,
    check: ({ length }) => {
      if (length > buffer.length) return `the used length is ${length}, of ${buffer.length} writable bytes`;
      return laid.request.check(buffer.read(), length);
    },
  };
}

/** Serves a request whose answer, or question, is in a spare memory, of which nothing else may change. */
async function serveIn(bench: ProtocolBench, spare: SpareMemory): Promise<void> {
  const laid = layOutIn(bench, spare);
  const ring = bench.ring();
  await bench.takeBack(laid, ring, ring.give(laid.segments));
  const { length } = laid.segments.at(-1)!.buffer;
  const around = spare.bytes.findIndex((byte, i) => byte !== 0xaa && (i < 0x100 || i >= 0x100 + length));
  bench.check(around < 0, `byte ${around} of a region was written, where no buffer is`);
}

/** Gives the back-end the memory of the ring and another one, in one table. */
function shareWith(bench: ProtocolBench, spare: SpareMemory): void {
  const regions = [bench.memory.region(), spare.region];
  bench.tell('SET_MEM_TABLE', tablePayload(regions), [bench.memory.descriptor, spare.descriptor]);
}

/** Which bytes a back-end reaches, and how that changes while rings run. */
export const MEMORY_CASES: readonly ProtocolCase[] = [
  ...[4, 8].map((count): ProtocolCase => ({
    id: `vhost-user/table-of-${count}`,
    clause: 'vhost-user: SET_MEM_TABLE',
    level: 'MUST',
    title: `finds rings and buffers in a table of ${count} regions, which are parts of one file`,
    layouts: BOTH_LAYOUTS,
    run: async (bench) => {
      // The ring is in the second region.
      bench.memory.watched.allocate('memory in front of the ring', bench.memory.size / count);
      bench.start({ regions: cut(bench, count) });
      await bench.serve(3);
    },
  })),
  protocolCase({
    id: 'vhost-user/table-in-any-order',
    clause: 'vhost-user: SET_MEM_TABLE',
    title: 'finds rings and buffers whatever the order of the regions is',
    run: async (bench) => {
      bench.start({ regions: cut(bench, 4).toReversed() });
      await bench.serve(3);
    },
  }),
  protocolCase({
    id: 'vhost-user/user-addresses-differ',
    clause: 'vhost-user: Memory access',
    title: 'finds the ring by user addresses that have nothing in common with guest addresses',
    run: async (bench) => {
      const regions = cut(bench, 2);
      const [first, second] = [regions[0]!, regions[1]!];
      // Guest and user addresses of what no ring is in, exchanged with those of nothing.
      bench.start({ regions: [first, { ...second, guest: ABOVE, user: second.user + BESIDE }] });
      await bench.serve(3);
    },
  }),
  ...(
    [
      ['beside', BESIDE],
      ['above-4-gib', ABOVE],
    ] as const
  ).map(([name, guest]): ProtocolCase => ({
    id: `vhost-user/region-${name}`,
    clause: 'vhost-user: SET_MEM_TABLE',
    level: 'MUST',
    title: `reaches buffers in a region of another file: ${name.replaceAll('-', ' ')}`,
    layouts: BOTH_LAYOUTS,
    run: async (bench) => {
      using spare = new SpareMemory(guest);
      bench.greet();
      shareWith(bench, spare);
      bench.startQueues();
      await serveIn(bench, spare);
    },
  })),
  ...startedProtocolCases({ clause: 'vhost-user: SET_MEM_TABLE', layouts: BOTH_LAYOUTS }, [
    {
      id: 'vhost-user/same-table-while-running',
      title: 'serves on after the same table came again while the ring runs',
      run: async (bench) => {
        for (let n = 0; n < 4; n++) {
          await bench.serve(2);
          bench.share();
        }
        await bench.serve(2);
      },
    },
    {
      id: 'vhost-user/memory-plugged',
      title: 'reaches memory that came while the ring runs, and the rest after it went again',
      run: async (bench) => {
        await bench.serve();
        using spare = new SpareMemory(BESIDE);
        shareWith(bench, spare);
        await serveIn(bench, spare);
        bench.share();
        await bench.serve(2);
      },
    },
  ]),
  protocolCase({
    id: 'vhost-user/memory-exchanged',
    clause: 'vhost-user: SET_MEM_TABLE',
    title: 'reaches the file that came last for an address, and writes to the one before no more',
    run: async (bench) => {
      using before = new SpareMemory(BESIDE);
      using spare = new SpareMemory(BESIDE);
      bench.greet();
      shareWith(bench, before);
      bench.startQueues();
      await serveIn(bench, before);
      before.bytes.fill(0xaa);
      shareWith(bench, spare);
      await serveIn(bench, spare);
      bench.check(
        before.bytes.every((byte) => byte === 0xaa),
        'it wrote to the memory that was taken away',
      );
    },
  }),
  ...protocolCases({ needs: [speaks('CONFIGURE_MEM_SLOTS')] }, [
    {
      id: 'vhost-user/memory-slots',
      clause: 'vhost-user: GET_MAX_MEM_SLOTS',
      title: 'has at least one slot for memory, and says the same twice',
      run: (bench) => {
        bench.greet({ accept: ['REPLY_ACK', 'CONFIGURE_MEM_SLOTS'] });
        const slots = bench.frontEnd.askU64('GET_MAX_MEM_SLOTS');
        bench.check(slots > 0n, 'it has no slot');
        bench.equal('the number of slots, asked twice,', bench.frontEnd.askU64('GET_MAX_MEM_SLOTS'), slots);
      },
    },
    {
      id: 'vhost-user/region-added',
      clause: 'vhost-user: ADD_MEM_REG',
      title: 'reaches memory that came region by region, also while the ring runs',
      layouts: BOTH_LAYOUTS,
      run: async (bench) => {
        bench.greet({ accept: ['REPLY_ACK', 'CONFIGURE_MEM_SLOTS'] });
        for (const region of cut(bench, 2)) bench.tell('ADD_MEM_REG', regionPayload(region), [bench.memory.descriptor]);
        bench.startQueues();
        await bench.serve();
        using spare = new SpareMemory(BESIDE);
        bench.tell('ADD_MEM_REG', regionPayload(spare.region), [spare.descriptor]);
        await serveIn(bench, spare);
      },
    },
    {
      id: 'vhost-user/region-removed',
      clause: 'vhost-user: REM_MEM_REG',
      title: 'serves on after a region went, and reaches one that comes in its place',
      layouts: BOTH_LAYOUTS,
      run: async (bench) => {
        bench.greet({ accept: ['REPLY_ACK', 'CONFIGURE_MEM_SLOTS'] });
        bench.tell('ADD_MEM_REG', regionPayload(bench.memory.region()), [bench.memory.descriptor]);
        bench.startQueues();
        for (let n = 0; n < 3; n++) {
          using spare = new SpareMemory(BESIDE);
          bench.tell('ADD_MEM_REG', regionPayload(spare.region), [spare.descriptor]);
          await serveIn(bench, spare);
          bench.tell('REM_MEM_REG', regionPayload(spare.region));
          await bench.serve();
        }
      },
    },
    {
      id: 'vhost-user/every-slot',
      clause: 'vhost-user: GET_MAX_MEM_SLOTS',
      title: 'takes as many regions as it says',
      run: async (bench) => {
        bench.greet({ accept: ['REPLY_ACK', 'CONFIGURE_MEM_SLOTS'] });
        const slots = Math.min(Number(bench.frontEnd.askU64('GET_MAX_MEM_SLOTS')), 64);
        bench.tell('ADD_MEM_REG', regionPayload(bench.memory.region()), [bench.memory.descriptor]);
        using spare = new SpareMemory(BESIDE, 0x1000 * 64);
        for (let n = 1; n < slots; n++) {
          const at = BigInt(n) * 0x1000n;
          const { guest, user } = spare.region;
          const region = { guest: guest + at, user: user + at, size: 0x1000n, offset: at };
          bench.tell('ADD_MEM_REG', regionPayload(region), [spare.descriptor]);
        }
        bench.startQueues();
        await bench.serve(2);
      },
    },
  ]),
];
