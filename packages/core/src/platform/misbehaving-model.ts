import type { DeviceAddressSpace } from '../address-space/device-address-space.ts';
import { DeviceError } from '../errors/coded-error.ts';
import type { FeatureSet } from '../features/feature-set.ts';
import { VIRTIO_F_IN_ORDER } from '../features/feature-bit.ts';
import { KEPT, type DeviceEvents, type DeviceModel, type DeviceQueues } from './device-model.ts';
import type { DescriptorChain } from '../queue/device/descriptor-chain.ts';
import { FailurePlan, type FailureSchedule } from '../failure/failure-plan.ts';
import { MisbehaviorSignal, type Misbehavior } from '../failure/misbehavior.ts';

/** Milliseconds that a late buffer is late, unless given. */
const LATE_MS = 10;
/** Milliseconds that a buffer waits for another one to be reordered with. */
const REORDER_MS = 10;
/** How many bytes too many a lie has. */
const LIE = 4096;

type Plans = Readonly<Record<keyof Misbehavior, FailurePlan>>;

/** A buffer that is done and was not returned. */
interface HeldBuffer {
  readonly queue: number;
  readonly head: number;
  readonly written: number;
  /** When it comes back, by `performance.now()`. */
  readonly dueAt: number;
  /** Whether it comes back behind the next buffer of its queue, if that is earlier. */
  readonly isBehindNext: boolean;
}

/** A device half that misbehaves on purpose, around one that does not. */
export class MisbehavingModel implements DeviceModel {
  readonly #inner: DeviceModel;
  readonly #plans: Plans;
  readonly #lateMs: number;
  /** Oldest first. */
  readonly #held: HeldBuffer[] = [];
  /** By queue and head: room of a buffer that the inner half kept. */
  readonly #rooms = new Map<string, number>();
  #events: DeviceEvents | undefined;
  #queues: DeviceQueues | undefined;
  #isInOrder = false;
  #timer: NodeJS.Timeout | undefined;

