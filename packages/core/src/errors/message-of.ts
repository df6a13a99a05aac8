/** The message of anything that was thrown, also of a value that is no error. Never throws. */
export function messageOf(thrown: unknown): string {
  try {
    return String(thrown instanceof Error ? thrown.message : thrown);
  } catch {
    return 'a value that has no text';
  }
}

/** The longest text of a value in a message. */
const LONGEST = 60;

/**
 * A value in a message, in a few words: `NaN`, `"abc"`, `undefined`, `a function`, `an object`. Never throws, whatever
 * a plugin gave.
 */
export function describeValue(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.length > LONGEST ? `${value.slice(0, LONGEST)}…` : value);
    case 'function':
      return 'a function';
    case 'symbol':
      return 'a symbol';
    case 'object':
      return value === null ? 'null' : describeObject(value);
    default:
      return typeof value === 'bigint' ? `${value}n` : String(value);
  }
}

function describeObject(value: object): string {
  try {
    if (Array.isArray(value)) return 'a list';
    return value instanceof Promise ? 'a Promise' : 'an object';
  } catch {
    return 'an object that cannot be looked at';
  }
}
