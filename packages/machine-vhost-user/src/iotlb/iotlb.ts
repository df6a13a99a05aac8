import { DeviceError, type MachineRecorder } from '@virtio-platform/core';
import { FaultLog, type AddressSpaceBlueprint, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import type { SharedPages } from '../memory/shared-pages.ts';
import type { VhostUserConnection } from '../vhost-user-connection.ts';
import {
  encodeIotlbMessage,
  IOTLB_READ,
  IOTLB_READ_WRITE,
  IOTLB_WRITE,
  IotlbMessageType,
} from '@virtio-platform/vhost-user';
const WORD = 0x1_0000_0000;
/** The number of a page of a 64-bit address is exact in a double. */
const PAGES_PER_WORD = WORD / PAGE_SIZE;

/** A page as the device reaches it: where it is in guest memory, and what the device may do there. */
interface TranslatedPage {
  readonly offset: number;
  readonly permission: number;
}

/** What an {@link Iotlb} translates with, and which pages it may share. */
export interface IotlbOptions {
  readonly memory: GuestMemory;
  /** How the platform's hardware translates what the device says. */
  readonly translation: AddressSpaceBlueprint;
  /** Takes what is refused. */
  readonly faults: FaultLog;
  /** Which pages of guest memory are in the file that the back-end got. Only the IOTLB holds pages. */
  readonly pages: SharedPages;
  /** What the memory table calls the first byte of guest memory. */
  readonly userAddress: bigint;
  /** Whether a page that is mapped for writing only may be read too. */
  readonly writeImpliesRead: boolean;
  /** Is told of the messages. */
  readonly recorder?: MachineRecorder | undefined;
}

/**
 * Fills the I/O translation cache of a back-end that offers ACCESS_PLATFORM, as QEMU does for its emulated IOMMUs. The
 * platform's simulated hardware translates. The front-end sends a page when the back-end asks for it, or before, and
 * the call that unmaps a page returns when the back-end has confirmed the invalidation. A page is in the shared file
 * only as long as the back-end may have it in its cache: the file shows a faulty back-end no other page. The back-end
 * itself enforces permissions: it maps the file for reading and writing.
 *
 * The record of the back-end's cache has at most the pages that the platform has mapped, whatever the back-end asks
 * for.
 */
export class Iotlb {
  readonly #connection: VhostUserConnection;
  readonly #pages: SharedPages;
  readonly #userAddress: bigint;
  readonly #writeImpliesRead: boolean;
  readonly #recorder: MachineRecorder | undefined;
  readonly #space: DeviceAddressSpace;
  /** The same translation, for lookups: a refusal is no fault of the device. */
  readonly #probe: DeviceAddressSpace;
  /** The pages that the back-end was sent, by number of the page of I/O virtual addresses. */
  readonly #told = new Map<number, TranslatedPage>();
  /** Pages whose invalidation the back-end has not confirmed yet. */
  readonly #leaving = new Set<number>();
  /** Whether a page was sent that the back-end has not confirmed yet. */
  #isUnconfirmed = false;
  #generation: number;

  constructor(connection: VhostUserConnection, options: IotlbOptions) {
    const { memory, translation, faults, pages, userAddress, writeImpliesRead } = options;
    this.#recorder = options.recorder;
    this.#connection = connection;
    this.#pages = pages;
    this.#userAddress = userAddress;
    this.#writeImpliesRead = writeImpliesRead;
    this.#space = translation.open(memory, faults, translation.state);
    this.#probe = translation.open(memory, FaultLog.forLookups(), translation.state);
    this.#generation = this.#probe.generation;
  }

  /** How many pages the back-end has in its cache. */
  get size(): number {
    return this.#told.size;
  }

  /** Where `length` bytes that the device reads and writes are in guest memory, if they are one run of it; else -1. */
  locate(low: number, high: number, length: number): number {
    const start = this.#probe.borrow(low, high, length, 'write');
    return start === this.#probe.borrow(low, high, length, 'read') ? start : -1;
  }

  /**
   * Answers a back-end that asks for the page of an address. An access that is not permitted there is a fault, and gets
   * no answer, since the protocol has none. Waits for nothing. Returns whether the page was sent. Throws
   * {@link DeviceError} when the back-end is gone, and {@link HostError}.
   */
  miss(low: number, high: number, permission: number): boolean {
    const start = pageOf(low);
    this.#recorder?.record('iotlbMiss', -1, -1, low, high, 0);
    const page = this.#translate(start, high);
    const granted = permission & (page?.permission ?? 0);
    if (page !== undefined && granted === permission) {
      this.#tell(start, high, page);
      return true;
    }
    const number = pageNumber(start, high);
    // DPDK asks for both permissions where it only reads, and goes on with the page that it has.
    const isContent = granted !== 0 && this.#told.has(number);
    // A request that was sent before its page was unmapped is not a fault.
    if (!isContent && !this.#leaving.has(number)) this.#refuse(low, high, 1, permission & ~granted);
    return false;
  }

  /**
   * Sends the pages of mapped addresses before the back-end asks for them: {@link confirm} waits until it has them. An
   * address that is not mapped is left out.
   */
  announce(low: number, high: number, length: number): void {
    const pages: [low: number, high: number, page: TranslatedPage][] = [];
    const end = low + length;
    for (let at = pageOf(low); at < end; at += PAGE_SIZE) {
      const [pageLow, pageHigh] = [at % WORD, high + Math.floor(at / WORD)];
      const page = this.#translate(pageLow, pageHigh);
      const told = this.#told.get(pageNumber(pageLow, pageHigh));
      if (page !== undefined && page.permission !== told?.permission) pages.push([pageLow, pageHigh, page]);
    }
    if (pages.length === 0) return;
    this.#isUnconfirmed = true;
    this.#exchange(() => {
      for (const page of pages) this.#tell(...page);
    });
  }

  /**
   * Waits until the back-end has every page that was announced: it handles messages in order, so that one answer
   * confirms them all. The connection to a back-end that does not answer is closed.
   */
  confirm(): void {
    if (!this.#isUnconfirmed) return;
    this.#isUnconfirmed = false;
    this.#exchange(() => this.#connection.confirm());
  }

  /**
   * Sends every page again: a back-end that keeps translations for each queue has none for a new queue.
   */
  repeat(): void {
    this.#exchange(() => {
      for (const [number, page] of this.#told) this.#update(...addressOf(number), page);
      this.#connection.confirm();
    });
  }

  /** The back-end says that an access failed. */
  fail(low: number, high: number, length: number, permission: number): void {
    this.#refuse(low, high, length, permission);
  }

  /**
   * Invalidates the pages whose translation changed since the last call, and waits until the back-end confirms. To be
   * called after every change. Waits for no back-end that is gone; the connection to one that does not confirm is
   * closed.
   */
  refresh(): void {
    const { generation } = this.#probe;
    if (generation === this.#generation) return;
    this.#generation = generation;
    const stale: [number: number, page: TranslatedPage][] = [];
    for (const entry of this.#told) if (!this.#isCurrent(...entry)) stale.push(entry);
    for (const [number] of stale) {
      this.#told.delete(number);
      this.#leaving.add(number);
    }
    stale.sort(([one], [other]) => one - other);
    this.#exchange(() => {
      for (let i = 0; i < stale.length;) {
        const first = i++;
        while (i < stale.length && stale[i]![0] === stale[i - 1]![0] + 1) i++;
        this.#takeBack(stale[first]![0], i - first);
      }
      if (stale.length === 0) return;
      // The acknowledgement of an invalidation confirms the pages that were sent before it.
      this.#isUnconfirmed = false;
      this.#connection.serveRequests();
    });
    this.#leaving.clear();
    for (const [, { offset }] of stale) this.#pages.release({ offset, size: PAGE_SIZE });
  }

  /** The device was reset: what the platform keeps for it is dropped, and the back-end forgets what that changed. */
  reset(): void {
    this.#space.reset?.();
    this.#probe.reset?.();
    this.refresh();
  }

  /** Exchanges messages with the back-end unless it is gone; an error marks it as lost. */
  #exchange(talk: () => void): void {
    if (this.#connection.isLost) return;
    try {
      talk();
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      this.#connection.lose(`it does not follow what is mapped: ${error.message}`);
    }
  }

  #takeBack(number: number, count: number): void {
    const [low, high] = addressOf(number);
    const size = this.#invalidatedBytes(number, count);
    this.#recorder?.record('iotlbInvalidate', -1, -1, low, high, count * PAGE_SIZE);
    this.#connection.command('IOTLB_MSG', encodeIotlbMessage({ type: IotlbMessageType.Invalidate, low, high, size }));
  }

  #tell(low: number, high: number, page: TranslatedPage): void {
    const number = pageNumber(low, high);
    const told = this.#told.get(number);
    if (told === undefined) this.#pages.hold({ offset: page.offset, size: PAGE_SIZE });
    // DPDK ignores an update of a page in its cache. The invalidation revokes no permission, so no call waits for it.
    else if (told.permission !== page.permission) {
      const size = this.#invalidatedBytes(number, 1);
      this.#recorder?.record('iotlbInvalidate', -1, -1, low, high, PAGE_SIZE);
      this.#connection.post('IOTLB_MSG', encodeIotlbMessage({ type: IotlbMessageType.Invalidate, low, high, size }));
    }
    this.#told.set(number, page);
    this.#update(low, high, page);
  }

  #update(low: number, high: number, { offset, permission }: TranslatedPage): void {
    const userAddress = this.#userAddress + BigInt(offset);
    this.#recorder?.record('iotlbUpdate', -1, offset, low, high, PAGE_SIZE);
    const message = { type: IotlbMessageType.Update, low, high, size: PAGE_SIZE, userAddress, permission };
    this.#connection.post('IOTLB_MSG', encodeIotlbMessage(message));
  }

  /**
   * The size to invalidate `count` pages with. DPDK (`vhost_user_iotlb_cache_remove`, as of 26.11) drops
   * the entry that begins right behind the range too, and then drops packets on that page. One byte less leaves that
   * entry alone; every page of the range goes all the same, since a cache drops each entry that the range touches.
   */
  #invalidatedBytes(number: number, count: number): number {
    return count * PAGE_SIZE - (this.#told.has(number + count) ? 1 : 0);
  }

  #translate(low: number, high: number): TranslatedPage | undefined {
    const readable = this.#probe.borrow(low, high, PAGE_SIZE, 'read');
    const writable = this.#probe.borrow(low, high, PAGE_SIZE, 'write');
    if (writable >= 0 && (readable >= 0 || this.#writeImpliesRead))
      return { offset: writable, permission: IOTLB_READ_WRITE };
    if (writable >= 0) return { offset: writable, permission: IOTLB_WRITE };
    return readable < 0 ? undefined : { offset: readable, permission: IOTLB_READ };
  }

  /** Whether the page that the back-end has is still right: the same memory, and no permission was revoked. */
  #isCurrent(number: number, { offset, permission }: TranslatedPage): boolean {
    const page = this.#translate(...addressOf(number));
    return page?.offset === offset && (permission & ~page.permission) === 0;
  }

  /** Records why an access is refused; as unmapped where the mapping changed after the access. */
  #refuse(low: number, high: number, length: number, permission: number): void {
    for (const [bit, access] of [
      [IOTLB_READ, 'read'],
      [IOTLB_WRITE, 'write'],
    ] as const) {
      if ((permission & bit) === 0 || this.#space.borrow(low, high, length, access) < 0) continue;
      const address = (BigInt(high) << 32n) | BigInt(low);
      this.#space.faults.record({ address, length, access, cause: 'unmapped' });
    }
  }
}

/** The address of the page that an address is in; low words. */
function pageOf(low: number): number {
  return low - (low % PAGE_SIZE);
}

function pageNumber(low: number, high: number): number {
  return high * PAGES_PER_WORD + low / PAGE_SIZE;
}

/** Low and high word of the address of a page. */
function addressOf(number: number): [low: number, high: number] {
  return [(number % PAGES_PER_WORD) * PAGE_SIZE, Math.floor(number / PAGES_PER_WORD)];
}
