import { checkpoint, choose, notify, sleep, type Operation } from './agent-system.ts';

/** The driver's end of a queue, in steps. Its fields are all that its operations go on with. */
export interface DriverEnd {
  readonly added: number;
  readonly taken: number;
  /** Whether another buffer fits. */
  hasRoom(): boolean;
  add(): Operation;
  publish(): Operation<boolean>;
  /** Takes one buffer back. Returns false when there is none. */
  take(): Operation<boolean>;
  enableNotifications(): Operation<boolean>;
  enableNotificationsDelayed(): Operation<boolean>;
  disableNotifications(): Operation;
}

/** The device's end of a queue, in steps. */
export interface DeviceEnd {
  pop(): Operation<boolean>;
  /** Returns the buffer that was popped last. */
  push(): Operation;
  flush(): Operation<boolean>;
  enableNotifications(): Operation<boolean>;
  disableNotifications(): Operation;
}

export interface ProgramOptions {
  /** Buffers sent in all. */
  readonly buffers: number;
  /** Whether both ends ask for silence while they are awake. */
  readonly isQuiet: boolean;
  /** Whether the driver asks to be told only when most of what is outstanding is back. */
  readonly isDelayed?: boolean;
}

/**
 * A driver that sends its buffers in batches of any length, takes back what is used, and sleeps only after it asked for
 * a notification and saw nothing arrive (specification 1.4 section 2.7.14).
 */
export function* runDriver(end: DriverEnd, options: ProgramOptions): Operation {
  const canAdd = (): boolean => end.added < options.buffers && end.hasRoom();
  for (;;) {
    while (canAdd()) {
      yield checkpoint('add', end);
      yield* end.add();
      const isPublished = !canAdd() || (yield choose('publishes', 'adds another')) === 0;
      if (isPublished && (yield* end.publish())) yield notify;
    }
    do {
      yield checkpoint('take', end);
      if (options.isQuiet) yield* end.disableNotifications();
      while (yield* end.take()) yield checkpoint('taken', end);
    } while (!(yield* options.isDelayed === true ? end.enableNotificationsDelayed() : end.enableNotifications()));
    if (end.taken === options.buffers) return;
    if (canAdd()) continue;
    yield sleep;
  }
}

/** A device that answers buffers in batches of any length, and sleeps by the same rule. */
export function* runDevice(end: DeviceEnd, options: ProgramOptions): Operation {
  for (;;) {
    do {
      yield checkpoint('pop', end);
      if (options.isQuiet) yield* end.disableNotifications();
      while (yield* end.pop()) {
        yield* end.push();
        const isFlushed = (yield choose('flushes', 'holds back')) === 0;
        if (isFlushed && (yield* end.flush())) yield notify;
        yield checkpoint('pushed', end);
      }
      if (yield* end.flush()) yield notify;
    } while (!(yield* end.enableNotifications()));
    yield sleep;
  }
}
