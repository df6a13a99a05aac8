import type { AddressTranslation, DeviceAccess, FaultCause } from '@virtio-platform/core/address-space';
import { IOTLB_READ, IOTLB_READ_WRITE, IOTLB_WRITE, type ReceivedIotlbMessage } from '@virtio-platform/vhost-user';
import { FrontEndViolation } from '../front-end-violation.ts';
import type { ServedMemory } from './served-memory.ts';

const WORD = 2 ** 32;
/** Beyond this many translations all are forgotten, and asked for again where they are needed. */
const MOST_ENTRIES = 8192;

/** A run of I/O virtual addresses, and where it is. */
interface CachedRun {
  readonly low: number;
  readonly high: number;
  readonly size: number;
  /** The offset in the memory that is served. */
  readonly at: number;
  /** Bits of what the device may do. */
  readonly permission: number;
}

/** Asks the front-end for a translation and waits until it is there. Returns false where the front-end gave none. */
export type AskTranslation = (low: number, high: number, permission: number) => boolean;

/**
 * The translations of I/O virtual addresses that the front-end gave (vhost-user, "IOTLB message"). One that is missing
 * is asked for; what the front-end does not translate, the device does not reach.
 */
export class IotlbCache implements AddressTranslation {
  readonly #served: ServedMemory;
  readonly #ask: AskTranslation;
  /** By address; none overlaps another. */
  #runs: CachedRun[] = [];
  #generation = 0;
  #servedGeneration = 0;
  #cause: FaultCause = 'unmapped';
  #last: CachedRun | undefined;
  run = 0;
  /** Translations that the front-end was asked for. */
  misses = 0;

  constructor(served: ServedMemory, ask: AskTranslation) {
    this.#served = served;
    this.#ask = ask;
    this.#servedGeneration = served.generation;
  }

  /** Changes when a translation goes, also because its memory went. */
  get generation(): number {
    if (this.#served.generation !== this.#servedGeneration) this.clear();
    return this.#generation;
  }

  get cause(): FaultCause {
    return this.#cause;
  }

  /** Translations that are known. */
  get size(): number {
    return this.#runs.length;
  }

  /** Hot while nothing is missing: no allocation. */
  translate(low: number, high: number, access: DeviceAccess): number {
    const permission = access === 'read' ? IOTLB_READ : IOTLB_WRITE;
    const last = this.#last;
    if (
      last !== undefined &&
      (last.permission & permission) !== 0 &&
      this.#servedGeneration === this.#served.generation
    ) {
      const into = distance(last, low, high);
      if (into >= 0 && into < last.size) return this.#found(last, into);
    }
    return this.#search(low, high, permission);
  }

  /** Whether an access would be translated without asking. */
  knows(low: number, high: number, permission: number): boolean {
    return ((this.#lookUp(low, high)?.permission ?? 0) & permission) === permission;
  }

  /** Takes an update. Throws {@link FrontEndViolation} for one that leads nowhere. */
  update({ low, high, size, userAddress, permission }: ReceivedIotlbMessage): void {
    if (permission < 1 || permission > IOTLB_READ_WRITE)
      throw new FrontEndViolation(`translates with permission ${permission}`);
    if (!(size > 0) || high * WORD + low + size > 2 ** 64)
      throw new FrontEndViolation(`translates ${size} bytes at ${hex(low, high)}`);
    const at = this.#served.offsetOfUser(userAddress, size);
    if (at < 0) {
      const where = `0x${userAddress.toString(16)}, which is in no region that it gave`;
      throw new FrontEndViolation(`translates ${size} bytes at ${hex(low, high)} to ${where}`);
    }
    if (this.generation >= 0 && this.#runs.length >= MOST_ENTRIES) this.clear();
    const added: CachedRun = { low, high, size, at, permission };
    const first = this.#firstBehind(low, high, 0);
    const known = this.#runs[first];
    if (known !== undefined && isSame(known, added)) return;
    this.invalidate(low, high, size);
    this.#runs.splice(this.#firstBehind(low, high, 0), 0, added);
    this.#last = undefined;
  }

  /** Forgets every translation that has a byte in a range. */
  invalidate(low: number, high: number, size: number): void {
    const first = this.#firstBehind(low, high, 0);
    let end = first;
    while (end < this.#runs.length && -distance(this.#runs[end]!, low, high) < size) end++;
    if (end === first) return;
    this.#runs.splice(first, end - first);
    this.#last = undefined;
    this.#generation++;
  }

  /** Forgets everything. */
  clear(): void {
    this.#servedGeneration = this.#served.generation;
    this.#runs = [];
    this.#last = undefined;
    this.#generation++;
  }

  #search(low: number, high: number, permission: number): number {
    const known = this.#lookUp(low, high);
    if (known !== undefined && (known.permission & permission) !== 0)
      return this.#found(known, distance(known, low, high));
    this.misses++;
    const asked = this.#ask(low, high, permission) ? this.#lookUp(low, high) : undefined;
    if (asked !== undefined && (asked.permission & permission) !== 0)
      return this.#found(asked, distance(asked, low, high));
    const isMapped = asked !== undefined || known !== undefined;
    const denied = permission === IOTLB_READ ? 'read-not-permitted' : 'write-not-permitted';
    this.#cause = isMapped ? denied : 'unmapped';
    this.run = 1;
    return -1;
  }

  #found(run: CachedRun, into: number): number {
    this.#last = run;
    this.run = run.size - into;
    return run.at + into;
  }

  #lookUp(low: number, high: number): CachedRun | undefined {
    if (this.generation < 0) return undefined;
    const run = this.#runs[this.#firstBehind(low, high, 0)];
    return run !== undefined && distance(run, low, high) >= 0 ? run : undefined;
  }

  /** The first run of which a byte lies at an address or behind it. */
  #firstBehind(low: number, high: number, from: number): number {
    let [least, most] = [from, this.#runs.length];
    while (least < most) {
      const middle = (least + most) >>> 1;
      const run = this.#runs[middle]!;
      if (distance(run, low, high) < run.size) most = middle;
      else least = middle + 1;
    }
    return least;
  }
}

/** Bytes from the start of a run to an address. Exact where the address is near the run, and of the right sign. */
function distance(run: CachedRun, low: number, high: number): number {
  return (high - run.high) * WORD + (low - run.low);
}

function isSame(a: CachedRun, b: CachedRun): boolean {
  return a.low === b.low && a.high === b.high && a.size === b.size && a.at === b.at && a.permission === b.permission;
}

function hex(low: number, high: number): string {
  return `0x${((BigInt(high) << 32n) | BigInt(low)).toString(16)}`;
}
