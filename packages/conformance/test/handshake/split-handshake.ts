import { needsNotification, VIRTQ_AVAIL_F_NO_INTERRUPT, VIRTQ_USED_F_NO_NOTIFY } from '@virtio-platform/core/queue';
import { load, store, type Operation } from './agent-system.ts';
import { enable, show, type HandshakeFault } from './handshake.ts';
import type { DeviceEnd, DriverEnd } from './programs.ts';

export interface SplitHandshakeOptions {
  readonly size: number;
  readonly eventIdx: boolean;
  /** Where both indices are at first. */
  readonly start: number;
}

/** The words of a split ring that decide who is told what. */
export function splitWords(start: number): Record<string, number> {
  return { availIdx: start, usedIdx: start, availFlags: 0, usedFlags: 0, usedEvent: start, availEvent: start };
}

/** What `SplitVirtqueue` does to shared words, in its order. */
export class SplitDriverModel implements DriverEnd {
  added = 0;
  published = 0;
  taken = 0;
  readonly #options: SplitHandshakeOptions;
  readonly #fault: HandshakeFault | undefined;

  constructor(options: SplitHandshakeOptions, fault?: HandshakeFault) {
    this.#options = options;
    this.#fault = fault;
  }

  hasRoom(): boolean {
    return this.added - this.taken < this.#options.size;
  }

  // oxlint-disable-next-line require-yield -- the device reads the available ring only after its index has moved
  *add(): Operation {
    this.added++;
  }

  *publish(): Operation<boolean> {
    const previous = this.#index(this.published);
    const current = this.#index(this.added);
    this.published = this.added;
    const publish = store('availIdx', current);
    if (this.#options.eventIdx) {
      return yield* show(
        publish,
        'availEvent',
        (event) => isWanted(event, current, previous, this.#fault),
        this.#fault,
      );
    }
    return yield* show(publish, 'usedFlags', (flags) => (flags & VIRTQ_USED_F_NO_NOTIFY) === 0, this.#fault);
  }

  *take(): Operation<boolean> {
    if ((yield load('usedIdx')) === this.#index(this.taken)) return false;
    this.taken++;
    return true;
  }

  *enableNotifications(): Operation<boolean> {
    const next = this.#index(this.taken);
    const event = this.#fault === 'event one too far' ? this.#index(this.taken + 1) : next;
    const ask = this.#options.eventIdx ? store('usedEvent', event) : store('availFlags', 0);
    return yield* enable(ask, 'usedIdx', (usedIdx) => usedIdx === next, this.#fault);
  }

  *enableNotificationsDelayed(): Operation<boolean> {
    if (!this.#options.eventIdx) return yield* this.enableNotifications();
    const next = this.#index(this.taken);
    const most = Math.floor(((this.published - this.taken) * 3) / 4);
    const event = this.#index(this.taken + most + (this.#fault === 'event one too far' ? 1 : 0));
    const isEmpty = (usedIdx: number): boolean => ((usedIdx - next) & 0xffff) <= most;
    return yield* enable(store('usedEvent', event), 'usedIdx', isEmpty, this.#fault);
  }

  *disableNotifications(): Operation {
    if (this.#options.eventIdx) yield store('usedEvent', this.#index(this.taken - 1));
    else yield store('availFlags', VIRTQ_AVAIL_F_NO_INTERRUPT);
  }

  #index(count: number): number {
    return (this.#options.start + count) & 0xffff;
  }
}

/** What `SplitDeviceQueue` does to shared words, in its order. */
export class SplitDeviceModel implements DeviceEnd {
  popped = 0;
  pushed = 0;
  flushed = 0;
  /** avail.idx as it was read last. */
  availIdx: number;
  readonly #options: SplitHandshakeOptions;
  readonly #fault: HandshakeFault | undefined;

  constructor(options: SplitHandshakeOptions, fault?: HandshakeFault) {
    this.#options = options;
    this.#fault = fault;
    this.availIdx = options.start;
  }

  *pop(): Operation<boolean> {
    const next = this.#index(this.popped);
    if (this.availIdx === next) this.availIdx = yield load('availIdx');
    if (this.availIdx === next) return false;
    this.popped++;
    return true;
  }

  // oxlint-disable-next-line require-yield -- the driver reads the used ring only after its index has moved
  *push(): Operation {
    this.pushed++;
  }

  *flush(): Operation<boolean> {
    if (this.flushed === this.pushed) return false;
    const isOnce = this.#fault === 'a batch counts once';
    const previous = this.#index(isOnce ? this.pushed - 1 : this.flushed);
    const current = this.#index(this.pushed);
    this.flushed = this.pushed;
    const publish = store('usedIdx', current);
    if (this.#options.eventIdx) {
      return yield* show(publish, 'usedEvent', (event) => isWanted(event, current, previous, this.#fault), this.#fault);
    }
    return yield* show(publish, 'availFlags', (flags) => (flags & VIRTQ_AVAIL_F_NO_INTERRUPT) === 0, this.#fault);
  }

  *enableNotifications(): Operation<boolean> {
    const next = this.#index(this.popped);
    const event = this.#fault === 'event one too far' ? this.#index(this.popped + 1) : next;
    const ask = this.#options.eventIdx ? store('availEvent', event) : store('usedFlags', 0);
    return yield* enable(ask, 'availIdx', (availIdx) => availIdx === next, this.#fault);
  }

  *disableNotifications(): Operation {
    if (!this.#options.eventIdx) yield store('usedFlags', VIRTQ_USED_F_NO_NOTIFY);
  }

  #index(count: number): number {
    return (this.#options.start + count) & 0xffff;
  }
}

function isWanted(event: number, current: number, previous: number, fault: HandshakeFault | undefined): boolean {
  return fault === 'no wrap' ? previous <= event && event < current : needsNotification(event, current, previous);
}
