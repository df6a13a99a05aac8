import { load, type Access, type Operation } from './agent-system.ts';

/** A mistake in one end's half of the handshake, made on purpose. */
export type HandshakeFault =
  /** Falls asleep after asking for a notification, without looking again. */
  | 'no re-check'
  /** Looks again first, and asks then. */
  | 'event after re-check'
  /** Reads what the other end asked for before its own index is in memory. */
  | 'no barrier before the event is read'
  /** Looks again before its own event is in memory. */
  | 'no barrier before the re-check'
  /** Decides by comparing places as numbers, as if they never wrapped. */
  | 'no wrap'
  /** Asks for the place behind the one it waits for. */
  | 'event one too far'
  /** Looks again where its delayed event is, which may be inside a list or a batch and never change. */
  | 're-check at the event'
  /** Counts the one used entry of a batch, not the buffers that it stands for. */
  | 'a batch counts once';

/** All that any end can have, and those that take an event index to have. */
export const ORDER_FAULTS: readonly HandshakeFault[] = [
  'no re-check',
  'event after re-check',
  'no barrier before the event is read',
  'no barrier before the re-check',
];
export const EVENT_INDEX_FAULTS: readonly HandshakeFault[] = ['no wrap', 'event one too far'];

/** Shows something to the other end, and decides by what that asked for whether to tell it (section 2.7.13.4). */
export function* show(
  publish: Access,
  event: string,
  isWanted: (event: number) => boolean,
  fault: HandshakeFault | undefined,
): Operation<boolean> {
  yield publish;
  return isWanted(yield load(event, fault === 'no barrier before the event is read'));
}

/** Asks for a notification, and looks whether it comes too late for that (section 2.7.14). */
export function* enable(
  ask: Access,
  place: string,
  isEmpty: (value: number) => boolean,
  fault: HandshakeFault | undefined,
): Operation<boolean> {
  if (fault === 'event after re-check') {
    const empty = isEmpty(yield load(place));
    yield ask;
    return empty;
  }
  yield ask;
  return fault === 'no re-check' || isEmpty(yield load(place, fault === 'no barrier before the re-check'));
}
