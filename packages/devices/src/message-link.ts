/** One channel of a driver, both ways: a console port, or a pair of network queues. */
export interface MessageLink {
  /** Whether `receive` gives back messages as they were sent; otherwise they are one stream of bytes. */
  readonly isFramed: boolean;
  /** Messages that were sent and whose buffers did not come back. Receive buffers that wait are not counted. */
  readonly inFlight: number;

  /**
   * Sends the first `length` bytes of `source`, which are copied. Returns 0, or a negative reason: retry after some
   * came back. Hot.
   */
  send(source: Uint8Array, length: number): number;
  /** Copies what came next to the start of `target`, and returns how many bytes that is: 0 for nothing yet. Hot. */
  receive(target: Uint8Array): number;
  /**
   * Takes back what was sent, gives the device all free receive buffers, and notifies it if it wants that. Returns how
   * many were taken back. Hot.
   */
  flush(): number;
}

/** A driver whose channels can carry messages once it is connected. */
export interface MessageDriver {
  /** Those that may be used; all there will be, once connected. */
  readonly links: readonly MessageLink[];
  readonly isConnected: boolean;
  /**
   * Does the next step of what the device and its driver have to agree upon first. Returns how much happened: 0 for
   * waiting, or the negative reason why nothing can be sent, where nothing is in flight that could change it.
   */
  connect(): number;
  /** Gives back all buffers. Only after the device confirmed a reset and the queues were reset. */
  dispose(): void;
}
