import type { ConsolePort } from './console-port.ts';

/** What happened to a port. */
export type ConsoleEventKind = 'added' | 'removed' | 'opened' | 'closed' | 'named' | 'console' | 'resized';

/** One thing that the device said of a port that the driver then has. */
export interface ConsolePortEvent {
  /**
   * `added` and `removed`: hot plug; `opened` and `closed`: the device's side; `named`: it has a name; `console`: it is
   * a console, which the driver opened by that; `resized`: it has another size.
   */
  readonly kind: ConsoleEventKind;
  readonly port: ConsolePort;
}

/** The driver has no memory for a port that the device announced: the port stays unused, and the device was told. */
export interface ConsolePortFailure {
  readonly kind: 'failed';
  readonly id: number;
  readonly error: unknown;
}

/** What {@link ConsoleDriver.poll} returns. */
export type ConsoleEvent = ConsolePortEvent | ConsolePortFailure;
