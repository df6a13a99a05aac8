import { type BenchBuffer, BOTH_LAYOUTS, type ConformRing, type LaidOutRequest } from '@virtio-platform/core';
import { USER_BASE } from '../../protocol/front-end-memory.ts';
import { IOTLB_TYPES, IOVA_BASE, IotlbFrontEnd, iotlbPayload, READ, WRITE } from '../../protocol/iotlb-front-end.ts';
import { HAS_IOTLB } from '../../protocol/iotlb-needs.ts';
import { tablePayload } from '../../protocol/payload.ts';
import type { ProtocolBench } from '../../protocol/protocol-bench.ts';
import { protocolCase, type ProtocolCase } from '../../protocol/protocol-case.ts';
import { SpareMemory } from '../../protocol/spare-memory.ts';

const PAGE = 4096n;
const IOMMU = 'IOMMU support';
/** I/O virtual addresses of buffers that are not in the memory of the ring, and guest addresses of their memory. */
const APART = 0x77_0000_0000n;
const HIGH = 0x7fff_ffff_0000n;
const GUEST = 0x4000_0000n;
const OTHER_GUEST = 0x5000_0000n;
/** More misses than a back-end has a reason for, in the time in which it is watched. */
const MOST_MISSES = 256;

type Rest = Pick<ProtocolCase, 'layouts' | 'level'>;

/** A case with a front-end that has an IOTLB. */
function translated(
  id: string,
  title: string,
  run: (bench: ProtocolBench, iotlb: IotlbFrontEnd) => void | Promise<void>,
  { level = 'MUST', layouts }: Partial<Rest> = {},
  clause: string = IOMMU,
): ProtocolCase {
  return {
    id: `vhost-user/iotlb-${id}`,
    clause: `vhost-user: ${clause}`,
    level,
    title,
    ...(layouts && { layouts }),
    needs: HAS_IOTLB,
    run: async (bench) => {
      using iotlb = new IotlbFrontEnd(bench);
      await run(bench, iotlb);
    },
  };
}

/** Request 0 with what the device writes at an I/O virtual address, which stands for these runs of bytes. */
function layOutAt(bench: ProtocolBench, iova: bigint, parts: (bytes: number) => readonly Uint8Array[]): LaidOutRequest {
  const laid = bench.layOut();
  const length = laid.request.writable;
  if (length === 0) bench.skip('its requests have nothing for the device to write');
  const runs = parts(length);
  const buffer: BenchBuffer = {
    name: 'what the device writes',
    address: Number(iova),
    length,
    low: Number(iova & 0xffff_ffffn),
    high: Number(iova >> 32n),
    write: () => {},
    read: () => new Uint8Array(Buffer.concat(runs)),
  };
  const readable = laid.segments.filter(({ isWritable }) => isWritable !== true);
  return {
    ...laid,
    segments: [...readable, { buffer, isWritable: true }],
    check: ({ length: used }) => {
      if (used > length) return `the used length is ${used}, of ${length} writable bytes`;
      return laid.request.check(buffer.read(), used);
    },
  };
}

/** Offset of the answer in a spare memory. */
const AT = 0x100;

/** Request 0 with its answer in the first page of a spare memory. */
function layOutIn(bench: ProtocolBench, spare: SpareMemory, iova: bigint): LaidOutRequest {
  return layOutAt(bench, iova + BigInt(AT), (length) => [spare.bytes.subarray(AT, AT + length)]);
}

/** Serves a request. */
async function serve(bench: ProtocolBench, laid: LaidOutRequest): Promise<void> {
  const ring = bench.ring();
  await bench.takeBack(laid, ring, ring.give(laid.segments));
}

/** Starts with memory beside that of the ring. */
function startWith(bench: ProtocolBench, iotlb: IotlbFrontEnd, ...spares: readonly SpareMemory[]): void {
  iotlb.open();
  const regions = [bench.memory.region(), ...spares.map(({ region }) => region)];
  const files = [bench.memory.descriptor, ...spares.map(({ descriptor }) => descriptor)];
  bench.tell('SET_MEM_TABLE', tablePayload(regions), files);
  bench.startQueues();
}

