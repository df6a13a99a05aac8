import { type MessageLink, NO_BUFFER, type QueuePair } from '@virtio-platform/device-kit';
import type { ConsoleSize } from './console-config.ts';
import type { ControlChannel } from './control-channel.ts';
import { VIRTIO_CONSOLE_PORT_OPEN } from './layout.ts';

/** What the driver knows of a port, from one announcement to its end. */
export interface PortState {
  name: string;
  isConsole: boolean;
  size: ConsoleSize | undefined;
  /** Whether the device announced the port, and did not remove it. */
  isPresent: boolean;
  /** Whether another port has its queues by now. */
  isReplaced: boolean;
  isOpenHere: boolean;
  isOpenThere: boolean;
}

/**
 * A port of a console as its user sees it: a stream of bytes, both ways, from the DEVICE_ADD message of the device to
 * its DEVICE_REMOVE. A port that is announced again under the same number is another one.
 */
export class ConsolePort implements MessageLink {
  /** The number of the port: 0 to 30. */
  readonly id: number;
  /** Longest message that {@link send} takes, and shortest target of {@link receive}, in bytes. */
  readonly messageBytes: number;
  readonly isFramed = false;
  readonly #pair: QueuePair;
  readonly #state: PortState;
  readonly #control: ControlChannel | undefined;
  /** The number of the control message that opened or closed it last. */
  #said = 0;
  readonly #discarded: Uint8Array = new Uint8Array(1);

  /** Made by the driver, which owns `pair`, `state` and `control`. */
  constructor(
    id: number,
    messageBytes: number,
    pair: QueuePair,
    state: PortState,
    control: ControlChannel | undefined,
  ) {
    this.id = id;
    this.messageBytes = messageBytes;
    this.#pair = pair;
    this.#state = state;
    this.#control = control;
  }

  /** What the device calls it; empty where the device does not say. Not to be trusted: any text. */
  get name(): string {
    return this.#state.name;
  }

  /** Whether the device says that it is a console, such as a shell runs on. */
  get isConsole(): boolean {
    return this.#state.isConsole;
  }

  /** Of a console: characters, where the device said so. */
  get size(): ConsoleSize | undefined {
    return this.#state.size;
  }

  /** Whether the device has the port: false once it removed it, for good. */
  get isPresent(): boolean {
    return this.#state.isPresent;
  }

  /**
   * Whether both sides opened it, and the device took the message that the driver did: bytes can be sent. A device that
   * did not take it yet may still drop what it is sent, for the port was closed before.
   */
  get isOpen(): boolean {
    const { isPresent, isOpenHere, isOpenThere } = this.#state;
    return isPresent && isOpenHere && isOpenThere && (this.#control === undefined || this.#control.taken >= this.#said);
  }

  /** Whether the driver opened it. */
  get isOpenHere(): boolean {
    return this.#state.isOpenHere;
  }

  /** Whether the device opened it: a program of the host is connected. */
  get isOpenThere(): boolean {
    return this.#state.isOpenThere;
  }

  get inFlight(): number {
    return this.#pair.inFlight;
  }

  get receiveQueue(): number {
    return this.#pair.receiveQueue;
  }

  /**
   * Opens the driver's side, and tells the device with the next `poll` of the driver. Does nothing where it is open,
   * and for a port that was removed.
   */
  open(): void {
    if (!this.#state.isOpenHere) this.confirmOpen();
  }

  /** As {@link open}, and tells the device also where the driver's side is open: the answer to CONSOLE_PORT. */
  confirmOpen(): void {
    const state = this.#state;
    if (!state.isPresent) return;
    if (!state.isOpenHere) this.abandon();
    state.isOpenHere = true;
    this.#sayOpen(1);
  }

  /** Closes the driver's side, and tells the device: what came and was not received is lost, as it is in Linux. */
  close(): void {
    const state = this.#state;
    if (!state.isOpenHere || !state.isPresent) return;
    state.isOpenHere = false;
    this.abandon();
    this.#sayOpen(0);
  }

  /**
   * Sends the first `length` bytes of `source`, which are copied. Returns 0, or a negative reason: `NO_BUFFER` while
   * all buffers are with the device, and where the port is not open. {@link flush} takes buffers back, and shows what
   * was sent to the device. Throws `RangeError` for more than {@link messageBytes}, and for nothing. Hot.
   */
  send(source: Uint8Array, length: number): number {
    if (!(length >= 1) || length > this.messageBytes || length > source.length)
      throw new RangeError(`${length} bytes, and a message has 1 to ${this.messageBytes}`);
    return this.isOpen ? this.#pair.send(source, length) : NO_BUFFER;
  }

  /**
   * Copies what came next to the start of `target`, and returns how many bytes that is: 0 for nothing yet. What came
   * before the device closed or removed the port can still be received. Throws `RangeError` for a target of fewer than
   * {@link messageBytes} bytes. Hot.
   */
  receive(target: Uint8Array): number {
    if (target.length < this.messageBytes)
      throw new RangeError(`a target of ${target.length} bytes, and a buffer has up to ${this.messageBytes}`);
    if (this.#state.isReplaced) return 0;
    if (!this.#state.isOpenHere) this.abandon();
    // A buffer that came back empty says nothing.
    for (let length = this.#pair.receive(target, 0); length >= 0; length = this.#pair.receive(target, 0)) {
      if (length > 0) return length;
    }
    return 0;
  }

  flush(): number {
    return this.#state.isReplaced ? 0 : this.#pair.flush();
  }

  #sayOpen(value: number): void {
    if (this.#control !== undefined) this.#said = this.#control.say(this.id, VIRTIO_CONSOLE_PORT_OPEN, value);
  }

  /** Drops what came and was not received. */
  abandon(): void {
    if (this.#state.isReplaced) return;
    while (this.#pair.receive(this.#discarded, 0) >= 0);
  }
}
