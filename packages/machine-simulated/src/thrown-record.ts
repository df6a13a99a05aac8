import { messageOf } from '@virtio-platform/core';

/** The most characters of a stack, and of any other text, that go through a mailbox of fixed size. */
const LONGEST_STACK = 8000;
const LONGEST = 1000;

/** What was thrown in the device's thread, as plain data: an error with its stack, or the text of anything else. */
export interface ThrownRecord {
  readonly isError: boolean;
  readonly name: string;
  readonly message: string;
  readonly stack: string;
  /** Of an error with a code: what makes it one. */
  readonly members: Readonly<Record<string, string>>;
}

/** Members of errors by which the other thread tells what kind they are. */
const MEMBERS = ['code', 'hint', 'syscall', 'party', 'hook', 'what', 'exitCall'] as const;

/** Records what was thrown. Never throws. */
export function recordThrown(thrown: unknown): ThrownRecord {
  const message = messageOf(thrown).slice(0, LONGEST);
  try {
    if (!(thrown instanceof Error)) return { isError: false, name: '', message, stack: '', members: {} };
    const members = MEMBERS.flatMap((name) => {
      const value: unknown = Reflect.get(thrown, name);
      return typeof value === 'string' ? [[name, value.slice(0, LONGEST)] as const] : [];
    });
    const stack = String(thrown.stack).slice(0, LONGEST_STACK);
    return { isError: true, name: thrown.name, message, stack, members: Object.fromEntries(members) };
  } catch {
    return { isError: true, name: 'Error', message, stack: '', members: {} };
  }
}

/** The value of a record: an error with the stack of the other thread, or the text that the value had. */
export function thrownOf({ isError, name, message, stack, members }: ThrownRecord): unknown {
  if (!isError) return message;
  const error = new Error(message);
  const hint = 'code' in members ? { hint: undefined } : {};
  return Object.assign(error, { name, stack, ...hint, ...members });
}
