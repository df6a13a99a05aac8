import {
  type BenchSegment,
  caseGroup,
  type CaseGroup,
  type ConformBench,
  type ConformCase,
  type ConformRing,
  type RawDescriptor,
} from '@virtio-platform/core';
import {
  availableFlags,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_WRITE,
} from '@virtio-platform/core/queue';

/** Flags of a descriptor, by short names. */
export const NEXT: number = VIRTQ_DESC_F_NEXT;
/** See {@link NEXT}. */
export const WRITE: number = VIRTQ_DESC_F_WRITE;
/** See {@link NEXT}. */
export const INDIRECT: number = VIRTQ_DESC_F_INDIRECT;

/** A case in which the driver breaks a rule: what it does wrong, and how. */
export interface HostileTemplate extends Omit<ConformCase, 'level' | 'isHostile' | 'run'> {
  /** Called on a ring on which one request was served. */
  readonly misuse: (bench: ConformBench, ring: ConformRing) => void | Promise<void>;
  /** Ring features to negotiate. */
  readonly with?: readonly number[];
  readonly size?: number;
}

/** Makes the case: the device is started, serves a request, and then meets the misuse. */
export function hostile({ misuse, with: features = [], size = 16, ...rest }: HostileTemplate): ConformCase {
  return {
    ...rest,
    level: 'MUST',
    isHostile: true,
    run: async (bench) => {
      const ring = await bench.start({ with: features, size });
      await bench.serve(bench.layOut(0));
      await misuse(bench, ring);
    },
  };
}

/** Cases in which the driver breaks a rule, with what they share. */
export const hostileCases: CaseGroup<HostileTemplate, ConformCase> = caseGroup(hostile);

/** A descriptor over a segment. */
export function over({ buffer, isWritable = false }: BenchSegment, flags = 0, next = 0): RawDescriptor {
  const { low, high, length } = buffer;
  return { low, high, length, flags: flags | (isWritable ? WRITE : 0), next };
}

/** Bytes of the part that {@link requestDescriptors} adds. */
const SPARE_BYTES = 16;

/**
 * A chain of the device type's request as raw descriptors, which a case then changes. A request that has nothing to
 * read, or nothing to write, gets a part that has.
 */
export function requestDescriptors(bench: ConformBench): RawDescriptor[] {
  const { segments } = bench.layOut(1);
  const spare = (isWritable: boolean): BenchSegment[] =>
    segments.some((segment) => (segment.isWritable === true) === isWritable)
      ? []
      : [{ buffer: bench.allocate('a part that its requests do not have', SPARE_BYTES), isWritable }];
  return [...spare(false), ...segments, ...spare(true)].map((segment) => over(segment));
}

/**
 * Gives descriptors as one chain: NEXT on all but the last, next to the following one, at the first places of a split
 * ring; the slots that come of a packed ring. What `descriptors` has in flags is added.
 */
export function giveChain(ring: ConformRing, descriptors: readonly RawDescriptor[], id = 0): void {
  for (const [i, descriptor] of descriptors.entries()) {
    const isLast = i === descriptors.length - 1;
    const flags = descriptor.flags | (isLast ? 0 : NEXT);
    if (ring.layout === 'packed')
      ring.pushSlot({ ...descriptor, flags: flags | availableFlags(ring.nextAvailable), next: id });
    else ring.describe(i, { ...descriptor, flags, next: isLast ? descriptor.next : i + 1 });
  }
  if (ring.layout === 'split') ring.pushHead(0);
  ring.publish();
  ring.kick();
}

/** Gives one descriptor that refers to a table of `entries`. */
export function giveTable(
  bench: ConformBench,
  ring: ConformRing,
  entries: readonly RawDescriptor[],
  change: Partial<RawDescriptor> = {},
): void {
  const table = bench.allocate('an indirect table', Math.max(16, 16 * entries.length));
  for (const [i, entry] of entries.entries()) ring.describeIn(table, i, entry);
  giveChain(ring, [{ ...over({ buffer: table }, INDIRECT), length: 16 * entries.length, ...change }]);
}
