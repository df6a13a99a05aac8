import { closeSync, openSync } from 'node:fs';
import { payloadOf, regionPayload, tablePayload, type Region } from '../../protocol/payload.ts';
import type { ProtocolBench } from '../../protocol/protocol-bench.ts';
import { type ProtocolCase, type ProtocolNeed, speaks } from '../../protocol/protocol-case.ts';
import { SpareMemory } from '../../protocol/spare-memory.ts';

interface Hostile {
  readonly needs?: readonly ProtocolNeed[];
  readonly run: ProtocolCase['run'];
}

function hostile(id: string, clause: string, title: string, rest: Hostile): ProtocolCase {
  return { id: `vhost-user/${id}`, clause: `vhost-user: ${clause}`, level: 'MUST', title, isHostile: true, ...rest };
}

const hasSlots = [speaks('CONFIGURE_MEM_SLOTS')];
const PAGE = 4096n;
const ELSEWHERE = 0x4000_0000n;

/** Sends a table and the descriptors for it, then uses the ring as if all were well. */
async function useTable(bench: ProtocolBench, payload: Uint8Array, descriptors: readonly number[]): Promise<void> {
  bench.greet();
  bench.defy('SET_MEM_TABLE', payload, descriptors);
  for (const message of bench.prepare()) bench.defy(message.request, message.payload, message.descriptors);
  bench.defy('SET_VRING_ENABLE', payloadOf(bench.queue, 1));
  bench.ring().give(bench.layOut().segments);
  await bench.settle();
}

/** What a region may be that no memory is. */
const REGIONS: Readonly<Record<string, (right: Region) => Region>> = {
  'of-no-bytes': (right) => ({ ...right, size: 0n }),
  'of-2-63-bytes': (right) => ({ ...right, size: 1n << 63n }),
  'of-all-bytes': (right) => ({ ...right, size: -1n }),
  'that-wraps': (right) => ({ ...right, guest: -PAGE, user: -PAGE }),
  'behind-its-file': (right) => ({ ...right, offset: right.size }),
  'at-offset-2-64': (right) => ({ ...right, offset: -PAGE }),
  'longer-than-its-file': (right) => ({ ...right, size: right.size * 4n }),
};

/** Files that hold no memory. */
const NO_MEMORY: Readonly<Record<string, string>> = {
  'a-folder': '/',
  'a-device': '/dev/null',
  'read-only': '/proc/self/exe',
};

