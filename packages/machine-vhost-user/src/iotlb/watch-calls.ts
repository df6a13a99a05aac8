/**
 * The same facility, with `after` called whenever a call of it is over. An object that it hands out by name, such as the ultravisor
 * of a secure guest, is watched too; plain data is not. So whoever keeps a copy of the translations learns of every change before
 * the caller goes on, whichever facility it is.
 */
export function watchCalls<Facility extends object>(facility: Facility, after: () => void): Facility {
  const calls = new Map<string | symbol, unknown>();
  return new Proxy(facility, {
    get(target, key) {
      // The facility itself is `this`: private fields are not reached through a proxy.
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function') return isInstance(value) ? watchCalls(value, after) : value;
      const known = calls.get(key);
      if (known !== undefined) return known;
      const call = (...values: unknown[]): unknown => {
        try {
          return Reflect.apply(value, target, values);
        } finally {
          after();
        }
      };
      calls.set(key, call);
      return call;
    },
  });
}

function isInstance(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.getPrototypeOf(value) !== Object.prototype;
}
