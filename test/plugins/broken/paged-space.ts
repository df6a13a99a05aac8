import {
  TranslatedAddressSpace,
  type AddressTranslation,
  type DeviceAccess,
  type DeviceAddressSpace,
  type FaultCause,
  type FaultLog,
} from '@virtio-platform/core/address-space';
import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';

/** What can be wrong with the device's side of the paged platform; a device in another thread makes it too. */
export type SpaceMistake =
  | 'ignores the direction'
  | 'refuses to write everywhere'
  | 'keeps a translation after unmap'
  | 'never changes its generation'
  | 'changes its generation with every look'
  | 'runs past the page'
  | 'ends a page too early'
  | 'ignores the high word'
  | 'reaches memory that is not mapped'
  | 'records nothing';

/** The shared tables: word 0 counts what was taken away, each further word is one page of device addresses. */
export interface PagedState {
  readonly table: SharedArrayBuffer;
  readonly mistake: SpaceMistake | undefined;
}

/** High word of every device address of the platform. */
export const HIGH_WORD = 256;
/** Pages of device addresses. */
export const PAGES = 1024;
/** The bits of an entry below its guest page. */
export const READ = 1;
/** See {@link READ}. */
export const WRITE = 2;

/** Translates through the table, page by page. */
class PagedTranslation implements AddressTranslation {
  run = 0;
  cause: FaultCause = 'unmapped';
  readonly #entries: Uint32Array;
  readonly #mistake: SpaceMistake | undefined;
  readonly #cached = new Map<number, number>();
  #looks = 0;

  constructor({ table, mistake }: PagedState) {
    this.#entries = new Uint32Array(table);
    this.#mistake = mistake;
  }

  get generation(): number {
    if (this.#mistake === 'never changes its generation') return 0;
    if (this.#mistake === 'changes its generation with every look') return this.#looks++;
    return Atomics.load(this.#entries, 0);
  }

  translate(low: number, high: number, access: DeviceAccess): number {
    const mistake = this.#mistake;
    const inPage = low % PAGE_SIZE;
    this.run = PAGE_SIZE - inPage;
    this.cause = 'unmapped';
    const page = Math.floor(low / PAGE_SIZE);
    const isInside = page < PAGES && (high === HIGH_WORD || mistake === 'ignores the high word');
    const entry = isInside ? this.#entryOf(page) : 0;
    if (entry === 0) {
      if (mistake === 'reaches memory that is not mapped' && high === 0) return low;
      return -1;
    }
    if (mistake === 'runs past the page') this.run = 2 * PAGE_SIZE - inPage;
    if (mistake === 'ends a page too early' && inPage >= PAGE_SIZE - 16) return -1;
    this.cause = access === 'read' ? 'read-not-permitted' : 'write-not-permitted';
    const needed = access === 'read' ? READ : WRITE;
    if ((entry & needed) === 0 && mistake !== 'ignores the direction') return -1;
    if (access === 'write' && mistake === 'refuses to write everywhere') return -1;
    return (entry >>> 2) * PAGE_SIZE + inPage;
  }

  #entryOf(page: number): number {
    const entry = Atomics.load(this.#entries, 1 + page);
    if (this.#mistake !== 'keeps a translation after unmap') return entry;
    const cached = this.#cached.get(page) ?? entry;
    if (cached !== 0) this.#cached.set(page, cached);
    return cached;
  }
}

/** Opens the device's side, in this thread or another. */
export function openAddressSpace(memory: GuestMemory, faults: FaultLog, state: unknown): DeviceAddressSpace {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a state always comes from the same blueprint
  const paged = state as PagedState;
  if (paged.mistake === 'records nothing') faults.record = () => {};
  return new TranslatedAddressSpace(memory, faults, new PagedTranslation(paged));
}
