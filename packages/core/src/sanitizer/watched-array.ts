/** Who is told of what a driver does to guest memory, before it happens. Addresses and lengths are bytes. */
export interface MemoryWatch {
  read(address: number, length: number): void;
  write(address: number, length: number): void;
  /** The raw buffer was asked for: what is done through it is not seen. */
  bypass(): void;
}

type MemoryArray = Uint8Array | Uint16Array | Uint32Array;

/** Methods that change an array in place without a range that their arguments tell. */
const WRITES_ALL = new Set<PropertyKey>(['reverse', 'sort']);

/**
 * A view of guest memory whose every access is told to `watch`. It looks like the array and is none to native functions: Atomics
 * and `Buffer` refuse it, so that nothing passes unseen; give them a `slice`. About a microsecond for each access.
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

/** The same for a DataView: every `get` and `set` is told. */
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

/** The index that a property key is, or -1. */
function indexOf(key: PropertyKey): number {
  if (typeof key !== 'string') return -1;
  const first = key.charCodeAt(0);
  return first >= 48 && first <= 57 ? Number(key) : -1;
}

/** An index as array methods take it: negative ones count from the end. */
function relative(index: number, length: number): number {
  return index < 0 ? Math.max(0, length + index) : Math.min(index, length);
}
