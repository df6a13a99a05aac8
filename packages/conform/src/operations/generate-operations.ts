import {
  VIRTIO_F_IN_ORDER,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '@virtio-platform/core/features';
import { VIRTQ_DESC_F_INDIRECT } from '@virtio-platform/core/queue';
import type { HostileOperation, Operation, Place } from './operation.ts';
import { SeededRandom } from './seeded-random.ts';

const SIZES = [4, 8, 16, 32, 64, 128, 256];
const FEATURES = [VIRTIO_RING_F_INDIRECT_DESC, VIRTIO_RING_F_EVENT_IDX, VIRTIO_F_IN_ORDER];
const PLACES: readonly Place[] = ['buffer', 'buffer', 'request', 'descriptor', 'driver', 'device', 'nowhere', 'zero'];
/** Where a table may be of which it is known what it lets the device write: nothing, or what the ring does. */
const TABLES: readonly Place[] = ['buffer', 'descriptor', 'nowhere', 'zero'];
/** Values at which fields of 16 and of 32 bits turn. */
const EDGES = [0, 1, 2, 3, 7, 15, 16, 17, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff];
const LENGTHS = [0, 1, 15, 16, 17, 512, 513, 4096, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_ffff];
/** Descriptors that most hostile steps are about, so that they make chains. */
const NEAR = 6;
/** Requests that have numbers of their own. */
const REQUESTS = 1 << 16;

/** Steps of a driver that follows the rules: `count` of them, which follow from the seed. */
export function generateLegal(seed: number, count: number): readonly Operation[] {
  const random = new SeededRandom(seed);
  const operations: Operation[] = [start(random)];
  while (operations.length < count) operations.push(legal(random));
  return operations;
}

/** Steps of a driver that breaks the rules, most of them after some that do not. */
export function generateHostile(seed: number, count: number): readonly Operation[] {
  const random = new SeededRandom(seed);
  const operations: Operation[] = [start(random)];
  while (operations.length < count) operations.push(random.once(3) ? legal(random) : hostile(random));
  return [...operations, { op: 'publish' }, { op: 'kick', isHonest: false }, { op: 'settle' }];
}

/** Operations that differ from others in a few places, and may go on with some of a second list. */
export function mutate(
  seed: number,
  operations: readonly Operation[],
  other: readonly Operation[],
  most: number,
): readonly Operation[] {
  const random = new SeededRandom(seed);
  const changed = [...operations];
  for (let n = 1 + random.below(4); n > 0; n--) {
    const at = 1 + random.below(Math.max(1, changed.length - 1));
    const kind = random.below(5);
    if (kind === 0) changed.splice(at, 1);
    else if (kind === 1) changed.splice(at, 0, changed[random.below(changed.length)]!);
    else if (kind === 2) changed.splice(at, 0, random.once(3) ? legal(random) : hostile(random));
    else if (kind === 3) changed.splice(at, changed.length, ...other.slice(random.below(other.length)));
    else changed[at] = hostile(random);
  }
  return changed.slice(0, most);
}

function start(random: SeededRandom): Operation {
  return { op: 'start', size: random.of(SIZES), with: FEATURES.filter(() => random.once(2)) };
}

function legal(random: SeededRandom): Operation {
  const kind = random.below(100);
  if (kind < 45) return add(random);
  if (kind < 60) return { op: 'publish' };
  if (kind < 72) return { op: 'kick', isHonest: !random.once(4) };
  if (kind < 92) return { op: 'take', count: 1 + random.below(8) };
  if (kind < 96) return { op: 'want', notifications: random.once(2) };
  return kind < 98 ? { op: 'settle' } : start(random);
}

function add(random: SeededRandom): Operation {
  return {
    op: 'add',
    request: random.below(REQUESTS),
    ...(random.once(3) && { readable: lengths(random) }),
    ...(random.once(3) && { writable: lengths(random) }),
    ...(random.once(3) && { indirect: true }),
  };
}

function lengths(random: SeededRandom): readonly number[] {
  return Array.from({ length: 1 + random.below(4) }, () => 1 + random.below(64));
}

function hostile(random: SeededRandom): HostileOperation {
  const kind = random.below(3);
  if (kind === 0) return { op: 'head', head: indexOf(random) };
  if (kind === 1) {
    // What a descriptor lets the device write is known only where a whole one is written.
    const area = random.of(['driver', 'device'] as const);
    return { op: 'poke', area, offset: 2 * random.below(512), value: random.of(EDGES) };
  }
  const flags = random.once(4) ? random.of(EDGES) : random.below(8);
  const isTable = (flags & VIRTQ_DESC_F_INDIRECT) !== 0;
  return {
    op: 'descriptor',
    slot: random.below(NEAR),
    place: random.of(isTable ? TABLES : PLACES),
    length: random.of(LENGTHS),
    flags,
    next: indexOf(random),
  };
}

/** An index of a descriptor: one of few, or one at the edge of what there can be. */
function indexOf(random: SeededRandom): number {
  return random.once(4) ? random.of(EDGES) : random.below(NEAR);
}
