import type { DriverHalf } from '@virtio-platform/core';

/** One channel of a driver, both ways: a console port, or a pair of network queues. */
export interface MessageLink {
  /** Whether `receive` gives back messages as they were sent; otherwise they are one stream of bytes. */
  readonly isFramed: boolean;
  /** Messages sent and not taken back. */
  readonly inFlight: number;
  /** The index of the receive queue. */
  readonly receiveQueue: number;

  /**
   * Sends the first `length` bytes of `source`, which are copied. Returns 0, or a negative reason: retry after some
   * came back. Hot.
   */
  send(source: Uint8Array, length: number): number;
  /** Copies what came next to the start of `target`, and returns how many bytes that is: 0 for nothing yet. Hot. */
  receive(target: Uint8Array): number;
  /**
   * Takes back what was sent, gives the device all free receive buffers, and notifies it if it wants that. Returns how
   * many were taken back. Throws {@link DmaError} `ERR_DMA_EXHAUSTED` where the device can get no receive buffer. Hot.
   */
  flush(): number;
}

/** A driver whose channels can carry messages once it is connected. */
export interface MessageDriver extends DriverHalf {
  /** Those that may be used; all there will be, once connected. */
  readonly links: readonly MessageLink[];
  readonly isConnected: boolean;
  /**
   * Does the next step of what the device and its driver have to agree upon first. Returns how much happened: 0 for
   * waiting. Throws {@link DmaError} where the buffers for that can never be mapped.
   */
  connect(): number;
}
