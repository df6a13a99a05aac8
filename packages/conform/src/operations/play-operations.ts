import type { BenchBuffer, ConformBench, ConformRing, LaidOutRequest, RequestModel } from '@virtio-platform/core';
import { VIRTIO_RING_F_INDIRECT_DESC } from '@virtio-platform/core/features';
import { availableFlags, VIRTQ_DESC_F_WRITE } from '@virtio-platform/core/queue';
import type { HostileOperation, Operation, Place } from './operation.ts';

/** Bytes of the buffer that hostile descriptors point at. */
const SCRATCH_BYTES = 4096;
/** Bytes of the buffers of one start, with what is between them: the memory of a case is bounded. */
const MOST_BYTES = 3 * 1024 ** 2;
const BESIDE_BYTES = 1024;

/** Has the device show what it does after each step, and counts the steps. */
export interface Pace {
  /** Milliseconds after each step. */
  readonly waitMs: number;
  /** Steps that were taken: the last of them is the one after which the device was gone. */
  played: number;
}

/**
 * Takes steps, one after the other, on a device. Every buffer that comes back is checked against the model of the
 * device type; at the end all that were given have to be back, unless a step broke the rules.
 */
export async function playOperations(
  bench: ConformBench,
  operations: readonly Operation[],
  openModel?: (bench: ConformBench) => RequestModel,
  pace?: Pace,
): Promise<void> {
  const player = new OperationPlayer(bench, openModel);
  for (const operation of operations) {
    if (pace !== undefined) pace.played++;
    await player.play(operation);
    if (pace !== undefined) await bench.settle(pace.waitMs);
  }
  await player.finish();
}

class OperationPlayer {
  readonly #bench: ConformBench;
  readonly #openModel: ((bench: ConformBench) => RequestModel) | undefined;
  #model: RequestModel | undefined;
  #ring: ConformRing | undefined;
  #scratch: BenchBuffer | undefined;
  #request: LaidOutRequest | undefined;
  /** Buffers that were given, by their ids, and how many of them were shown. */
  readonly #given = new Map<number, LaidOutRequest>();
  #bytes = 0;
  #shown = 0;
  #isUntold = false;
  #isHostile = false;

  constructor(bench: ConformBench, openModel: ((bench: ConformBench) => RequestModel) | undefined) {
    this.#bench = bench;
    this.#openModel = openModel;
  }

