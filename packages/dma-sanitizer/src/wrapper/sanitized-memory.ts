import { GuestMemory, type FreeRun, type TakenRange } from '@virtio-platform/core/memory';

/**
 * Receives each access of a driver to guest memory before it happens. Addresses are guest-physical, lengths are bytes.
 */
export interface MemoryWatch {
  read(address: number, length: number): void;
  write(address: number, length: number): void;
  /** The driver got the raw buffer: accesses through it are not seen. */
  bypass(): void;
  /** A range was allocated or freed. */
  allocated(address: number, length: number): void;
  /** `free` is called with `address`, which is in `allocation`, or in none. */
  freeing(address: number, allocation: TakenRange | undefined): void;
}

type MemoryArray = Uint8Array | Uint16Array | Uint32Array;

/** Methods that change all of an array in place. */
const WRITES_ALL = new Set<PropertyKey>(['reverse', 'sort']);

/**
 * Makes a view of guest memory that reports each access to `watch`; an access takes about a microsecond. Native
 * functions such as Atomics and `Buffer` refuse the proxy, so no access is missed; give them a `slice`.
 */
export function watchedArray<T extends MemoryArray>(array: T, watch: MemoryWatch): T {
  const width = array.BYTES_PER_ELEMENT;
  const base = array.byteOffset;
  const range = (from: number | undefined, to: number | undefined): [address: number, bytes: number] => {
    const first = relative(from ?? 0, array.length);
    const last = relative(to ?? array.length, array.length);
    return [base + first * width, Math.max(0, last - first) * width];
  };
  const methods: Partial<Record<PropertyKey, unknown>> = {
    subarray: (from?: number, to?: number) => watchedArray(array.subarray(from, to), watch),
    slice: (from?: number, to?: number) => {
      watch.read(...range(from, to));
      return array.slice(from, to);
    },
    fill: (value: number, from?: number, to?: number) => {
      watch.write(...range(from, to));
      array.fill(value, from, to);
      return proxy;
    },
    set: (source: ArrayLike<number>, at = 0) => {
      watch.write(...range(at, at + source.length));
      array.set(source, at);
    },
    copyWithin: (to: number, from: number, end?: number) => {
      const [address, bytes] = range(from, end);
      const [target, room] = range(to, undefined);
      watch.read(address, Math.min(bytes, room));
      watch.write(target, Math.min(bytes, room));
      array.copyWithin(to, from, end);
      return proxy;
    },
  };
  const proxy = new Proxy(array, {
    get(target, key): unknown {
      const index = indexOf(key);
      if (index >= 0) {
        if (index < target.length) watch.read(base + index * width, width);
        return target[index];
      }
      if (key === 'buffer') watch.bypass();
      const value: unknown = methods[key] ?? Reflect.get(target, key, target);
      if (typeof value !== 'function' || key in methods || key === 'constructor') return value;
      return (...values: unknown[]): unknown => {
        watch.read(...range(0, undefined));
        if (WRITES_ALL.has(key)) watch.write(...range(0, undefined));
        return Reflect.apply(value, target, values) as unknown;
      };
    },
    set(target, key, value: number): boolean {
      const index = indexOf(key);
      if (index >= 0 && index < target.length) watch.write(base + index * width, width);
      return Reflect.set(target, key, value, target);
    },
  });
  return proxy;
}

/** Makes a DataView that reports every `get` and `set` to `watch`. */
export function watchedView(view: DataView, watch: MemoryWatch): DataView {
  return new Proxy(view, {
    get(target, key): unknown {
      if (key === 'buffer') watch.bypass();
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      const [, kind, bits] = /^(get|set)[A-Za-z]+?(8|16|32|64)$/.exec(String(key)) ?? [];
      return (at: number, ...values: unknown[]): unknown => {
        if (kind === 'get') watch.read(target.byteOffset + at, Number(bits) / 8);
        if (kind === 'set') watch.write(target.byteOffset + at, Number(bits) / 8);
        return Reflect.apply(value, target, [at, ...values]) as unknown;
      };
    },
  });
}

/** The array index that a property key stands for, or -1. */
function indexOf(key: PropertyKey): number {
  if (typeof key !== 'string') return -1;
  const first = key.charCodeAt(0);
  return first >= 48 && first <= 57 ? Number(key) : -1;
}

/** An index as array methods take it, where negative ones count from the end. */
function relative(index: number, length: number): number {
  return index < 0 ? Math.max(0, length + index) : Math.min(index, length);
}

/**
 * Guest memory for a driver: the same bytes, with a report of every access. Rings and mappings keep the guest's memory
 * itself, whose shared fields need Atomics.
 */
export class SanitizedMemory extends GuestMemory {
  override readonly u8: Uint8Array;
  override readonly u16: Uint16Array;
  override readonly u32: Uint32Array;
  override readonly view: DataView;
  readonly #inner: GuestMemory;
  readonly #watch: MemoryWatch;

  constructor(inner: GuestMemory, watch: MemoryWatch) {
    super(inner.buffer);
    this.#inner = inner;
    this.#watch = watch;
    this.u8 = watchedArray(inner.u8, watch);
    this.u16 = watchedArray(inner.u16, watch);
    this.u32 = watchedArray(inner.u32, watch);
    this.view = watchedView(inner.view, watch);
    // A field in the base class; here a getter, which reports that the driver took the raw buffer.
    Object.defineProperty(this, 'buffer', {
      get: () => {
        watch.bypass();
        return inner.buffer;
      },
    });
  }

  override get allocated(): number {
    return this.#inner.allocated;
  }

  override get untouched(): readonly Readonly<FreeRun>[] {
    return this.#inner.untouched;
  }

  override allocationAt(address: number): TakenRange | undefined {
    return this.#inner.allocationAt(address);
  }

  override allocate(length: number, alignment?: number, below?: number): number {
    const address = this.#inner.allocate(length, alignment, below);
    this.#watch.allocated(address, length);
    return address;
  }

  override free(address: number): void {
    const allocation = this.#inner.allocationAt(address);
    this.#watch.freeing(address, allocation);
    this.#inner.free(address);
    if (allocation !== undefined) this.#watch.allocated(address, allocation.length);
  }
}
