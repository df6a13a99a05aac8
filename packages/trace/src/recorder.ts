/** Takes events where they happen. A call is numbers only, so that it allocates nothing. */
export interface Recorder {
  /**
   * Takes an event. `kind` is a number of `KIND`, which says what the others mean; `queue` is -1 for the whole device;
   * `address` is guest-physical, -1 for none; `low` and `high` are the words of a device address. Hot: no allocation.
   */
  record(
    kind: number,
    queue: number,
    id: number,
    address: number,
    low: number,
    high: number,
    length: number,
    extra: number,
  ): void;

  /** Takes an event that is told in words, such as a fault with its cause. Cold. */
  note(kind: number, queue: number, id: number, text: string): void;
}
