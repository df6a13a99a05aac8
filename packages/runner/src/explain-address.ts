import { isCodedError } from '@virtio-platform/core';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import {
  isCopied,
  DMA_NO_SPACE,
  DMA_TOO_LARGE,
  DmaDirection,
  ForwardingDmaMapping,
  rangeAt,
  type AddressStep,
  type DmaMapping,
  type DmaRegion,
} from '@virtio-platform/core/dma';
import { composeRun, type ComposedRun, type Profile } from '@virtio-platform/profile';
import { DeviceSession } from '@virtio-platform/session';
import { interruptRanges } from './report/device-ranges.ts';

/** Memory that the driver of a profile has mapped before its first request. Addresses are hexadecimal, as 0x…. */
export interface MappedRange {
  /** `ring or table of queue 0`, `pool of queue 0`, `sample buffer of queue 0`. */
  readonly what: string;
  readonly guest: string;
  /** Bytes. */
  readonly length: number;
  readonly device: string;
}

/** What a device meets at an address: nothing stops it, or the cause of its fault. */
export interface DeviceView {
  readonly read: string;
  readonly write: string;
}

/** Where an address leads, read as the address that a device uses. */
export interface BackwardWalk {
  readonly steps: readonly AddressStep[];
  /** Guest-physical address; `null` where it leads nowhere. */
  readonly guest: string | null;
  /** What is mapped there; `null` for nothing that the driver has mapped. */
  readonly what: string | null;
  readonly sees: DeviceView | null;
  readonly answer: string;
}

/** Where an address leads, read as a guest-physical address. */
export interface ForwardWalk {
  /** The device address by which a device reaches it; `null` for none. */
  readonly device: string | null;
  /** What is there; `null` for memory that the driver has not mapped. */
  readonly what: string | null;
  /** The steps from that device address back to memory. */
  readonly steps: readonly AddressStep[];
  readonly answer: string;
}

/** One address under one profile, walked both ways. */
export interface AddressExplanation {
  readonly profile: string;
  readonly platform: string;
  readonly address: string;
  /** `null` after a refusal, when nothing is mapped. */
  readonly path: string | null;
  readonly backward: BackwardWalk | null;
  readonly forward: ForwardWalk | null;
  readonly mapped: readonly MappedRange[];
}

const SAMPLE_BYTES = 4096;
/** A profile maps a few regions for each queue; the rest of many queues says nothing new. */
const MOST_RANGES = 64;

/** A mapped range with its addresses as numbers. */
interface Range {
  readonly what: string;
  readonly guest: number;
  readonly length: number;
  readonly device: bigint;
}

/** Records what is mapped for long through the mapping of one queue. */
class RecordingMapping extends ForwardingDmaMapping {
  readonly #record: (what: string, region: DmaRegion) => void;

  constructor(inner: DmaMapping, record: (what: string, region: DmaRegion) => void) {
    super(inner);
    this.#record = record;
  }

  override premap(address: number, length: number, direction: DmaDirection): DmaRegion {
    const region = super.premap(address, length, direction);
    this.#record('pool', region);
    return region;
  }

  override allocateCoherent(length: number, alignment: number): DmaRegion {
    const region = super.allocateCoherent(length, alignment);
    this.#record('ring or table', region);
    return region;
  }
}

/**
 * Boots the profile's machine, maps what its driver maps before the first request and one sample buffer, and walks an
 * address through the platform's tables: from the device to memory and from memory to the device. Nothing is run, and
 * the device is reset again. Throws coded errors.
 */
export async function explainAddress(profile: Profile, address: bigint): Promise<AddressExplanation> {
  let space: DeviceAddressSpace | undefined;
  const watchDevice = (opened: DeviceAddressSpace): DeviceAddressSpace => (space = opened);
  const run = await composeRun(profile, { watchDevice });
  try {
    return walkIn(run, address, () => space);
  } finally {
    await run.dispose();
  }
}

