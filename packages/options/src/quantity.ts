import { formatByteSize } from '@virtio-platform/core/memory';
import { z } from 'zod';

/** What a quantity must be besides well written. All values are in the smallest unit: bytes, or milliseconds. */
export interface QuantityLimits {
  /** Smallest value; 1 unless given. */
  readonly minimum?: number;
  /** Largest value; `Number.MAX_SAFE_INTEGER` unless given. */
  readonly maximum?: number;
  readonly multipleOf?: number;
  readonly powerOfTwo?: boolean;
}

/**
 * The schema of a size: a whole number of bytes, or text with a unit such as `4KiB`. Gives bytes. An issue carries in
 * `params.suggestion` the size that was probably meant.
 */
export function byteSize(limits: QuantityLimits = {}): z.ZodType<number, number | string> {
  return quantity(SIZE, limits);
}

/** The schema of a duration, text with a unit such as `500ms` or `5s`. Gives milliseconds. */
export function duration(limits: QuantityLimits = {}): z.ZodType<number, number | string> {
  return quantity(DURATION, limits);
}

/** A way of writing quantities. */
interface UnitSystem {
  /** In messages: `a size`. */
  readonly what: string;
  /** What one unit of each name is; the smallest unit, which is 1, comes first. */
  readonly units: Readonly<Record<string, number>>;
  /** The unit of a number without one; `undefined` where a unit is required. */
  readonly bare: string | undefined;
  format(value: number): string;
}

/** In bytes. Powers of 1024 only: KB means 1000 to some and 1024 to others. */
const SIZE: UnitSystem = {
  what: 'a size',
  units: { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, TiB: 1024 ** 4 },
  bare: 'B',
  format: formatByteSize,
};

/** In milliseconds. */
const DURATION: UnitSystem = {
  what: 'a duration',
  units: { ms: 1, s: 1000 },
  bare: undefined,
  format: (milliseconds) => `${milliseconds}ms`,
};

function quantity(system: UnitSystem, limits: QuantityLimits): z.ZodType<number, number | string> {
  const { minimum = 1, maximum = Number.MAX_SAFE_INTEGER, multipleOf = 1, powerOfTwo = false } = limits;
  const { units, bare } = system;
  const withUnit = { type: 'string' as const, pattern: `^\\d+(${Object.keys(units).join('|')})$` };
  const schema = z.custom<number | string>().transform((source, context): number => {
    const value = parse(source, system);
    if (value === undefined) {
      const message = `must be ${system.what}: a whole number with one of the units ${Object.keys(units).join(', ')}`;
      const params = { suggestion: meantQuantity(source, system) };
      context.addIssue({ code: 'custom', message, params, input: source });
      return z.NEVER;
    }
    const fits = value >= minimum && value <= maximum && value % multipleOf === 0;
    if (!fits || (powerOfTwo && !Number.isInteger(Math.log2(value)))) {
      context.addIssue({ code: 'custom', message: `must be ${describeLimits(system, limits)}`, input: source });
    }
    return value;
  });
  // A schema with a transform has no JSON form of its own.
  return schema.meta({ anyOf: bare === undefined ? [withUnit] : [{ type: 'integer', minimum }, withUnit] });
}

function describeLimits(units: UnitSystem, limits: QuantityLimits): string {
  const { minimum = 1, maximum, multipleOf, powerOfTwo } = limits;
  const parts = [
    powerOfTwo === true && 'a power of two',
    multipleOf !== undefined && `a multiple of ${units.format(multipleOf)}`,
    minimum !== multipleOf &&
      (minimum > 1 || (multipleOf === undefined && powerOfTwo !== true)) &&
      `at least ${minimum === 0 ? 0 : units.format(minimum)}`,
    maximum !== undefined && `at most ${units.format(maximum)}`,
  ];
  return parts.filter(Boolean).join(', ');
}

/** Reads a quantity as YAML gives it: `4KiB`, or `4096` where the system allows a bare number. */
function parse(source: unknown, { units, bare }: UnitSystem): number | undefined {
  if (typeof source === 'number' || typeof source === 'bigint') {
    const isUsable = bare !== undefined && Number.isSafeInteger(Number(source)) && source >= 0;
    return isUsable ? Number(source) : undefined;
  }
  const { digits, space, unit } = partsOf(source) ?? {};
  if (digits === undefined || space !== '' || !Object.hasOwn(units, unit!)) return undefined;
  const value = Number(digits) * units[unit!]!;
  return Number.isSafeInteger(value) ? value : undefined;
}

/**
 * The quantity that was probably meant: with the unit that begins as the written one, so `4KB` and `4k` mean `4KiB`.
 */
function meantQuantity(source: unknown, system: UnitSystem): string | undefined {
  const { digits, space, unit = '' } = partsOf(source) ?? {};
  if (digits === undefined || (space === '' && Object.hasOwn(system.units, unit))) return undefined;
  const meant = meantUnit(unit.toLowerCase(), system);
  return meant === undefined ? undefined : `${digits}${meant}`;
}

function meantUnit(written: string, { units, bare }: UnitSystem): string | undefined {
  if (written === '') return bare;
  const names = Object.keys(units);
  return (
    names.find((name) => name.toLowerCase() === written) ?? names.find((name) => name[0]!.toLowerCase() === written[0])
  );
}

function partsOf(source: unknown): { digits: string; space: string; unit: string } | undefined {
  if (typeof source !== 'string') return undefined;
  const [match, digits, space, unit] = /^(\d{1,16})(\s*)([A-Za-z]*)$/.exec(source) ?? [];
  return match === undefined ? undefined : { digits: digits!, space: space!, unit: unit! };
}
