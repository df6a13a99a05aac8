/** Entries that Xen and its consoles use themselves (Linux GNTTAB_NR_RESERVED_ENTRIES). */
export const FIRST_REFERENCE = 8;

/** Flags of an entry (xen/include/public/grant_table.h). */
const PERMIT_ACCESS = 1 << 0;
const READ_ONLY = 1 << 2;
const READING = 1 << 3;
const WRITING = 1 << 4;
const IN_USE = READING | WRITING;

/** Why the hypervisor does not map a grant. */
export const NOT_GRANTED = -1;
export const OTHER_DOMAIN = -2;
export const NOT_WRITABLE = -3;

/** Words in front of the entries: a generation. */
const HEADER = 1;
/** Words of an entry: flags and domain, frame, and how often the hypervisor has mapped it. */
const ENTRY = 3;

/**
 * A grant table, version 1, in memory that guest and hypervisor share: the guest writes entries, and the hypervisor
 * marks those that a back-end has mapped. The guest cannot take an entry back while it is marked, and it does not have
 * to trust the back-end for that.
 */
export class GrantTable {
  /** With room for `entries`, all of them free. */
  static create(entries) {
    return new GrantTable(new SharedArrayBuffer(4 * (HEADER + ENTRY * entries)));
  }

  #words;

  /** Opens the table that another thread made. */
  constructor(buffer) {
    this.buffer = buffer;
    this.#words = new Uint32Array(buffer);
    this.entries = (this.#words.length - HEADER) / ENTRY;
  }

  /** Changes whenever a back-end may no longer use what it used before. */
  get generation() {
    return Atomics.load(this.#words, 0);
  }

  /** The back-end borrows again what it still needs. */
  invalidate() {
    Atomics.add(this.#words, 0, 1);
  }

  /** The guest grants a frame to a domain (Linux gnttab_grant_foreign_access_ref): the flags become visible last. */
  grant(reference, domain, frame, isReadOnly) {
    const at = HEADER + ENTRY * reference;
    this.#words[at + 1] = frame;
    Atomics.store(this.#words, at, PERMIT_ACCESS | (isReadOnly ? READ_ONLY : 0) | (domain << 16));
  }

  /**
   * The guest takes an entry back (Linux gnttab_end_foreign_access_ref). Returns false where a back-end still has it
   * mapped; the entry is then as before.
   */
  end(reference) {
    const at = HEADER + ENTRY * reference;
    for (;;) {
      const entry = Atomics.load(this.#words, at);
      if ((entry & IN_USE) !== 0) return false;
      if (Atomics.compareExchange(this.#words, at, entry, 0) === entry) break;
    }
    this.invalidate();
    return true;
  }

  /** The frame that the guest itself granted; -1 where it granted none. */
  frameOf(reference) {
    if (!(reference >= FIRST_REFERENCE && reference < this.entries)) return -1;
    const at = HEADER + ENTRY * reference;
    return (Atomics.load(this.#words, at) & PERMIT_ACCESS) === 0 ? -1 : this.#words[at + 1];
  }

  /**
   * The hypervisor maps a grant for a back-end in `domain` (GNTTABOP_map_grant_ref). Returns the frame, or a negative
   * reason.
   */
  map(reference, domain, isWrite) {
    const at = HEADER + ENTRY * reference;
    for (;;) {
      const entry = Atomics.load(this.#words, at);
      if ((entry & PERMIT_ACCESS) === 0) return NOT_GRANTED;
      if (entry >>> 16 !== domain) return OTHER_DOMAIN;
      if (isWrite && (entry & READ_ONLY) !== 0) return NOT_WRITABLE;
      const marked = (entry | READING | (isWrite ? WRITING : 0)) >>> 0;
      if (Atomics.compareExchange(this.#words, at, entry, marked) === entry) break;
    }
    Atomics.add(this.#words, at + 2, 1);
    return this.#words[at + 1];
  }

  /** The hypervisor ends one mapping; with the last one the guest may take the entry back. */
  unmap(reference) {
    const at = HEADER + ENTRY * reference;
    if (Atomics.sub(this.#words, at + 2, 1) === 1) Atomics.and(this.#words, at, ~IN_USE);
  }
}
