import {
  bareCase,
  BOTH_LAYOUTS,
  type Clause,
  type ConformBench,
  type ConformCase,
  type DeviceCases,
  type Framing,
  type GoodRequest,
  misuseOf,
  startedCase,
} from '@virtio-platform/core';

const QUEUE = 0;
const OPERATION = '5.4.6';
const NORMATIVE = '5.4.6.2';
/** Bytes of the requests of the ring's cases. */
const USUAL_BYTES = 64;

/** A buffer of so many bytes, into which the device has to put one at least. */
function request(bytes: number): GoodRequest {
  return {
    queue: QUEUE,
    readable: new Uint8Array(0),
    writable: bytes,
    check: (_written, length) => (length > 0 ? undefined : 'the used length is 0: there has to be a random byte'),
  };
}

/** Reads into a buffer, and returns what came. */
async function read(bench: ConformBench, bytes: number, framing: Framing = {}): Promise<Uint8Array> {
  const laid = bench.layOutRequest(request(bytes), framing);
  const { length } = await bench.serve(laid, framing);
  return Buffer.concat(laid.segments.map(({ buffer }) => buffer.read())).subarray(0, length);
}

/** Reads into buffers that are cut in one way, of which something has to be written, and not always the same. */
function cutCase(id: string, title: string, bytes: number, framing: Framing): ConformCase {
  return {
    id: `entropy/${id}`,
    clause: OPERATION,
    level: 'MUST',
    title,
    layouts: BOTH_LAYOUTS,
    run: async (bench) => {
      await bench.start({ size: 128 });
      const seen = new Set<string>();
      for (let n = 0; n < 8; n++) seen.add(Buffer.from(await read(bench, bytes, framing)).toString('hex'));
      bench.check(seen.size > 1, `8 buffers have the same ${bytes} bytes`);
    },
  };
}

/** A request that no driver may make. */
const hostileCase = misuseOf({ type: 'entropy', clause: OPERATION });

const CASES: readonly ConformCase[] = [
  cutCase('short', 'fills buffers of 8 bytes', 8, {}),
  cutCase('segments', 'fills buffers of descriptors of odd lengths', 100, { writable: [1, 7, 30] }),
  cutCase('single-bytes', 'fills buffers of descriptors of one byte each', 24, {
    writable: Array.from({ length: 23 }, () => 1),
  }),
  cutCase('long', 'fills buffers of 64 KiB, or a part of them', 0x1_0000, {}),
  startedCase({
    id: 'entropy/one-byte',
    clause: NORMATIVE,
    title: 'puts a byte into buffers of one byte',
    layouts: BOTH_LAYOUTS,
    run: async (bench) => {
      const seen = new Set<number>();
      for (let n = 0; n < 24; n++) {
        const bytes = await read(bench, 1);
        bench.equal('the used length', bytes.length, 1);
        seen.add(bytes[0]!);
      }
      bench.check(seen.size > 1, 'each of 24 random bytes is the same');
    },
  }),
  startedCase({
    id: 'entropy/at-once',
    clause: OPERATION,
    title: 'fills buffers that it has at once with bytes of their own',
    layouts: BOTH_LAYOUTS,
    start: { size: 32 },
    run: async (bench, ring) => {
      const given = Array.from({ length: 20 }, () => bench.layOutRequest(request(32)));
      const byId = new Map(given.map((laid) => [ring.add(laid.segments), laid]));
      ring.publish();
      ring.kick();
      const seen = new Set<string>();
      for (let n = 0; n < given.length; n++) {
        const returned = await ring.takeNext();
        const laid = byId.get(returned.id);
        bench.check(laid !== undefined, `it returned buffer ${returned.id}, which it did not have`);
        bench.equal('what is wrong', laid!.check(returned) ?? 'nothing', 'nothing');
        if (returned.length >= 8) seen.add(Buffer.from(laid!.segments[0]!.buffer.read(0, 8)).toString('hex'));
        else seen.add(String(n));
      }
      bench.equal('the number of buffers that differ', seen.size, given.length);
    },
  }),
  bareCase({
    id: 'entropy/differs-after-reset',
    clause: OPERATION,
    level: 'SHOULD',
    title: 'gives other bytes after a reset',
    run: async (bench) => {
      const seen = new Set<string>();
      for (let n = 0; n < 3; n++) {
        await bench.start();
        seen.add(Buffer.from(await read(bench, 16)).toString('hex'));
      }
      bench.equal('the number of first buffers that differ', seen.size, 3);
    },
  }),
  hostileCase('readable', 'a buffer that is readable', (bench) => {
    bench.ring().give([{ buffer: bench.allocate('a readable buffer', 64) }]);
  }),
  hostileCase('half-readable', 'a buffer with a readable part in front', (bench) => {
    const buffer = bench.allocate('a writable part', 64, 64);
    bench.ring().give([{ buffer: bench.allocate('a readable part', 64) }, { buffer, isWritable: true }]);
  }),
  hostileCase('of-1-mib', 'a buffer of 1 MiB', (bench) => {
    bench.ring().give([{ buffer: bench.allocate('a long buffer', 0x10_0000, 64), isWritable: true }]);
  }),
  hostileCase('same-buffer', 'six buffers that are the same memory', (bench) => {
    const buffer = bench.allocate('a buffer', 64, 64);
    for (let i = 0; i < 6; i++) bench.ring().give([{ buffer, isWritable: true }]);
  }),
];

const CLAUSES: readonly Clause[] = [
  { section: OPERATION, level: 'text', requires: 'buffers of any length and framing are filled' },
  { section: NORMATIVE, level: 'MUST', requires: 'one or more random bytes in each buffer' },
];

/** The cases of an entropy device (specification 1.4 section 5.4). */
export const ENTROPY_CASES: DeviceCases = {
  clauses: CLAUSES,
  queues: [QUEUE],
  open: async () => () => request(USUAL_BYTES),
  unprepared: () => request(USUAL_BYTES),
  cases: CASES,
};
