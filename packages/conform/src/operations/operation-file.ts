import { readFileSync } from 'node:fs';
import { CodedError, messageOf } from '@virtio-platform/core';
import type { Operation, OperationFile } from './operation.ts';

const FORMAT = 'virtio-platform-operations';
const VERSION = 1;
/** More than any run of this package has. */
const MOST_OPERATIONS = 100_000;
const LARGEST_BYTES = 16 * 1024 ** 2;
const AREAS = ['descriptor', 'driver', 'device'];
const PLACES = ['buffer', 'request', 'descriptor', 'driver', 'device', 'nowhere', 'zero'];

/** The text of a file of operations: one line for each. */
export function operationText({ operations, ...rest }: Omit<OperationFile, 'format' | 'version'>): string {
  const head = JSON.stringify({ format: FORMAT, version: VERSION, ...rest }).slice(0, -1);
  return `${head},"operations":[\n${operations.map((operation) => JSON.stringify(operation)).join(',\n')}\n]}\n`;
}

/** Reads a file of operations. Throws `ERR_CONFORM_OPERATIONS` for a text of another form. */
export function readOperations(path: string): OperationFile {
  let value: unknown;
  try {
    const text = readFileSync(path, 'utf8');
    if (text.length > LARGEST_BYTES) throw new RangeError('it is too long');
    value = JSON.parse(text);
  } catch (error) {
    throw unreadable(path, messageOf(error), error);
  }
  const { format, version, type, layout, operations } = recordOf(value) ?? {};
  if (format !== FORMAT || version !== VERSION) throw unreadable(path, `it is not ${FORMAT}, version ${VERSION}`);
  if (layout !== 'split' && layout !== 'packed') throw unreadable(path, 'its layout is neither split nor packed');
  if (typeof type !== 'string') throw unreadable(path, 'it has no device type');
  if (!Array.isArray(operations) || operations.length > MOST_OPERATIONS) throw unreadable(path, 'it has no operations');
  const wrong = operations.findIndex((each) => !isOperation(each));
  if (wrong >= 0)
    throw unreadable(path, `operation ${wrong + 1} is no operation: ${JSON.stringify(operations[wrong])}`);
  return { format, version, type, layout, operations };
}

/** By its name: what an operation has, and what each of it may be. */
const FIELDS: Readonly<Record<Operation['op'], Readonly<Record<string, (value: unknown) => boolean>>>> = {
  start: { size: isCount, with: isCounts },
  add: { request: isCount, readable: optional(isCounts), writable: optional(isCounts), indirect: optional(isBoolean) },
  publish: {},
  kick: { isHonest: isBoolean },
  take: { count: isCount },
  want: { notifications: isBoolean },
  settle: {},
  descriptor: { slot: isCount, place: isOneOf(PLACES), length: isCount, flags: isCount, next: isCount },
  head: { head: isCount },
  poke: { area: isOneOf(AREAS), offset: isCount, value: isCount },
};

function isOperation(value: unknown): value is Operation {
  const operation = recordOf(value);
  const op = operation?.['op'];
  if (operation === undefined || typeof op !== 'string' || !Object.hasOwn(FIELDS, op)) return false;
  const fields = Object.entries(FIELDS[nameOf(op)]);
  return fields.every(([field, isRight]) => isRight(operation[field]));
}

function nameOf(op: string): Operation['op'] {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a key of FIELDS
  return op as Operation['op'];
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  return Object.fromEntries(Object.entries(value));
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;
}

function isCounts(value: unknown): boolean {
  return Array.isArray(value) && value.length <= 1024 && value.every(isCount);
}

function isBoolean(value: unknown): boolean {
  return typeof value === 'boolean';
}

function isOneOf(words: readonly string[]): (value: unknown) => boolean {
  return (value) => typeof value === 'string' && words.includes(value);
}

function optional(isRight: (value: unknown) => boolean): (value: unknown) => boolean {
  return (value) => value === undefined || isRight(value);
}

function unreadable(path: string, why: string, cause?: unknown): CodedError {
  return new CodedError('ERR_CONFORM_OPERATIONS', `${path} is no file of operations: ${why}`, {
    hint: 'conform --save and --fuzz write such files',
    cause,
  });
}