function walkIn(run: ComposedRun, address: bigint, space: () => DeviceAddressSpace | undefined): AddressExplanation {
  const { platform, machine, profile } = run;
  const { device, driver, policy, queue, workload } = profile;
  const ranges: Range[] = [];
  const mappings: DmaMapping[] = [];
  const mapping = (inner: DmaMapping, index: number): DmaMapping => {
    const record = (what: string, region: DmaRegion): void => {
      const { address: guest, length } = region;
      if (ranges.length < MOST_RANGES)
        ranges.push({ what: `${what} of queue ${index}`, guest, length, device: deviceOf(region) });
    };
    const recording = new RecordingMapping(inner, record);
    mappings.push(recording);
    return recording;
  };
  const session = new DeviceSession({ machine, platform, device, driver, policy, queue, watch: { mapping } });
  const answer = { profile: profile.name, platform: run.platformName, address: hex(address) };
  try {
    const { path } = session.negotiation;
    if (path === undefined) return { ...answer, path: null, backward: null, forward: null, mapped: [] };
    session.openQueues();
    const { depth, kind, options } = workload;
    session.openDriver({ depth, bytes: device.type.workloads[kind]!.bytes(options) });
    const walk = new AddressWalk(run, mappings, ranges, space());
    walk.mapSample();
    const [backward, forward] = [walk.backward(address), walk.forward(address)];
    walk.unmapSample();
    const mapped = ranges.map(({ what, guest, length, device: at }) => ({
      what,
      guest: hex(guest),
      length,
      device: hex(at),
    }));
    return { ...answer, path, backward, forward, mapped };
  } finally {
    session.end();
    session.dispose();
  }
}

/** The walks of an address through the mappings of a session that is set up. */
class AddressWalk {
  readonly #run: ComposedRun;
  readonly #mappings: readonly DmaMapping[];
  readonly #ranges: Range[];
  readonly #space: DeviceAddressSpace | undefined;
  readonly #words = new Uint32Array(2);
  #unmapSample: (() => void) | undefined;

  constructor(
    run: ComposedRun,
    mappings: readonly DmaMapping[],
    ranges: Range[],
    space: DeviceAddressSpace | undefined,
  ) {
    this.#run = run;
    this.#mappings = mappings;
    this.#ranges = ranges;
    this.#space = space;
  }

  /** Maps a buffer as a driver maps one for a request, where there is memory and room for it. */
  mapSample(): void {
    const [mapping] = this.#mappings;
    const { memory } = this.#run.machine;
    if (mapping === undefined) return;
    try {
      const guest = memory.allocate(SAMPLE_BYTES, SAMPLE_BYTES, mapping.limits.reach);
      const id = mapping.map(guest, SAMPLE_BYTES, DmaDirection.Bidirectional, this.#words, 0);
      this.#unmapSample = () => {
        if (id >= 0) mapping.unmap(id, 0);
        memory.free(guest);
      };
      if (id < 0) return;
      this.#ranges.push({
        what: 'sample buffer of queue 0',
        guest,
        length: SAMPLE_BYTES,
        device: addressOf(this.#words),
      });
    } catch (error) {
      if (!isCodedError(error)) throw error;
    }
  }

  unmapSample(): void {
    this.#unmapSample?.();
  }

  backward(address: bigint): BackwardWalk {
    const [low, high] = wordsOf(address);
    const interrupts = rangeAt(interruptRanges(this.#run), address);
    if (interrupts !== undefined) {
      const answer = `it leads nowhere: it is in the ${interrupts.what}, ${NO_MEMORY}`;
      return { steps: [], guest: null, what: null, sees: this.#deviceView(low, high), answer };
    }
    // Queues of most platforms share one set of tables, and the first that knows the address answers.
    const knowing = this.#mappings.find((mapping) => (mapping.resolve?.(low, high) ?? -1) >= 0) ?? this.#mappings[0];
    const steps = knowing?.walk?.(low, high) ?? [];
    const guest = knowing?.resolve?.(low, high);
    const sees = this.#deviceView(low, high);
    const range = this.#ranges.find(({ device, length }) => address >= device && address < device + BigInt(length));
    const what = range === undefined ? null : placeIn(range.what, Number(address - range.device));
    const leads = guest === undefined || guest < 0 ? null : hex(guest);
    const isStopped = sees !== null && sees.read !== 'allowed' && sees.write !== 'allowed';
    return { steps, guest: leads, what, sees, answer: backwardAnswer(leads, what, sees, isStopped) };
  }

  forward(address: bigint): ForwardWalk {
    const { memory } = this.#run.machine;
    if (address >= BigInt(memory.size)) {
      const answer = `no guest memory: the guest has 0x0 to ${hex(memory.size - 1)}`;
      return nowhere(answer);
    }
    const guest = Number(address);
    const range = this.#ranges.find((one) => guest >= one.guest && guest < one.guest + one.length);
    if (range !== undefined) {
      const device = range.device + BigInt(guest - range.guest);
      const what = placeIn(range.what, guest - range.guest);
      return {
        device: hex(device),
        what,
        steps: this.#steps(device),
        answer: `${what}: the device reaches it at ${hex(device)}`,
      };
    }
    return this.#trial(guest);
  }

  /** What a driver that mapped one byte there would get. */
  #trial(guest: number): ForwardWalk {
    const [mapping] = this.#mappings;
    if (mapping === undefined) return nowhere('no queue maps anything');
    const id = mapping.map(guest, 1, DmaDirection.Bidirectional, this.#words, 0);
    if (id < 0)
      return nowhere(`nothing is mapped there, and a driver could not map it: ${this.#whyNot(mapping, guest, id)}`);
    const device = addressOf(this.#words);
    const steps = this.#steps(device);
    mapping.unmap(id, 0);
    const isCopy = isCopied(mapping, guest, 1);
    const isFixed = !isCopy && ['physical', 'identity', 'linear'].includes(mapping.path);
    const gets = isCopy ? 'has the device use a copy at' : 'gets';
    const answer = isFixed
      ? `the device reaches it at ${hex(device)}, whether a driver maps it or not`
      : `nothing is mapped there now; a driver that maps it ${gets} ${hex(device)}`;
    return { device: hex(device), what: null, steps, answer };
  }

  /** Without translation a device reaches also what its driver does not map. */
  #whyNot({ path }: DmaMapping, guest: number, id: number): string {
    const [low, high] = wordsOf(BigInt(guest));
    const isOpen = (path === 'identity' || path === 'physical') && this.#deviceView(low, high)?.read === 'allowed';
    return isOpen ? 'the device reaches it all the same' : (REASONS[id] ?? UNREACHABLE);
  }

  #steps(device: bigint): readonly AddressStep[] {
    const [low, high] = wordsOf(device);
    const knowing = this.#mappings.find((mapping) => (mapping.resolve?.(low, high) ?? -1) >= 0);
    return knowing?.walk?.(low, high) ?? [];
  }

  /** Asks the address space of the device itself; `null` where the machine does not give it. */
  #deviceView(low: number, high: number): DeviceView | null {
    const space = this.#space;
    if (space === undefined) return null;
    const ask = (access: 'read' | 'write'): string => {
      const before = space.faults.entries.length;
      const isReached = space.borrow(low, high, 1, access) >= 0;
      return isReached ? 'allowed' : (space.faults.entries[before]?.cause ?? 'refused');
    };
    return { read: ask('read'), write: ask('write') };
  }
}