  /** Owns `inner`. Throws {@link DeviceError} `ERR_DEVICE_IMPOSSIBLE` for errors of a type without any. */
  constructor(inner: DeviceModel, misbehavior: Misbehavior) {
    if (misbehavior.errors !== undefined && isUsed(misbehavior.errors) && inner.refuse === undefined) {
      throw new DeviceError('ERR_DEVICE_IMPOSSIBLE', 'device.misbehaves.errors: the device has no request that fails', {
        hint: 'leave errors out; a block device, a SCSI host and the control queue of a network device have errors',
      });
    }
    this.#inner = inner;
    this.#lateMs = misbehavior.late?.by ?? LATE_MS;
    this.#plans = {
      late: new FailurePlan(misbehavior.late),
      reordered: new FailurePlan(misbehavior.reordered),
      short: new FailurePlan(misbehavior.short),
      lies: new FailurePlan(misbehavior.lies),
      errors: new FailurePlan(misbehavior.errors),
      silent: new FailurePlan(misbehavior.silent),
      needsReset: new FailurePlan(misbehavior.needsReset),
      configChanges: new FailurePlan(misbehavior.configChanges),
      dies: new FailurePlan(misbehavior.dies),
    };
  }

  get features(): FeatureSet {
    return this.#inner.features;
  }

  get queueSizes(): readonly number[] {
    return this.#inner.queueSizes;
  }

  get config(): Uint8Array {
    return this.#inner.config;
  }

  /** Late buffers need timers. */
  get usesEventLoop(): boolean {
    return true;
  }

  writeConfig(offset: number, source: Uint8Array): void {
    this.#inner.writeConfig?.(offset, source);
  }

  connect(events: DeviceEvents): void {
    this.#events = events;
    this.#inner.connect?.(events);
  }

  reset(): void {
    this.#drop(() => true);
    this.#inner.reset?.();
  }

  start(accepted: FeatureSet): void {
    this.#drop(() => true);
    this.#isInOrder = accepted.has(VIRTIO_F_IN_ORDER);
    this.#inner.start(accepted);
  }

  wants(queue: number): boolean {
    return this.#inner.wants(queue);
  }

  notifies(queue: number): boolean {
    if (this.#inner.notifies?.(queue) === false) return false;
    return !this.#does('silent', queue, -1);
  }

  process(queue: number, chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): number {
    this.#queues = queues;
    const { dies, needsReset, errors } = this.#plans;
    if (dies.next()) throw new MisbehaviorSignal('death');
    if (needsReset.next()) throw new MisbehaviorSignal('needs-reset');
    const { head, writableBytes } = chain;
    if (this.#does('configChanges', queue, head)) this.#events?.configChanged();
    const refused = errors.next() ? (this.#inner.refuse?.(queue, chain, space) ?? KEPT) : KEPT;
    if (refused !== KEPT) this.#events?.misbehaved?.('errors', queue, head);
    const written = refused === KEPT ? this.#inner.process(queue, chain, space, this.#returns(queues)) : refused;
    if (written !== KEPT) return this.#finish(queue, head, written, writableBytes, queues, KEPT);
    this.#rooms.set(`${queue} ${head}`, writableBytes);
    return KEPT;
  }

  refuse(queue: number, chain: DescriptorChain, space: DeviceAddressSpace): number {
    return this.#inner.refuse?.(queue, chain, space) ?? KEPT;
  }

  forget(queue: number): void {
    this.#drop((held) => held.queue === queue);
    this.#inner.forget(queue);
  }

  dispose(): void {
    this.#drop(() => true);
    this.#inner.dispose();
  }

  /** What the inner half returns by itself comes by here. */
  #returns(queues: DeviceQueues): DeviceQueues {
    return {
      push: (queue, head, written) => {
        const key = `${queue} ${head}`;
        const room = this.#rooms.get(key) ?? written;
        this.#rooms.delete(key);
        const result = this.#finish(queue, head, written, room, queues, -2);
        if (result >= 0) queues.push(queue, head, result);
      },
      report: (queue, error) => queues.report(queue, error),
    };
  }

  /** Returns the length to return a buffer with; `held` where the buffer is returned here, now or later. */
  #finish(queue: number, head: number, done: number, room: number, queues: DeviceQueues, held: number): number {
    const said = this.#does('short', queue, head) ? Math.floor(done / 2) : done;
    const written = this.#does('lies', queue, head) ? room + LIE : said;
    const now = performance.now();
    const isLate = this.#does('late', queue, head);
    const isReordered = !this.#isInOrder && this.#does('reordered', queue, head);
    if (isLate || isReordered) {
      const dueAt = now + (isLate ? this.#lateMs : REORDER_MS);
      this.#hold({ queue, head, written, dueAt, isBehindNext: isReordered && !isLate });
      return held;
    }
    // With IN_ORDER nothing overtakes a buffer that is late.
    const last = this.#held.findLast((each) => each.queue === queue);
    if (this.#isInOrder && last !== undefined) {
      this.#hold({ queue, head, written, dueAt: last.dueAt, isBehindNext: false });
      return held;
    }
    const behind = this.#held.findIndex((each) => each.queue === queue && each.isBehindNext);
    if (behind < 0) return written;
    queues.push(queue, head, written);
    const [first] = this.#held.splice(behind, 1);
    queues.push(queue, first!.head, first!.written);
    return held;
  }

  /** Whether it is the turn of this way, which is told. */
  #does(way: keyof Misbehavior, queue: number, head: number): boolean {
    if (!this.#plans[way].next()) return false;
    this.#events?.misbehaved?.(way, queue, head);
    return true;
  }

  #hold(buffer: HeldBuffer): void {
    this.#held.push(buffer);
    this.#arm();
  }

  #arm(): void {
    if (this.#held.length === 0 || this.#timer !== undefined) return;
    const due = Math.min(...this.#held.map(({ dueAt }) => dueAt));
    this.#timer = setTimeout(() => this.#release(), Math.max(0, Math.ceil(due - performance.now())));
  }

  /** Returns what is due. */
  #release(): void {
    this.#timer = undefined;
    const now = performance.now();
    for (const buffer of this.#held.filter(({ dueAt }) => dueAt <= now)) {
      this.#held.splice(this.#held.indexOf(buffer), 1);
      this.#queues?.push(buffer.queue, buffer.head, buffer.written);
    }
    this.#arm();
    this.#events?.queueChanged();
  }

  #drop(isDropped: (held: HeldBuffer) => boolean): void {
    for (const buffer of this.#held.filter(isDropped)) this.#held.splice(this.#held.indexOf(buffer), 1);
    for (const key of this.#rooms.keys())
      if (isDropped({ queue: Number.parseInt(key, 10), head: 0, written: 0, dueAt: 0, isBehindNext: false }))
        this.#rooms.delete(key);
    if (this.#held.length > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

/** A device half that misbehaves as asked for, or the one that was given. */
export function misbehaving(model: DeviceModel, misbehavior: Misbehavior | undefined): DeviceModel {
  const isAsked = Object.values(misbehavior ?? {}).some((schedule) => schedule !== undefined && isUsed(schedule));
  return misbehavior === undefined || !isAsked ? model : new MisbehavingModel(model, misbehavior);
}

function isUsed({ nth = [], every = 0, rate = 0 }: FailureSchedule): boolean {
  return nth.length > 0 || every > 0 || rate > 0;
}
