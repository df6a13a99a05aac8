import { TranslatedAddressSpace } from '@virtio-platform/core/address-space';
import { FailurePlan } from '@virtio-platform/core/failure';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { grantPlace } from './grant-dma-mapping.js';
import { GrantTable, NOT_GRANTED, OTHER_DOMAIN } from './grant-table.js';

/**
 * The grants of a guest as a back-end in one domain uses them: it maps a grant, and the hypervisor refuses what was not
 * granted to that domain, or not for writing.
 */
class GrantTranslation {
  cause = 'unmapped';
  run = 0;
  /** The grants of this access: consecutive references. */
  #first = 0;
  #count = 0;
  /** Mapped beyond an access: rings, until the reset, and what the back-end does not give back. */
  #rings = new Set();
  #kept = new Set();
  #table;
  #domain;
  #keep;
  #drops;
  #isForLookups;

  constructor(table, { domain, keep, drops }, isForLookups) {
    this.#table = table;
    this.#domain = domain;
    this.#keep = new FailurePlan(keep);
    this.#drops = drops;
    this.#isForLookups = isForLookups;
  }

  get generation() {
    return this.#table.generation;
  }

  translate(low, high, access) {
    const place = grantPlace(low, high);
    const inPage = low % PAGE_SIZE;
    const reference = (place - inPage) / PAGE_SIZE;
    this.run = PAGE_SIZE - inPage;
    if (place < 0) return this.#refuse('unmapped');
    if (reference >= this.#table.entries) return this.#refuse('outside-window');
    const frame = this.#table.map(reference, this.#domain, access === 'write');
    if (frame >= 0) {
      if (this.#count === 0) this.#first = reference;
      this.#count++;
      return frame * PAGE_SIZE + inPage;
    }
    if (frame === NOT_GRANTED) return this.#refuse('unmapped');
    return this.#refuse(frame === OTHER_DOMAIN ? 'access-denied' : 'write-not-permitted');
  }

  /** An access is over: its grants are unmapped, but for those that the back-end keeps on purpose. */
  release() {
    for (let i = 0; i < this.#count; i++) {
      const reference = this.#first + i;
      if (!this.#isForLookups && this.#keep.next() && !this.#kept.has(reference)) this.#kept.add(reference);
      else this.#table.unmap(reference);
    }
    this.#count = 0;
  }

  /** A ring was borrowed: its grants stay mapped until the device is reset, as QEMU's region caches do. */
  hold() {
    if (this.#isForLookups) return this.release();
    for (let i = 0; i < this.#count; i++) {
      const reference = this.#first + i;
      if (this.#rings.has(reference)) this.#table.unmap(reference);
      else this.#rings.add(reference);
    }
    this.#count = 0;
  }

  reset() {
    for (const reference of this.#rings) this.#table.unmap(reference);
    this.#rings.clear();
    if (this.#drops === 'on-reset') {
      for (const reference of this.#kept) this.#table.unmap(reference);
      this.#kept.clear();
    }
    this.#table.invalidate();
  }

  #refuse(cause) {
    this.cause = cause;
    return -1;
  }
}

/** What a back-end reaches of a guest: nothing but grants, and each of them only while it has the grant mapped. */
class BackEndAddressSpace extends TranslatedAddressSpace {
  #translation;

  constructor(memory, faults, translation) {
    super(memory, faults, translation);
    this.#translation = translation;
  }

  read(low, high, target, at, length) {
    const isRead = super.read(low, high, target, at, length);
    this.#translation.release();
    return isRead;
  }

  write(low, high, source, at, length) {
    const isWritten = super.write(low, high, source, at, length);
    this.#translation.release();
    return isWritten;
  }

  borrow(low, high, length, access) {
    const start = super.borrow(low, high, length, access);
    if (start < 0) this.#translation.release();
    else this.#translation.hold();
    return start;
  }
}

/** Opens the address space where the device is: in this thread, or in a worker. */
export function openAddressSpace(memory, faults, { buffer, ...backEnd }) {
  const translation = new GrantTranslation(new GrantTable(buffer), backEnd, faults.isForLookups);
  return new BackEndAddressSpace(memory, faults, translation);
}

/** Describes how to open the address space of a back-end. */
export function backEndAddressSpace(table, { backEnd, failures }) {
  const state = { buffer: table.buffer, domain: backEnd.domain, drops: backEnd.drops, keep: failures.keep };
  return { module: import.meta.url, state, open: openAddressSpace };
}
