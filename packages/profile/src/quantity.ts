/** A way of writing quantities, such as sizes: what one unit of each name is. */
export interface UnitSystem {
  /** In messages: `a size`. */
  readonly what: string;
  readonly units: Readonly<Record<string, number>>;
  /** What a number without a unit counts; `undefined` where a unit is required. */
  readonly bare: string | undefined;
}

/** In bytes. Powers of 1024 only: KB means 1000 to some and 1024 to others. */
export const SIZE: UnitSystem = {
  what: 'a size',
  units: { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 },
  bare: 'B',
};

/** In milliseconds. */
export const DURATION: UnitSystem = { what: 'a duration', units: { ms: 1, s: 1000 }, bare: undefined };

export type Quantity =
  | { readonly value: number }
  | { readonly value: undefined; readonly message: string; readonly suggestion: string | undefined };

/** Reads a quantity as YAML gives it: `4KiB`, or `4096` where the system allows it. */
export function parseQuantity(source: unknown, system: UnitSystem): Quantity {
  if (typeof source === 'number' || typeof source === 'bigint') {
    const isUsable = system.bare !== undefined && Number.isSafeInteger(source) && source >= 0;
    return isUsable ? { value: Number(source) } : mistake(system);
  }
  if (typeof source !== 'string') return mistake(system);
  const [match, digits, space, unit = ''] = /^(\d{1,16})(\s*)([A-Za-z]*)$/.exec(source) ?? [];
  if (match === undefined) return mistake(system);
  if (space !== '' || !Object.hasOwn(system.units, unit)) {
    const meant = meantUnit(unit, system);
    return mistake(system, meant === undefined ? undefined : `${digits}${meant}`);
  }
  const value = Number(digits) * system.units[unit]!;
  return Number.isSafeInteger(value) ? { value } : mistake(system);
}

/** The unit that starts like what was written: `KB` and `k` mean KiB. */
function meantUnit(written: string, { units, bare }: UnitSystem): string | undefined {
  const lower = written.toLowerCase();
  const names = Object.keys(units);
  if (lower === '') return bare;
  return (
    names.find((name) => name.toLowerCase() === lower) ?? names.find((name) => name[0]!.toLowerCase() === lower[0])
  );
}

function mistake({ what, units }: UnitSystem, suggestion?: string): Quantity {
  const message = `must be ${what}: a whole number with one of the units ${Object.keys(units).join(', ')}`;
  return { value: undefined, message, suggestion };
}

/** The strings that {@link parseQuantity} takes, as a regular expression for editors. */
export function quantityPattern({ units }: UnitSystem): string {
  return `^\\d+(${Object.keys(units).join('|')})$`;
}