/** A page of a spare memory at an I/O virtual address. */
function mapPage(
  iotlb: IotlbFrontEnd,
  iova: bigint,
  { region }: SpareMemory,
  permission = READ | WRITE,
  page = 0n,
): void {
  iotlb.map({ iova, size: PAGE, user: region.user + page * PAGE, permission });
}

/** Starts with rings in pages of which nothing else is. */
function startOnPages(bench: ProtocolBench, iotlb: IotlbFrontEnd): ConformRing {
  const page = Number(PAGE);
  bench.allocate('a page in front of the rings', page - 64, page);
  const ring = iotlb.start();
  bench.allocate('a page behind the rings', page, page);
  return ring;
}

/** The guest address of the page behind a buffer. */
function pageBehind({ address, length }: BenchBuffer): bigint {
  return (BigInt(address + length - 1) / PAGE + 1n) * PAGE;
}

/**
 * Has an address become another one: it is in an entry of `entryBytes`, these addresses are invalidated, and what comes
 * then may not be in the memory before.
 */
async function exchange(
  bench: ProtocolBench,
  iotlb: IotlbFrontEnd,
  entryBytes: bigint,
  [iova, size]: readonly [bigint, bigint],
): Promise<void> {
  using before = new SpareMemory(GUEST);
  using after = new SpareMemory(OTHER_GUEST);
  startWith(bench, iotlb, before, after);
  iotlb.map({ iova: APART, size: entryBytes, user: before.region.user, permission: READ | WRITE });
  await serve(bench, layOutIn(bench, before, APART));
  before.bytes.fill(0xaa);
  mapPage(iotlb, APART, after);
  iotlb.invalidate(iova, size);
  await serve(bench, layOutIn(bench, after, APART));
  bench.check(isUntouched(before), 'it wrote by an entry that was invalidated');
}

function isUntouched({ bytes }: SpareMemory): boolean {
  return bytes.every((byte) => byte === 0xaa);
}

