import { MappingFailures, type QueuePair } from '@virtio-platform/device-kit';
import { controlMessage } from './control-message.ts';
import { CONSOLE_CONTROL_SIZE } from './layout.ts';

/** Longest control message that is received: a name has 8 bytes less. A longer one breaks the control queue. */
export const CONTROL_MESSAGE_BYTES = 512;
/** Control messages that are with the device at once, in each direction. */
export const CONTROL_MESSAGE_COUNT = 32;
/** Messages that wait to be sent. A device that makes the driver say more has the rest unanswered. */
const MOST_UNSENT = 4 * CONTROL_MESSAGE_COUNT;

/** What came on the control queue, valid until the next message. */
export interface ControlMessage {
  readonly id: number;
  readonly event: number;
  readonly value: number;
  /** What follows. */
  readonly behind: Uint8Array;
}

/** The driver's end of the two control queues (specification 1.4 section 5.3.6.2). */
export class ControlChannel {
  readonly #pair: QueuePair;
  readonly #littleEndian: boolean;
  readonly #bytes: Uint8Array = new Uint8Array(CONTROL_MESSAGE_BYTES);
  readonly #view: DataView = new DataView(this.#bytes.buffer);
  /** Messages that found no buffer yet. */
  readonly #unsent: Uint8Array[] = [];
  #said = 0;
  readonly #failures: MappingFailures = new MappingFailures('a control message');

  /** Owns `pair`. */
  constructor(pair: QueuePair, littleEndian: boolean) {
    this.#pair = pair;
    this.#littleEndian = littleEndian;
  }

  /** How many of the messages that {@link say} numbered the device took. */
  get taken(): number {
    return this.#said - this.#unsent.length - this.#pair.inFlight;
  }

  /** Says something with the next {@link exchange}. Returns the number of the message, counted from 1. */
  say(id: number, event: number, value: number): number {
    if (this.#unsent.length >= MOST_UNSENT) return this.#said;
    this.#unsent.push(controlMessage(this.#littleEndian, id, event, value));
    return ++this.#said;
  }

  /**
   * Hands each message that came to `hear`, `undefined` for one that is too short to be one, then sends what the driver
   * said. Returns how much happened. Throws {@link DmaError} where no message can ever be mapped.
   */
  exchange(hear: (message: ControlMessage | undefined) => void): number {
    let progress = 0;
    // No more than there are buffers, however fast the device is.
    for (let left = this.#pair.receiveCount; left > 0; left--) {
      const length = this.#pair.receive(this.#bytes, 0);
      if (length < 0) break;
      progress++;
      hear(length < CONSOLE_CONTROL_SIZE ? undefined : this.#read(length));
    }
    while (this.#unsent.length > 0) {
      const reason = this.#pair.send(this.#unsent[0]!, CONSOLE_CONTROL_SIZE);
      if (reason < 0) {
        if (this.#pair.inFlight === 0) this.#failures.failed(reason);
        break;
      }
      this.#failures.ended();
      this.#unsent.shift();
      progress++;
    }
    return progress + this.#pair.flush();
  }

  /** See {@link QueuePair.describeBuffer}. */
  describeBuffer(queue: number, id: number): string | undefined {
    return this.#pair.describeBuffer(queue, id, 'control message');
  }

  dispose(): void {
    this.#pair.dispose();
  }

  #read(length: number): ControlMessage {
    return {
      id: this.#view.getUint32(0, this.#littleEndian),
      event: this.#view.getUint16(4, this.#littleEndian),
      value: this.#view.getUint16(6, this.#littleEndian),
      behind: this.#bytes.subarray(CONSOLE_CONTROL_SIZE, length),
    };
  }
}
