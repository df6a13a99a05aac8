import { GuestMemory } from '@virtio-platform/core/memory';
import { vi } from 'vitest';

/** One access to a 16- or 32-bit field of the memory. */
export interface FieldAccess {
  readonly kind: 'read' | 'write';
  /** Byte offset of the field. */
  readonly offset: number;
  readonly isOrdered: boolean;
}

/**
 * Guest memory on the side of a peer that never holds still: a field that is read a second time in one operation has
 * all its bits inverted. Records every access that is not to single bytes.
 */
export class FickleMemory {
  readonly memory: GuestMemory;
  readonly #targets = new WeakMap<object, Uint16Array | Uint32Array>();
  #accesses: FieldAccess[] = [];
  readonly #seen = new Set<number>();

  constructor(bytes: number) {
    this.memory = new GuestMemory(new SharedArrayBuffer(bytes));
    Object.defineProperty(this.memory, 'u16', { value: this.#wrap(this.memory.u16) });
    Object.defineProperty(this.memory, 'u32', { value: this.#wrap(this.memory.u32) });
  }

  /** Runs one operation of a queue, and returns what it accessed, in order. */
  record(operation: () => void): FieldAccess[] {
    this.#accesses = [];
    this.#seen.clear();
    const { load, store } = Atomics;
    const loads = vi.spyOn(Atomics, 'load').mockImplementation(((view: Uint16Array, index: number) => {
      const target = this.#targets.get(view);
      return target === undefined ? load(view, index) : this.#read(target, index, true);
    }) as typeof Atomics.load);
    const stores = vi.spyOn(Atomics, 'store').mockImplementation(((view: Uint16Array, index: number, value: number) => {
      const target = this.#targets.get(view);
      return target === undefined ? store(view, index, value) : this.#write(target, index, value, true);
    }) as typeof Atomics.store);
    try {
      operation();
    } finally {
      loads.mockRestore();
      stores.mockRestore();
    }
    return this.#accesses;
  }

  #wrap<T extends Uint16Array | Uint32Array>(view: T): T {
    const wrapped = new Proxy(view, {
      get: (target, key) => {
        const index = Number(String(key));
        if (Number.isInteger(index)) return this.#read(target, index, false);
        return Reflect.get(target, key, target) as unknown;
      },
      set: (target, key, value: number) => {
        this.#write(target, Number(String(key)), value, false);
        return true;
      },
    });
    this.#targets.set(wrapped, view);
    return wrapped;
  }

  #read(target: Uint16Array | Uint32Array, index: number, isOrdered: boolean): number {
    const offset = index * target.BYTES_PER_ELEMENT;
    this.#accesses.push({ kind: 'read', offset, isOrdered });
    const value = target[index]!;
    if (!this.#seen.has(offset)) {
      this.#seen.add(offset);
      return value;
    }
    return target.BYTES_PER_ELEMENT === 2 ? value ^ 0xffff : ~value >>> 0;
  }

  #write(target: Uint16Array | Uint32Array, index: number, value: number, isOrdered: boolean): number {
    this.#accesses.push({ kind: 'write', offset: index * target.BYTES_PER_ELEMENT, isOrdered });
    target[index] = value;
    return value;
  }
}