/** A back-end that has to reach memory by I/O virtual addresses, and asks its front-end what they are. */
export const IOTLB_CASES: readonly ProtocolCase[] = [
  translated(
    'serves',
    'finds rings and buffers by I/O virtual addresses, of which it asks what they are',
    async (bench, iotlb) => {
      iotlb.start();
      await bench.serve(3);
    },
    { layouts: BOTH_LAYOUTS },
  ),
  translated(
    'ring-addresses',
    'takes the addresses of SET_VRING_ADDR as I/O virtual addresses, and asks for all three areas',
    async (bench, iotlb) => {
      iotlb.pageSize = PAGE;
      const ring = startOnPages(bench, iotlb);
      await bench.serve();
      for (const area of [ring.descriptorArea, ring.driverArea, ring.deviceArea]) {
        const [start, end] = [IOVA_BASE + BigInt(area.address), IOVA_BASE + pageBehind(area)];
        const isAsked = iotlb.hasAsked(start - (start % PAGE), end);
        bench.check(isAsked, `it used ${area.name} and did not ask where it is`);
      }
    },
    { layouts: BOTH_LAYOUTS },
    'SET_VRING_ADDR',
  ),
  translated(
    'miss-form',
    'asks with a miss, for an address that it was given, with permissions that there are',
    async (bench, iotlb) => {
      iotlb.start();
      await bench.serve(2);
      bench.check(iotlb.misses.length > 0, 'it asked for nothing');
      const end = IOVA_BASE + BigInt(bench.memory.size);
      const strange = iotlb.misses.find(({ iova }) => iova < IOVA_BASE || iova >= end);
      bench.check(strange === undefined, `it asked for 0x${strange?.iova.toString(16)}, which it was not given`);
      const { type } = iotlb.misses[0]!;
      bench.equal('the type of its first message', type, IOTLB_TYPES.MISS);
    },
    {},
    'IOTLB_MSG',
  ),
  translated(
    'asks-to-write',
    'asks to write where it writes: entries have the permissions that it asked for, and no others',
    async (bench, iotlb) => {
      using spare = new SpareMemory(GUEST);
      iotlb.isExact = true;
      startWith(bench, iotlb, spare);
      mapPage(iotlb, APART, spare);
      await serve(bench, layOutIn(bench, spare, APART));
      bench.check(iotlb.hasAsked(APART, APART + PAGE, WRITE), 'it wrote where it asked to read only');
    },
    { layouts: BOTH_LAYOUTS },
  ),
  translated('asks-to-write-used-ring', 'asks to write its used ring', async (bench, iotlb) => {
    iotlb.isExact = true;
    iotlb.pageSize = PAGE;
    const { deviceArea } = startOnPages(bench, iotlb);
    await bench.serve();
    const start = IOVA_BASE + BigInt(deviceArea.address);
    const isAsked = iotlb.hasAsked(start - (start % PAGE), IOVA_BASE + pageBehind(deviceArea), WRITE);
    bench.check(isAsked, 'it wrote to its used ring, and asked to read only');
  }),
  translated('read-only', 'writes nothing where an entry lets it read only', async (bench, iotlb) => {
    using spare = new SpareMemory(GUEST);
    startWith(bench, iotlb, spare);
    mapPage(iotlb, APART, spare, READ);
    iotlb.update({ iova: APART, size: PAGE, user: spare.region.user, permission: READ });
    bench.ring().give(layOutIn(bench, spare, APART).segments);
    await bench.settle();
    bench.synchronise();
    bench.check(isUntouched(spare), 'it wrote to memory of which its entry says that it may be read only');
  }),
  translated('write-only', 'reads no request where an entry lets it write only', async (bench, iotlb) => {
    using spare = new SpareMemory(GUEST);
    startWith(bench, iotlb, spare);
    mapPage(iotlb, APART, spare, WRITE);
    iotlb.update({ iova: APART, size: PAGE, user: spare.region.user, permission: WRITE });
    const laid = bench.layOut();
    const [first] = laid.segments;
    if (first === undefined || first.isWritable === true || laid.request.writable === 0)
      throw bench.skip('its requests have nothing that it reads and answers');
    spare.bytes.set(first.buffer.read(), AT);
    const [low, high] = [Number((APART + BigInt(AT)) & 0xffff_ffffn), Number(APART >> 32n)];
    const hidden = { ...first, buffer: { ...first.buffer, low, high } };
    const ring = bench.ring();
    ring.give([hidden, ...laid.segments.slice(1)]);
    await bench.settle();
    const returned = ring.take();
    const isServed = returned !== undefined && returned.length > 0 && laid.check(returned) === undefined;
    bench.check(!isServed, 'it served a request that its entry lets it write only');
  }),
  translated(
    'page-by-page',
    'asks again for what is behind the entry that it was given, until it has all of a ring and of a buffer',
    async (bench, iotlb) => {
      iotlb.pageSize = PAGE;
      iotlb.start({ size: 256 });
      await bench.serve(40);
    },
    { layouts: BOTH_LAYOUTS },
  ),
  translated(
    'across-entries',
    'writes a buffer to both entries that it is in, which are not side by side in memory',
    async (bench, iotlb) => {
      using spare = new SpareMemory(GUEST);
      startWith(bench, iotlb, spare);
      mapPage(iotlb, APART, spare, READ | WRITE, 2n);
      mapPage(iotlb, APART + PAGE, spare, READ | WRITE, 0n);
      const page = Number(PAGE);
      let first = 0;
      const laid = layOutAt(bench, APART + PAGE - 1n, (length) => {
        first = Math.min(1, length);
        return [spare.bytes.subarray(3 * page - first, 3 * page), spare.bytes.subarray(0, length - first)];
      });
      await serve(bench, laid);
      const end = laid.request.writable - first;
      const strays = spare.bytes.findIndex(
        (byte, i) => byte !== 0xaa && i >= end && (i < 3 * page - first || i >= 3 * page),
      );
      bench.check(strays < 0, `byte ${strays} of a region was written, where no buffer is`);
    },
    { layouts: BOTH_LAYOUTS },
  ),
  translated('high-addresses', 'takes I/O virtual addresses of 47 bits', async (bench, iotlb) => {
    using spare = new SpareMemory(GUEST);
    startWith(bench, iotlb, spare);
    mapPage(iotlb, HIGH, spare);
    await serve(bench, layOutIn(bench, spare, HIGH));
  }),
  translated(
    'unasked',
    'uses entries that it did not ask for, once its rings are set up',
    async (bench, iotlb) => {
      iotlb.open();
      bench.share();
      iotlb.isAnswering = false;
      bench.startQueues({ isHeld: true });
      iotlb.update({ iova: IOVA_BASE, size: BigInt(bench.memory.size), user: USER_BASE, permission: READ | WRITE });
      for (const queue of bench.queues) bench.enable(queue);
      await bench.serve(3);
    },
    { layouts: BOTH_LAYOUTS },
    'IOTLB_MSG',
  ),
  translated(
    'acknowledged',
    'acknowledges entries that come and go',
    (bench, iotlb) => {
      iotlb.start();
      const entry = { iova: APART, size: PAGE, user: USER_BASE, permission: READ };
      for (const type of [IOTLB_TYPES.UPDATE, IOTLB_TYPES.INVALIDATE]) {
        const answer = bench.frontEnd.acknowledged('IOTLB_MSG', iotlbPayload(type, entry));
        bench.equal(`its answer to an IOTLB message of type ${type}`, answer, 0n);
      }
    },
    {},
    'IOTLB_MSG',
  ),
  translated(
    'invalidated',
    'uses no entry that was invalidated: it asks again, and writes to what the address is now',
    (bench, iotlb) => exchange(bench, iotlb, PAGE, [APART, PAGE]),
    { layouts: BOTH_LAYOUTS },
  ),
  translated('invalidated-part', 'uses no part of an entry that was invalidated in part', (bench, iotlb) =>
    exchange(bench, iotlb, 4n * PAGE, [APART, PAGE]),
  ),
  translated(
    'invalidated-middle',
    'uses no entry in the middle of a run of addresses that was invalidated',
    (bench, iotlb) => exchange(bench, iotlb, PAGE, [APART - 64n * PAGE, 128n * PAGE]),
  ),
  translated('invalidated-all', 'keeps no entry where all addresses were invalidated', (bench, iotlb) =>
    exchange(bench, iotlb, PAGE, [0n, 1n << 48n]),
  ),
  translated(
    'others-stay',
    'keeps its other entries where one was invalidated, and serves without an answer to anything else',
    async (bench, iotlb) => {
      using spare = new SpareMemory(GUEST);
      startWith(bench, iotlb, spare);
      mapPage(iotlb, APART, spare);
      await serve(bench, layOutIn(bench, spare, APART));
      await bench.serve(2);
      iotlb.invalidate(APART, PAGE);
      iotlb.isAnswering = false;
      await bench.serve(2);
    },
    { level: 'SHOULD' },
  ),
  translated(
    'ring-invalidated',
    'touches no ring whose addresses were invalidated, until it was told again where it is',
    async (bench, iotlb) => {
      iotlb.pageSize = PAGE;
      const ring = startOnPages(bench, iotlb);
      await bench.serve(2);
      const laid = bench.layOut();
      iotlb.isAnswering = false;
      const whole = { iova: IOVA_BASE, size: BigInt(bench.memory.size), user: USER_BASE, permission: READ | WRITE };
      const end = pageBehind(ring.deviceArea);
      iotlb.invalidate(IOVA_BASE, end);
      // The buffers are known: nothing but the ring is missing.
      iotlb.update({ ...whole, iova: whole.iova + end, user: whole.user + end, size: whole.size - end });
      const id = ring.give(laid.segments);
      await bench.settle();
      bench.synchronise();
      bench.check(ring.take() === undefined, 'it returned a buffer by a ring whose addresses were invalidated');
      iotlb.isAnswering = true;
      iotlb.update(whole);
      ring.kick();
      await bench.takeBack(laid, ring, id);
      await bench.serve(2);
    },
    { layouts: BOTH_LAYOUTS },
  ),
  translated('more-permissions', 'writes where a later entry for the address lets it', async (bench, iotlb) => {
    using spare = new SpareMemory(GUEST);
    startWith(bench, iotlb, spare);
    const entry = { iova: APART, size: PAGE, user: spare.region.user };
    iotlb.update({ ...entry, permission: READ });
    iotlb.map({ ...entry, permission: READ | WRITE });
    await serve(bench, layOutIn(bench, spare, APART));
  }),
  translated('late-answer', 'serves a request whose miss was answered late', async (bench, iotlb) => {
    using spare = new SpareMemory(GUEST);
    startWith(bench, iotlb, spare);
    await bench.serve();
    const laid = layOutIn(bench, spare, APART);
    const ring = bench.ring();
    const id = ring.give(laid.segments);
    await bench.settle();
    iotlb.update({ iova: APART, size: PAGE, user: spare.region.user, permission: READ | WRITE });
    await bench.takeBack(laid, ring, id);
  }),
  translated(
    'stops-meanwhile',
    'stops a ring although a miss of it was not answered',
    async (bench, iotlb) => {
      using spare = new SpareMemory(GUEST);
      startWith(bench, iotlb, spare);
      await bench.serve(2);
      bench.ring().give(layOutIn(bench, spare, APART).segments);
      await bench.settle();
      bench.stop();
    },
    { level: 'SHOULD' },
  ),
  translated(
    'bounded-misses',
    'does not ask without an end for an address that is nothing',
    async (bench, iotlb) => {
      using spare = new SpareMemory(GUEST);
      startWith(bench, iotlb, spare);
      await bench.serve();
      iotlb.misses.length = 0;
      bench.ring().give(layOutIn(bench, spare, APART).segments);
      await bench.settle(20);
      bench.check(iotlb.misses.length < MOST_MISSES, `it asked ${iotlb.misses.length} times in 20 ms`);
    },
    { level: 'SHOULD' },
  ),
  translated(
    'channel-replaced',
    'asks on the channel that came last',
    async (bench, iotlb) => {
      using spare = new SpareMemory(GUEST);
      startWith(bench, iotlb, spare);
      await bench.serve();
      iotlb.giveChannel();
      mapPage(iotlb, APART, spare);
      await serve(bench, layOutIn(bench, spare, APART));
    },
    {},
    'SET_BACKEND_REQ_FD',
  ),
  translated(
    'channel-not-read',
    'answers messages also while nothing reads what it asks on the back channel',
    async (bench, iotlb) => {
      const ring = iotlb.start();
      await bench.serve();
      bench.endBackChannel();
      bench.frontEnd.meanwhile = undefined;
      for (let n = 0; n < 200; n++) {
        iotlb.invalidate(IOVA_BASE, BigInt(bench.memory.size));
        ring.kick();
      }
      bench.synchronise();
    },
    { level: 'SHOULD' },
    'SET_BACKEND_REQ_FD',
  ),
  protocolCase({
    id: 'vhost-user/iotlb-new-connection',
    clause: `vhost-user: ${IOMMU}`,
    title: 'has no entries of the connection before',
    needs: HAS_IOTLB,
    run: async (bench) => {
      using before = new SpareMemory(GUEST);
      using after = new SpareMemory(OTHER_GUEST);
      for (const spare of [before, after]) {
        await bench.connect();
        using iotlb = new IotlbFrontEnd(bench);
        startWith(bench, iotlb, before, after);
        mapPage(iotlb, APART, spare);
        await serve(bench, layOutIn(bench, spare, APART));
        if (spare === before) before.bytes.fill(0xaa);
      }
      bench.check(isUntouched(before), 'it wrote by an entry of the connection before');
    },
  }),
];
