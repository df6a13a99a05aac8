import type { Mismatch, MismatchKind } from '@virtio-platform/core';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { fillPattern, hexadecimal, matchesPattern, type MismatchLog, type Random } from '@virtio-platform/device-kit';
import type { GuestPages } from './guest-pages.ts';

/** A page that the guest uses, and the pattern that it wrote there. */
interface UsedPage {
  readonly address: number;
  readonly round: number;
}

/** What a model of the guest's content is made from. */
export interface GuestContentOptions {
  readonly memory: GuestMemory;
  /** The same memory, seen past the sanitizer: to describe what is wrong. */
  readonly inspected: GuestMemory;
  readonly pages: GuestPages;
  readonly seed: number;
  /** Pages that the guest uses at most. */
  readonly most: number;
  readonly mismatches: MismatchLog;
}

/**
 * The model of pages that the guest itself uses: each has a pattern of its own, and a page that is not in the balloon
 * keeps its content, whatever the device does with others. Pages come and go, so that the balloon gets pages that the
 * guest used, and the guest pages that were in the balloon.
 */
export class GuestContent {
  readonly #options: GuestContentOptions;
  readonly #used: UsedPage[] = [];
  #round = 0;

  constructor(options: GuestContentOptions) {
    this.#options = options;
  }

  /** Pages in use. */
  get count(): number {
    return this.#used.length;
  }

  /** Takes a free page into use, or looks at a page and gives it back: at random. `request` is that of a mismatch. */
  churn(random: Random, request: number): void {
    const { most } = this.#options;
    const isFull = this.#used.length >= most;
    if (this.#used.length > 0 && (isFull || random.chance(50))) this.drop(random, request);
    else this.#use();
  }

  /** Looks at any page in use, and gives it back. Returns whether there was one. */
  drop(random: Random, request: number): boolean {
    const at = random.below(Math.max(1, this.#used.length));
    const page = this.#used[at];
    if (page === undefined) return false;
    this.#used[at] = this.#used.at(-1)!;
    this.#used.pop();
    this.#check(page, request);
    this.#options.pages.give(page.address);
    return true;
  }

  /** Looks at every page in use. */
  check(request: number): void {
    for (const page of this.#used) this.#check(page, request);
  }

  #use(): void {
    const { memory, pages, seed } = this.#options;
    const address = pages.take();
    if (address < 0) return;
    const page = { address, round: this.#round++ };
    this.#used.push(page);
    fillPattern(memory.u32, address, pages.size, seed, address / pages.size, page.round);
  }

  #check({ address, round }: UsedPage, request: number): void {
    const { memory, pages, seed, mismatches } = this.#options;
    if (matchesPattern(memory.u32, address, pages.size, seed, address / pages.size, round)) return;
    const kind: MismatchKind = 'data';
    mismatches.note(kind, () => this.#describe({ address, round }, request));
  }

  #describe({ address, round }: UsedPage, request: number): Omit<Mismatch, 'kind'> {
    const { inspected, pages, seed } = this.#options;
    const words = new Uint32Array(pages.size / 4);
    fillPattern(words, 0, pages.size, seed, address / pages.size, round);
    const expected = new Uint8Array(words.buffer);
    const actual = inspected.u8.subarray(address, address + pages.size);
    const offset = Math.max(
      0,
      expected.findIndex((byte, at) => byte !== actual[at]),
    );
    const difference = { offset, expected: expected[offset]!, actual: actual[offset]! };
    const place = `byte ${offset} is ${hexadecimal(difference.actual)} instead of ${hexadecimal(difference.expected)}`;
    return {
      request,
      what: `page ${hexadecimal(address)} of the guest`,
      detail: `${place}: the page is not in the balloon, and the guest did not write it`,
      queue: 0,
      buffer: null,
      address: hexadecimal(address),
      deviceAddress: null,
      difference,
      status: null,
      used: null,
    };
  }
}
