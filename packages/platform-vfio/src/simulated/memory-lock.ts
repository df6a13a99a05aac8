import { PAGE_SIZE } from '@virtio-platform/core/memory';

export interface MemoryLockOptions {
  /** RLIMIT_MEMLOCK in bytes. */
  readonly limit: number;
  /** Bytes that count against the limit already, locked by others or by other means. */
  readonly lockedBefore: number;
  /** CAP_IPC_LOCK: the limit does not count. */
  readonly capIpcLock: boolean;
}

/** What the kernel counts against the memory-lock limit for one container, in pages. */
export class MemoryLock {
  /** The limit as messages give it; `undefined` where none counts. */
  readonly limit: number | undefined;
  readonly #mostPages: number;
  #pages = 0;

  constructor({ limit, lockedBefore, capIpcLock }: MemoryLockOptions) {
    this.limit = capIpcLock ? undefined : limit;
    const left = Math.floor(limit / PAGE_SIZE) - Math.ceil(lockedBefore / PAGE_SIZE);
    this.#mostPages = capIpcLock ? Infinity : Math.max(left, 0);
  }

  /** Bytes locked through this container. */
  get lockedBytes(): number {
    return this.#pages * PAGE_SIZE;
  }

  /** How many pages more can be locked. */
  get lockable(): number {
    return this.#mostPages - this.#pages;
  }

  /** Locks pages, or returns false and locks none. */
  charge(pages: number): boolean {
    if (pages > this.lockable) return false;
    this.#pages += pages;
    return true;
  }

  release(pages: number): void {
    this.#pages -= pages;
  }
}
