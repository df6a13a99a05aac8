import {
  bareCase,
  BOTH_LAYOUTS,
  returnsNothing,
  startedCase,
  startedCases,
  type ConformBench,
  type ConformCase,
} from '@virtio-platform/core';
import { VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC } from '@virtio-platform/core/features';
import { offers, takesRing } from '../needs.ts';

/** Bytes of flags and index in front of the entries of both rings. */
const ENTRIES = 4;

/** Requests that go round a ring of 16 many times: more than any bug that waits for a lap needs. */
const LAPS = 240;
/** Requests after which a 16-bit index of a split ring has wrapped. */
const PAST_65535 = 65_536 + 300;

/** Gives `count` requests at once, each with buffers of its own, and takes them back. */
async function atOnce(bench: ConformBench, count: number): Promise<void> {
  const ring = await bench.start({ size: 64 });
  const given = new Map<number, ReturnType<typeof bench.layOut>>();
  for (let n = 0; n < count; n++) {
    const laid = bench.layOut(n);
    given.set(ring.add(laid.segments), laid);
  }
  ring.publish();
  ring.kick();
  for (let n = 0; n < count; n++) {
    const returned = await ring.takeNext();
    const laid = given.get(returned.id);
    bench.check(laid !== undefined, `it returned buffer ${returned.id}, which it did not have or returned before`);
    given.delete(returned.id);
    bench.equal('what is wrong', laid!.check(returned) ?? 'nothing', 'nothing');
  }
}

/** Lengths that cut one part of a request, so that both parts have 4 descriptors together. */
function quarters(part: number, other: number): number[] {
  return Array.from({ length: Math.min(part, 4 - Math.min(other, 2)) - 1 }, () => 1);
}

