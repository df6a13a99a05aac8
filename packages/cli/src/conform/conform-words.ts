import { CodedError } from '@virtio-platform/core/errors';
import type { ConformTarget } from '@virtio-platform/conform';

/** The words of `conform` that say which device it tries. */
export interface ConformWords {
  readonly socket?: string;
  readonly pci?: string;
  readonly type?: string;
  /** Whether cases are only listed: those of a back-end of the type, where no device is named. */
  readonly list?: boolean;
}

/** In a command: the path of the socket on which the back-end listens. */
const SOCKET = '{socket}';

/**
 * The target of a command line: exactly one of a profile, a socket, a PCI address and a command. `words` is the whole
 * command line, `operands` are those that belong to no option, in which `--` is missing. Throws
 * `ERR_CONFORM_TARGET` for none and for several, and for a command without a socket.
 */
export function conformTarget(
  words: readonly string[],
  operands: readonly string[],
  { socket, pci, type, list = false }: ConformWords,
): ConformTarget {
  const at = words.indexOf('--');
  const command = at < 0 ? [] : words.slice(at + 1);
  const [profile, ...others] = operands.slice(0, operands.length - command.length);
  if (command.length > 0 && !command.some((word) => word.includes(SOCKET)))
    throw new CodedError('ERR_CONFORM_TARGET', `conform: no word of the command behind -- has ${SOCKET}`, {
      hint: `the path of the socket comes in its place, on which the back-end has to listen: my-back-end ${SOCKET}`,
    });
  const targets: ConformTarget[] = [
    ...(profile === undefined ? [] : [{ kind: 'profile', path: profile } as const]),
    ...(socket === undefined ? [] : [{ kind: 'socket', path: socket, type } as const]),
    ...(pci === undefined ? [] : [{ kind: 'pci', address: pci } as const]),
    ...(command.length === 0 ? [] : [{ kind: 'command', command, type } as const]),
  ];
  if (targets.length === 0 && list) return { kind: 'socket', path: '/', type };
  if (targets.length === 1 && others.length === 0) return targets[0]!;
  const what = targets.length === 0 ? 'no device is named' : 'more than one device is named';
  throw new CodedError('ERR_CONFORM_TARGET', `conform: ${what}`, {
    hint: 'give one of a profile, --socket PATH, --pci ADDRESS, and -- COMMAND... with {socket} in it',
  });
}

/** Options that say which cases run, and what becomes of their verdicts: they are no part of a case. */
const OF_ALL_CASES: ReadonlySet<string> = new Set(['filter', 'shard', 'junit', 'html', 'json', 'list', 'jobs', 'j']);
/** Those that each process of `-j` has of its own. */
const OF_ONE_PROCESS: ReadonlySet<string> = new Set(['shard', 'junit', 'html', 'json', 'list', 'jobs', 'j']);
/** Those without a value. */
const FLAGS: ReadonlySet<string> = new Set(['json', 'list']);

/** The command line as the user would write it again for one case, without what concerns all. */
export function repeatedCommand(words: readonly string[]): string {
  return ['virtio-platform', ...without(words, OF_ALL_CASES).map(quoted)].join(' ');
}

/** The words behind `conform` for one process of several. */
export function withoutJobs(words: readonly string[]): readonly string[] {
  return without(words, OF_ONE_PROCESS).slice(1);
}

/** Words without some options, and without their values: `--filter X`, `--filter=X`, `-j 2`, `-j2`. */
function without(words: readonly string[], names: ReadonlySet<string>): readonly string[] {
  const end = words.indexOf('--');
  const kept: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    const [, long, value] = /^--([a-z]+)(=.*)?$/s.exec(word) ?? [];
    const [, short, count] = /^-([a-z])(.+)?$/s.exec(word) ?? [];
    const name = long ?? short;
    const isOption = (end < 0 || i < end) && name !== undefined;
    if (!isOption || !names.has(name)) kept.push(word);
    else if (value === undefined && count === undefined && !FLAGS.has(name)) i++;
  }
  return kept;
}

/** A word as a shell takes it. */
function quoted(word: string): string {
  return /^[\w@%+=:,./{}-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