/** Regions that cannot be mapped. */
export const HOSTILE_MEMORY_CASES: readonly ProtocolCase[] = [
  ...Object.entries(REGIONS).map(([name, change]) =>
    hostile(`region-${name}`, 'SET_MEM_TABLE', `survives a region ${name.replaceAll('-', ' ')}`, {
      run: (bench) => useTable(bench, tablePayload([change(bench.memory.region())]), [bench.memory.descriptor]),
    }),
  ),
  ...[0, 9, 0xffff_ffff].map((count) =>
    hostile(`table-says-${count}`, 'SET_MEM_TABLE', `survives a table that says it has ${count} regions`, {
      run: (bench) => useTable(bench, tablePayload([bench.memory.region()], count), [bench.memory.descriptor]),
    }),
  ),
  ...[0, 2, 8].map((count) =>
    hostile(`table-with-${count}-descriptors`, 'SET_MEM_TABLE', `survives one region with ${count} descriptors`, {
      run: (bench) => {
        const descriptors = Array.from({ length: count }, () => bench.memory.descriptor);
        return useTable(bench, tablePayload([bench.memory.region()]), descriptors);
      },
    }),
  ),
  hostile('table-overlaps', 'SET_MEM_TABLE', 'survives regions that are all at the same address', {
    run: (bench) => {
      const regions = Array.from({ length: 8 }, () => bench.memory.region());
      return useTable(
        bench,
        tablePayload(regions),
        regions.map(() => bench.memory.descriptor),
      );
    },
  }),
  hostile('table-short-file', 'SET_MEM_TABLE', 'survives a region whose file ends before the ring', {
    run: async (bench) => {
      using spare = new SpareMemory(ELSEWHERE, Number(PAGE));
      bench.memory.watched.allocate('memory in front of the ring', Number(PAGE) * 2);
      await useTable(bench, tablePayload([bench.memory.region()]), [spare.descriptor]);
    },
  }),
  ...Object.entries(NO_MEMORY).map(([kind, path]) =>
    hostile(
      `memory-is-${kind}`,
      'SET_MEM_TABLE',
      `survives a region whose descriptor is no file of memory: ${kind.replaceAll('-', ' ')}`,
      {
        run: async (bench) => {
          const descriptor = openSync(path, 'r');
          try {
            await useTable(bench, tablePayload([bench.memory.region()]), [descriptor]);
          } finally {
            closeSync(descriptor);
          }
        },
      },
    ),
  ),
  hostile('memory-is-an-event', 'SET_MEM_TABLE', 'survives a region whose file is an event counter', {
    run: (bench) => useTable(bench, tablePayload([bench.memory.region()]), [bench.doorbell().descriptor]),
  }),
  hostile('memory-gone-while-running', 'SET_MEM_TABLE', 'survives that all memory goes while the ring runs', {
    run: async (bench) => {
      const ring = bench.start();
      await bench.serve();
      bench.frontEnd.send('SET_MEM_TABLE', tablePayload([]));
      ring.give(bench.layOut().segments);
      await bench.settle();
    },
  }),
  hostile('ring-memory-gone', 'SET_MEM_TABLE', 'survives that the memory of a ring goes while it runs', {
    run: async (bench) => {
      using spare = new SpareMemory(ELSEWHERE);
      const ring = bench.start();
      await bench.serve();
      bench.frontEnd.send('SET_MEM_TABLE', tablePayload([spare.region]), { descriptors: [spare.descriptor] });
      ring.give(bench.layOut().segments);
      await bench.settle();
    },
  }),
  hostile('buffer-memory-gone', 'Memory access', 'does not write to memory that was taken away', {
    run: async (bench) => {
      using spare = new SpareMemory(ELSEWHERE);
      bench.greet();
      bench.tell('SET_MEM_TABLE', tablePayload([bench.memory.region(), spare.region]), [
        bench.memory.descriptor,
        spare.descriptor,
      ]);
      const ring = bench.startQueues();
      await bench.serve();
      bench.share();
      const laid = bench.layOut();
      const buffer = spare.buffer('memory that was taken away', 0, laid.request.writable);
      ring.give([...laid.segments.filter(({ isWritable }) => isWritable !== true), { buffer, isWritable: true }]);
      try {
        await bench.settle();
      } finally {
        bench.check(
          spare.bytes.every((byte) => byte === 0xaa),
          'it wrote to memory that was taken away',
        );
      }
    },
  }),
  hostile('region-removed-while-used', 'REM_MEM_REG', 'survives that the region of a running ring goes', {
    needs: hasSlots,
    run: async (bench) => {
      bench.greet({ accept: ['REPLY_ACK', 'CONFIGURE_MEM_SLOTS'] });
      bench.tell('ADD_MEM_REG', regionPayload(bench.memory.region()), [bench.memory.descriptor]);
      const ring = bench.startQueues();
      await bench.serve();
      bench.defy('REM_MEM_REG', regionPayload(bench.memory.region()));
      ring.give(bench.layOut().segments);
      await bench.settle();
    },
  }),
  hostile('region-removed-unknown', 'REM_MEM_REG', 'survives that a region goes which it does not have', {
    needs: hasSlots,
    run: (bench) => {
      bench.greet({ accept: ['REPLY_ACK', 'CONFIGURE_MEM_SLOTS'] });
      bench.tell('ADD_MEM_REG', regionPayload(bench.memory.region()), [bench.memory.descriptor]);
      const region = bench.memory.region();
      bench.defy('REM_MEM_REG', regionPayload({ ...region, guest: region.guest + PAGE }));
    },
  }),
  hostile('region-removed-with-descriptor', 'REM_MEM_REG', 'survives a descriptor with a region that goes', {
    needs: hasSlots,
    run: (bench) => {
      bench.greet({ accept: ['REPLY_ACK', 'CONFIGURE_MEM_SLOTS'] });
      bench.tell('ADD_MEM_REG', regionPayload(bench.memory.region()), [bench.memory.descriptor]);
      bench.defy('REM_MEM_REG', regionPayload(bench.memory.region()), [bench.memory.descriptor]);
    },
  }),
  ...[0, 2].map((count) =>
    hostile(`region-added-with-${count}-descriptors`, 'ADD_MEM_REG', `survives one region with ${count} descriptors`, {
      needs: hasSlots,
      run: (bench) => {
        bench.greet({ accept: ['REPLY_ACK', 'CONFIGURE_MEM_SLOTS'] });
        const descriptors = Array.from({ length: count }, () => bench.memory.descriptor);
        bench.defy('ADD_MEM_REG', regionPayload(bench.memory.region()), descriptors);
      },
    }),
  ),
  hostile('more-regions-than-slots', 'GET_MAX_MEM_SLOTS', 'survives more regions than it has slots', {
    needs: hasSlots,
    run: (bench) => {
      bench.greet({ accept: ['REPLY_ACK', 'CONFIGURE_MEM_SLOTS'] });
      const slots = bench.frontEnd.askU64('GET_MAX_MEM_SLOTS');
      if (slots > 600n) bench.skip(`it has ${slots} slots`);
      for (let n = 0n; n <= slots + 2n; n++) {
        const region = { ...bench.memory.region(0, Number(PAGE)), guest: n * PAGE, user: ELSEWHERE + n * PAGE };
        bench.defy('ADD_MEM_REG', regionPayload(region), [bench.memory.descriptor]);
      }
    },
  }),
];