/** What a device returns, and where (specification 1.4 sections 2.7.8, 2.8.3 to 2.8.9). */
export const USED_CASES: readonly ConformCase[] = [
  bareCase({
    id: 'ring/used-once',
    clause: '2.7.8',
    title: 'returns each buffer once, and no other',
    layouts: BOTH_LAYOUTS,
    needs: [takesRing(64)],
    run: async (bench) => {
      await atOnce(bench, 20);
      await returnsNothing(bench, bench.ring(), 'it returned a buffer more than it had');
    },
  }),
  ...startedCases({ clause: '2.7.8.2', layouts: BOTH_LAYOUTS }, [
    {
      id: 'ring/used-length',
      title: 'returns a length that is not above what the buffer has to write',
      run: async (bench) => {
        for (let n = 0; n < 6; n++) {
          const laid = bench.layOut(n, { writable: n % 2 === 0 ? [] : [2] });
          const { length } = await bench.serve(laid);
          bench.check(length <= laid.request.writable, `length ${length} of ${laid.request.writable} writable bytes`);
        }
      },
    },
    {
      id: 'ring/used-length-written',
      title: 'wrote as many bytes as it says, from the first writable one on',
      run: async (bench) => {
        const laid = bench.layOut(1, { writable: [3, 9] });
        const { length } = await bench.serve(laid);
        const parts = laid.segments.filter(({ isWritable }) => isWritable).map(({ buffer }) => buffer.read());
        const written = Buffer.concat(parts).subarray(0, length);
        // Canaries are 0xa0 to 0xaf: of bytes that the device chose, a run of 16 is none.
        for (let at = 0; at + 16 <= written.length; at++) {
          const isUntouched = written.subarray(at, at + 16).every((byte) => (byte & 0xf0) === 0xa0);
          bench.check(!isUntouched, `it says ${length} bytes, and did not write those from ${at} on`);
        }
      },
    },
    {
      id: 'ring/used-length-readable-only',
      title: 'counts no readable bytes in the used length',
      run: async (bench) => {
        const laid = bench.layOut(0, { readable: [1, 1, 1], writable: [1] });
        const { readable, writable } = laid.request;
        const { length } = await bench.serve(laid);
        bench.check(length <= writable, `length ${length}: ${writable} writable and ${readable.length} readable bytes`);
      },
    },
  ]),
  startedCase({
    id: 'ring/descriptors-unchanged',
    clause: '2.7.5.1',
    title: 'leaves the descriptor table as it is',
    run: async (bench, ring) => {
      const laid = bench.layOut(0, { readable: [2], writable: [1] });
      ring.add(laid.segments);
      const before = Buffer.from(ring.descriptorArea.read());
      ring.publish();
      ring.kick();
      await ring.takeNext();
      const after = ring.descriptorArea.read();
      const at = before.findIndex((byte, i) => after[i] !== byte);
      bench.check(at < 0, `byte ${at % 16} of descriptor ${Math.floor(at / 16)} changed`);
    },
  }),
  startedCase({
    id: 'ring/driver-area-unchanged',
    clause: '2.7.6',
    title: 'leaves the driver area as it is',
    layouts: BOTH_LAYOUTS,
    run: async (bench, ring) => {
      await bench.serve(bench.layOut(0));
      ring.add(bench.layOut(1).segments);
      ring.publish();
      const before = Buffer.from(ring.driverArea.read());
      ring.kick();
      await ring.takeNext();
      const after = ring.driverArea.read();
      const at = before.findIndex((byte, i) => after[i] !== byte);
      bench.check(at < 0, `byte ${at} of the driver area changed from ${before[at]} to ${after[at]}`);
    },
  }),
  startedCase({
    id: 'ring/readable-unchanged',
    clause: '2.7.5.1',
    title: 'writes to no readable buffer',
    layouts: BOTH_LAYOUTS,
    run: async (bench) => {
      const laid = bench.layOut(0, { readable: [4] });
      const readable = laid.segments.filter(({ isWritable }) => isWritable !== true);
      const before = readable.map(({ buffer }) => Buffer.from(buffer.read()));
      await bench.serve(laid);
      for (const [i, { buffer }] of readable.entries())
        bench.check(before[i]!.equals(buffer.read()), `${buffer.name} changed`);
    },
  }),
  startedCase({
    id: 'ring/returned-untouched',
    clause: '2.6.2',
    title: 'writes no more to a buffer that it returned',
    layouts: BOTH_LAYOUTS,
    // What the device returned is memory that it may not write any more, so the bench itself looks.
    run: async (bench) => {
      await bench.serveMany(24, 3);
      await bench.settle();
    },
  }),
  bareCase({
    id: 'ring/table-unchanged',
    clause: '2.7.5.1',
    title: 'leaves an indirect table as it is',
    layouts: BOTH_LAYOUTS,
    needs: [offers(VIRTIO_RING_F_INDIRECT_DESC)],
    // The table is memory that the device may not write, so the bench itself looks.
    run: async (bench) => {
      await bench.start({ with: [VIRTIO_RING_F_INDIRECT_DESC] });
      await bench.serve(bench.layOut(0, { readable: [2] }), { indirect: true });
    },
  }),
  startedCase({
    id: 'ring/used-flags',
    clause: '2.7.10.2',
    title: 'has used.flags of 0 or 1',
    run: async (bench, ring) => {
      await bench.serveMany(10, 3);
      const flags = ring.peek('device', 0);
      bench.check(flags <= 1, `used.flags is ${flags}`);
    },
  }),
  startedCase({
    id: 'ring/used-flags-with-event-idx',
    clause: '2.7.10.2',
    title: 'has used.flags of 0 with EVENT_IDX',
    needs: [offers(VIRTIO_RING_F_EVENT_IDX)],
    start: { with: [VIRTIO_RING_F_EVENT_IDX] },
    run: async (bench, ring) => {
      await bench.serveMany(10, 3);
      bench.equal('used.flags', ring.peek('device', 0), 0);
    },
  }),
  ...startedCases({ clause: '2.8.14', layouts: ['packed'] }, [
    {
      id: 'ring/device-event-reserved',
      title: 'has event flags of 0 or 1 without EVENT_IDX, and reserved bits of 0',
      run: async (bench, ring) => {
        await bench.serveMany(10, 3);
        const flags = ring.peek('device', 2);
        bench.check(flags <= 1, `the event flags of the device area are ${flags}`);
      },
    },
    {
      id: 'ring/device-event-position',
      title: 'asks with EVENT_IDX for a notification at a slot of the ring',
      needs: [offers(VIRTIO_RING_F_EVENT_IDX)],
      start: { with: [VIRTIO_RING_F_EVENT_IDX] },
      run: async (bench, ring) => {
        await bench.serveMany(10, 3);
        const flags = ring.peek('device', 2);
        const slot = ring.peek('device', 0) & 0x7fff;
        bench.check(flags <= 2, `the event flags of the device area are ${flags}`);
        bench.check(flags !== 2 || slot < ring.size, `the event is at slot ${slot} of ${ring.size}`);
      },
    },
  ]),
  startedCase({
    id: 'ring/used-marked-written',
    clause: '2.8.3',
    level: 'SHOULD',
    title: 'sets WRITE in the used descriptor of a buffer that it wrote to',
    layouts: ['packed'],
    run: async (bench) => {
      const laid = bench.layOut(0);
      if (laid.request.writable === 0) bench.skip('its requests have nothing to write');
      const { flags } = await bench.serve(laid);
      bench.check((flags & 2) !== 0, `flags 0x${flags.toString(16)} of a buffer that was written`);
    },
  }),
  startedCase({
    id: 'ring/used-starts-at-0',
    clause: '2.7.8',
    title: 'writes its first used entry to slot 0, also of a ring that had others before a reset',
    run: async (bench) => {
      await bench.serveMany(5, 1);
      const ring = await bench.start();
      const id = ring.give(bench.layOut(0).segments);
      await ring.takeNext();
      bench.equal('used.idx', ring.peek('device', 2), 1);
      bench.equal('the id of used entry 0', ring.peek('device', ENTRIES), id);
    },
  }),
  startedCase({
    id: 'ring/laps',
    clause: '2.6',
    title: `serves ${LAPS} requests on a ring of 16, with chains of every length from 2 to 7`,
    layouts: BOTH_LAYOUTS,
    run: async (bench) => {
      await bench.serveMany(LAPS, 2, (n) => ({
        readable: Array.from({ length: n % 3 }, () => 2),
        writable: Array.from({ length: (n >> 2) % 3 }, () => 3),
      }));
    },
  }),
  startedCase({
    id: 'ring/index-wraps',
    clause: '2.7.6',
    title: 'goes on as the 16-bit indices wrap at 65535',
    needs: [takesRing(256)],
    start: { size: 256 },
    run: async (bench, ring) => {
      const depth = 64;
      const laid = Array.from({ length: depth }, (_, n) => bench.layOut(n));
      for (let served = 0; served < PAST_65535; served += depth) {
        for (const { segments } of laid) ring.add(segments);
        ring.publish();
        ring.kick();
        for (let n = 0; n < depth; n++) await ring.takeNext();
      }
      bench.equal('used.idx', ring.peek('device', 2), ring.nextAvailable);
      await bench.serve(bench.layOut(3));
    },
  }),
  ...startedCases({ clause: '2.8.1', layouts: ['packed'] }, [
    {
      id: 'ring/wrap-in-chain',
      title: 'follows a list around the end of the ring, at each of its places',
      start: { size: 7 },
      run: async (bench) => {
        for (let n = 0; n < 60; n++) await bench.serve(bench.layOut(n, { readable: [1, 1], writable: [2] }));
      },
    },
    {
      id: 'ring/wrap-by-whole-ring',
      title: 'turns both wrap counters with a list of exactly the ring (R-01)',
      start: { size: 4 },
      run: async (bench) => {
        const { readable, writable } = bench.layOut(0).request;
        if (readable.length + writable < 4) bench.skip('its requests have too few bytes');
        const framing = {
          readable: quarters(readable.length, writable),
          writable: quarters(writable, readable.length),
        };
        for (let n = 0; n < 9; n++) {
          const laid = bench.layOut(n, framing);
          bench.equal('the number of descriptors', laid.segments.length, 4);
          await bench.serve(laid);
        }
      },
    },
  ]),
  ...startedCases({ clause: '2.7.13', layouts: BOTH_LAYOUTS }, [
    {
      id: 'ring/batches',
      title: 'takes all buffers of a batch that was published at once',
      start: { size: 64 },
      run: async (bench) => {
        await bench.serveMany(200, 20);
      },
    },
    {
      id: 'ring/full-batch',
      title: 'takes a batch that fills the ring, of buffers of one table each',
      needs: [offers(VIRTIO_RING_F_INDIRECT_DESC)],
      start: { size: 16, with: [VIRTIO_RING_F_INDIRECT_DESC] },
      run: async (bench, ring) => {
        await bench.serveMany(ring.size * 4, ring.size, () => ({ indirect: true }));
      },
    },
  ]),
];
