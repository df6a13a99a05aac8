import type { QueueLayout } from '@virtio-platform/core/queue';

/** One step of a driver, as data. One that is not possible where it comes is left out. */
export type Operation =
  /** Resets the device and starts it, with rings of `size` and these features where they are offered. */
  | { readonly op: 'start'; readonly size: number; readonly with: readonly number[] }
  /** Adds request `request` of the device type, cut into segments. */
  | {
      readonly op: 'add';
      readonly request: number;
      readonly readable?: readonly number[];
      readonly writable?: readonly number[];
      readonly indirect?: boolean;
    }
  | { readonly op: 'publish' }
  /** Kicks; an honest driver only where the device wants it. */
  | { readonly op: 'kick'; readonly isHonest: boolean }
  /** Waits for so many of the buffers that the device has, and checks them. */
  | { readonly op: 'take'; readonly count: number }
  | { readonly op: 'want'; readonly notifications: boolean }
  | { readonly op: 'settle' }
  | HostileOperation;

/** A step that no driver takes which follows the rules. */
export type HostileOperation =
  /** Writes a descriptor of the ring, available on a packed one. */
  | {
      readonly op: 'descriptor';
      readonly slot: number;
      readonly place: Place;
      readonly length: number;
      readonly flags: number;
      readonly next: number;
    }
  /** Writes an entry of the available ring of a split ring. */
  | { readonly op: 'head'; readonly head: number }
  /** Writes 16 bits of an area; `offset` is taken modulo its length. */
  | {
      readonly op: 'poke';
      readonly area: 'descriptor' | 'driver' | 'device';
      readonly offset: number;
      readonly value: number;
    };

/** Where a descriptor points: a buffer, an area of the ring, or nowhere. */
export type Place = 'buffer' | 'request' | 'descriptor' | 'driver' | 'device' | 'nowhere' | 'zero';

/** The operations of {@link HostileOperation}. */
const HOSTILE: ReadonlySet<string> = new Set<HostileOperation['op']>(['descriptor', 'head', 'poke']);

/** Whether a driver that takes these steps breaks the rules. */
export function isHostile(operations: readonly Operation[]): boolean {
  return operations.some(({ op }) => HOSTILE.has(op));
}

/** Steps that are taken again on any device: a file of `conform --replay`. */
export interface OperationFile {
  readonly format: 'virtio-platform-operations';
  readonly version: 1;
  /** The short name of the device type. */
  readonly type: string;
  readonly layout: QueueLayout;
  readonly operations: readonly Operation[];
  /** What was seen, and where. */
  readonly verdict?: string;
  readonly seen?: string;
  readonly seed?: number;
}