const NO_MEMORY = 'where a write is an interrupt and no access to memory';
const UNREACHABLE = 'the device can never reach this memory';
const REASONS: Readonly<Record<number, string>> = {
  [DMA_NO_SPACE]: 'there is no free address, slot or table entry',
  [DMA_TOO_LARGE]: 'the buffer is too long',
};

function backwardAnswer(
  guest: string | null,
  what: string | null,
  sees: DeviceView | null,
  isStopped: boolean,
): string {
  const cause = sees === null ? '' : (CAUSES[sees.read] ?? sees.read);
  if (guest === null) {
    if (sees?.read === 'allowed') return 'no driver maps it, and nothing stops the device there';
    return isStopped ? `it leads nowhere: ${cause}` : 'it leads nowhere: nothing is mapped at it';
  }
  if (isStopped) return `it leads to guest memory ${guest}, and the device is stopped there: ${cause}`;
  const limits = Object.entries(sees ?? {}).filter(([, view]) => view !== 'allowed');
  const but = limits.map(([access]) => `; the device may not ${access} there`).join('');
  return `it leads to guest memory ${guest}${what === null ? '' : `, ${what}`}${but}`;
}

/** Causes of faults in words; the others speak for themselves. */
const CAUSES: Readonly<Record<string, string>> = {
  unmapped: 'nothing is mapped at it',
  'outside-window': 'it is in no window of the IOMMU',
  'beyond-mask': 'the device has fewer address bits (device.dmaBits)',
  'outside-memory': 'it is outside of guest memory',
  'private-page': 'the page is private to the guest, and the device sees no plain text of it',
  'access-denied': 'the page is private to the guest, and the access is denied',
};

function nowhere(answer: string): ForwardWalk {
  return { device: null, what: null, steps: [], answer };
}

function placeIn(what: string, offset: number): string {
  return offset === 0 ? what : `${what}, byte ${offset}`;
}

function deviceOf(region: DmaRegion): bigint {
  const words = new Uint32Array(2);
  region.writeDeviceAddress(0, words, 0);
  return addressOf(words);
}

function addressOf(words: Uint32Array): bigint {
  return (BigInt(words[1]!) << 32n) + BigInt(words[0]!);
}

function wordsOf(address: bigint): readonly [number, number] {
  return [Number(address & 0xffff_ffffn), Number(address >> 32n)];
}

function hex(address: bigint | number): string {
  return `0x${address.toString(16)}`;
}
