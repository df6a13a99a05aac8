import type { DeviceFault } from '@virtio-platform/core/address-space';
import type { SmmuEvent } from './event-queue.ts';
import { eventCause, eventDetail } from './event-types.ts';

/** A fault that the unit wrote as an event. An event has an address and no length, so the fault covers one byte. */
export interface SmmuFault extends DeviceFault {
  /** The type of the event, also an unknown one. */
  readonly type: number;
  /** The meaning of the type. */
  readonly detail: string;
}

/** Interprets an event. */
export function describeEvent({ type, access, address }: SmmuEvent): SmmuFault {
  return { address, length: 1, access, cause: eventCause(type, access), type, detail: eventDetail(type) };
}