  async play(operation: Operation): Promise<void> {
    if (operation.op === 'start' || this.#ring === undefined) return await this.#start(operation);
    switch (operation.op) {
      case 'add':
        return this.#add(this.#ring, operation);
      case 'publish':
        return this.#publish(this.#ring);
      case 'kick':
        return this.#kick(this.#ring, operation.isHonest);
      case 'take':
        return await this.#take(this.#ring, operation.count);
      case 'want':
        return this.#ring.wantNotifications(operation.notifications);
      case 'settle':
        return await this.#bench.settle(1);
      default:
        return this.#defy(this.#ring, operation);
    }
  }

  /** A driver that follows the rules gets everything back. */
  async finish(): Promise<void> {
    if (this.#ring === undefined || this.#isHostile) return;
    this.#publish(this.#ring);
    await this.#take(this.#ring, Infinity);
    this.#bench.check(this.#ring.take() === undefined, 'it returned a buffer more than it had');
  }

  async #start(operation: Operation): Promise<void> {
    const { size, with: features } = operation.op === 'start' ? operation : { size: 16, with: [] };
    this.#ring = await this.#bench.start({ size, with: features });
    this.#given.clear();
    this.#bytes = 0;
    this.#shown = 0;
    this.#isUntold = false;
    this.#scratch = undefined;
    this.#request = undefined;
    if (this.#model === undefined) this.#model = this.#openModel?.(this.#bench);
    else this.#model.reset();
  }

  #add(ring: ConformRing, { request, readable, writable, indirect = false }: Extract<Operation, { op: 'add' }>): void {
    if (this.#bytes >= MOST_BYTES) return;
    const isTable = indirect && this.#bench.accepted.has(VIRTIO_RING_F_INDIRECT_DESC);
    const needed = isTable ? 1 : (readable?.length ?? 0) + (writable?.length ?? 0) + 2;
    const used = [...this.#given.values()].reduce((sum, { segments }) => sum + segments.length, 0);
    if (used + needed > ring.size) return;
    const framing = { ...(readable && { readable }), ...(writable && { writable }) };
    const good = this.#model?.request(request);
    const laid = good === undefined ? this.#bench.layOut(request, framing) : this.#bench.layOutRequest(good, framing);
    if (laid.request.queue !== ring.index) return;
    this.#bytes += laid.request.readable.length + laid.request.writable + BESIDE_BYTES;
    this.#request = laid;
    this.#given.set(ring.add(laid.segments, { indirect: isTable }), laid);
  }

  #publish(ring: ConformRing): void {
    if (this.#shown === this.#given.size && !this.#isHostile) return;
    ring.publish();
    this.#shown = this.#given.size;
    this.#isUntold = true;
  }

  /** Kicks; an honest driver after it showed something, and where the device wants it. */
  #kick(ring: ConformRing, isHonest: boolean): void {
    const isWanted = this.#isUntold && ring.wantsKick();
    this.#isUntold = false;
    if (isWanted || !isHonest) ring.kick();
  }

  async #take(ring: ConformRing, count: number): Promise<void> {
    if (this.#isHostile) return await this.#bench.settle(1);
    this.#kick(ring, true);
    for (let n = 0; n < count && this.#shown > 0; n++) {
      const returned = await ring.takeNext();
      const laid = this.#given.get(returned.id);
      if (laid === undefined) this.#bench.fail(`it returned buffer ${returned.id}, which it did not have`);
      this.#given.delete(returned.id);
      this.#shown--;
      const wrong = laid.check(returned);
      if (wrong !== undefined) this.#bench.fail(wrong);
    }
  }

  #defy(ring: ConformRing, operation: HostileOperation): void {
    this.#isHostile = true;
    const isPacked = ring.layout === 'packed';
    if (operation.op === 'head') {
      if (!isPacked) ring.pushHead(operation.head);
    } else if (operation.op === 'poke') {
      const { length } = { descriptor: ring.descriptorArea, driver: ring.driverArea, device: ring.deviceArea }[
        operation.area
      ];
      ring.poke(operation.area, (operation.offset % (length - 1)) & ~1, operation.value);
    } else {
      const { slot, length, flags, next } = operation;
      // What is at address 0 was never given to the device, and may not be given by this.
      const mayBeZero = (flags & VIRTQ_DESC_F_WRITE) === 0;
      const place = operation.place === 'zero' && !mayBeZero ? 'nowhere' : operation.place;
      const [low, high] = this.#addressOf(ring, place);
      if (isPacked) ring.pushSlot({ low, high, length, flags: flags ^ availableFlags(ring.nextAvailable), next });
      else ring.describe(slot % ring.size, { low, high, length, flags, next });
    }
  }

  #addressOf(ring: ConformRing, place: Place): readonly [number, number] {
    if (place === 'zero') return [0, 0];
    if (place === 'nowhere') return this.#bench.nowhere[0]!;
    this.#scratch ??= this.#bench.allocate('a buffer of a hostile driver', SCRATCH_BYTES);
    const buffers: Readonly<Record<Exclude<Place, 'zero' | 'nowhere'>, BenchBuffer>> = {
      buffer: this.#scratch,
      request: this.#request?.segments[0]?.buffer ?? this.#scratch,
      descriptor: ring.descriptorArea,
      driver: ring.driverArea,
      device: ring.deviceArea,
    };
    const { low, high } = buffers[place];
    return [low, high];
  }
}
