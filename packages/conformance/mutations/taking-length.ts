/**
 * For a mutation of `takeBack(this.#ring,` in a driver's end: takes buffers back with the length that `body` makes of
 * `id`, `length` and the place `at` of the used entry.
 */
export function takingLength(body: string): string {
  return `takeBack({
      isUsed: (at) => this.#ring.isUsed(at),
      usedIdAt: (at) => this.#ring.usedIdAt(at),
      usedLengthAt: (at) => {
        const id = this.#ring.usedIdAt(at);
        const length = this.#ring.usedLengthAt(at);
        ${body}
      },
      positionBehind: (at, slots) => this.#ring.positionBehind(at, slots),
    },`;
}
