import { RingPair } from '@virtio-platform/conformance/testing';
import type { QueueLayout } from '@virtio-platform/core/queue';
import { call, type Operation } from './agent-system.ts';
import type { HandshakeFault } from './handshake.ts';
import type { DeviceEnd, DriverEnd } from './programs.ts';

export interface HandshakePairOptions {
  readonly layout: QueueLayout;
  readonly size: number;
  readonly eventIdx: boolean;
  readonly inOrder?: boolean;
  /** How many buffers went there and back before: the index of a split ring wraps at 65536. */
  readonly start: number;
}

/** Both ends of a queue as they are, over one memory and physical addresses. Every buffer has one segment. */
export class HandshakePair extends RingPair {
  constructor({ start, ...ring }: HandshakePairOptions) {
    super({ ...ring, batch: 1, memory: 0x4000 });
    this.list.addReadable(0x3000, 16);
    this.roundTrip(start);
    // A new queue asks for notifications at both ends.
    this.queue.enableNotifications();
    this.device.enableNotifications();
  }

  /** Everything that both ends share, as text. */
  shared(): string {
    const descriptor = this.queue.addresses.words[0]!;
    return Buffer.from(this.memory.u8.subarray(descriptor, descriptor + 0x100)).toString('latin1');
  }
}

/** A driver's queue, one whole operation a step. */
export class RingDriver implements DriverEnd {
  added = 0;
  published = 0;
  taken = 0;
  readonly #pair: HandshakePair;
  readonly #fault: HandshakeFault | undefined;

  constructor(pair: HandshakePair, fault?: HandshakeFault) {
    this.#pair = pair;
    this.#fault = fault;
  }

  hasRoom(): boolean {
    return this.added - this.taken < this.#pair.queue.size;
  }

  *add(): Operation {
    yield call('add', () => this.#pair.queue.add(this.#pair.list));
    this.added++;
  }

  *publish(): Operation<boolean> {
    const publish = (): number => {
      this.published = this.added;
      return Number(this.#pair.queue.publish());
    };
    return (yield call('publish', publish)) === 1;
  }

  *take(): Operation<boolean> {
    if ((yield call('takeUsed', () => this.#pair.queue.takeUsed(this.#pair.batch))) === 0) return false;
    this.taken++;
    return true;
  }

  *enableNotifications(): Operation<boolean> {
    const isEmpty = yield call('enableNotifications', () => Number(this.#pair.queue.enableNotifications()));
    return isEmpty === 1 || this.#fault === 'no re-check';
  }

  *enableNotificationsDelayed(): Operation<boolean> {
    const enable = (): number => Number(this.#pair.queue.enableNotificationsDelayed());
    return (yield call('enableNotificationsDelayed', enable)) === 1 || this.#fault === 'no re-check';
  }

  *disableNotifications(): Operation {
    yield call('disableNotifications', () => Number(this.#pair.queue.disableNotifications()));
  }
}

/** A device's queue, one whole operation a step. */
export class RingDevice implements DeviceEnd {
  popped = 0;
  pushed = 0;
  flushed = 0;
  /** How many buffers it knew to be available: a split queue reads the index only when it knows of none. */
  known = 0;
  readonly #pair: HandshakePair;
  readonly #driver: RingDriver;
  readonly #fault: HandshakeFault | undefined;

  constructor(pair: HandshakePair, driver: RingDriver, fault?: HandshakeFault) {
    this.#pair = pair;
    this.#driver = driver;
    this.#fault = fault;
  }

  *pop(): Operation<boolean> {
    const pop = (): number => {
      if (this.known === this.popped) this.known = this.#driver.published;
      return Number(this.#pair.device.pop(this.#pair.chain));
    };
    if ((yield call('pop', pop)) === 0) return false;
    this.popped++;
    return true;
  }

  *push(): Operation {
    yield call('push', () => Number(this.#pair.device.push(this.#pair.chain.head, 0)));
    this.pushed++;
  }

  *flush(): Operation<boolean> {
    const isWanted = yield call('flush', () => Number(this.#pair.device.flush()));
    this.flushed = this.pushed;
    return isWanted === 1;
  }

  *enableNotifications(): Operation<boolean> {
    const isEmpty = yield call('enableNotifications', () => Number(this.#pair.device.enableNotifications()));
    return isEmpty === 1 || this.#fault === 'no re-check';
  }

  *disableNotifications(): Operation {
    yield call('disableNotifications', () => Number(this.#pair.device.disableNotifications()));
  }
}
