import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { CodedError, messageOf, type MachineRecorder } from '@virtio-platform/core';
import { TraceLog } from './trace-log.ts';

/** Milliseconds for QEMU to list the names of its events. */
const LIST_TIMEOUT_MS = 10_000;
/** The most names that an error suggests. */
const MOST_SUGGESTIONS = 5;
/** The most milliseconds until the clock of the wall shows the next one. */
const WALL_TICK_MS = 5;

/**
 * A line of the log backend with `-msg timestamp=on`, of QEMU 7.2 and before: process, seconds and microseconds since
 * 1970, name, values. Later versions leave the process and the @ out.
 */
const LINE = /^(?:\d+@)?(\d+)\.(\d{6}):([a-z]\w*) ?(.*)$/;

/** The events that QEMU itself traces while the machine runs, for the recorder of the run. */
export class QemuTrace {
  /** For the command line. */
  readonly arguments: readonly string[];
  readonly #log: TraceLog;
  readonly #recorder: MachineRecorder;
  /** Milliseconds since 1970 at the zero of `performance.now()`. */
  readonly #zero = wallClockZero();

  private constructor(patterns: readonly string[], log: string, recorder: MachineRecorder) {
    this.#log = new TraceLog(log);
    this.#recorder = recorder;
    this.arguments = ['-msg', 'timestamp=on', '-D', log, ...patterns.flatMap((pattern) => ['-trace', pattern])];
  }

  /**
   * Has `program` trace the events that match one of `patterns`, into the file `log`. Throws {@link CodedError}
   * `ERR_MACHINE_TRACE` for a pattern that no event matches.
   */
  static async open(
    program: string,
    patterns: readonly string[],
    log: string,
    recorder: MachineRecorder,
  ): Promise<QemuTrace> {
    const names = await listEvents(program);
    for (const pattern of patterns) checkPattern(pattern, names, program);
    return new QemuTrace(patterns, log, recorder);
  }

  /**
   * Tells the recorder of the events, once QEMU has ended, and of what is missing of a log that was too long. Never
   * throws: a log that is not there had no events.
   */
  tell(): void {
    const { text, missing } = this.#log.end();
    let isToldOfCut = missing === 0;
    const tellOfCut = (at: number): void => {
      if (!isToldOfCut) this.#recorder.logCut('QEMU', at, missing);
      isToldOfCut = true;
    };
    for (const line of text.split('\n')) {
      const event = parseTraceLine(line);
      if (event === undefined) continue;
      const at = event.wallMs - this.#zero;
      tellOfCut(at);
      this.#recorder.external(at, event.text);
    }
    // What was kept may have no event.
    tellOfCut(performance.now());
  }
}

/** An event of QEMU's log. */
export interface QemuEvent {
  /** Milliseconds since 1970. */
  readonly wallMs: number;
  /** The name, and the values behind it: `virtqueue_pop vq 0x55 elem 0x56 in_num 1 out_num 2`. */
  readonly text: string;
}

/** Reads a line of QEMU's log; `undefined` for one that is no event, such as a guest error. */
export function parseTraceLine(line: string): QemuEvent | undefined {
  const match = LINE.exec(line);
  if (match === null) return undefined;
  const [, seconds, microseconds, name, values = ''] = match;
  const wallMs = Number(seconds) * 1000 + Number(microseconds) / 1000;
  return { wallMs, text: values.trim() === '' ? name! : `${name} ${values.trim()}` };
}

async function listEvents(program: string): Promise<readonly string[]> {
  try {
    const { stdout } = await promisify(execFile)(program, ['-trace', 'help'], { timeout: LIST_TIMEOUT_MS });
    return stdout.split('\n').map((line) => line.trim());
  } catch (cause) {
    throw new CodedError('ERR_MACHINE_TRACE', `${program} lists no events to trace: ${messageOf(cause)}`, {
      hint: `run \`${program} -trace help\`, and leave machine.trace out where it fails`,
      cause,
    });
  }
}

function checkPattern(pattern: string, names: readonly string[], program: string): void {
  const wanted = new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`);
  if (names.some((name) => wanted.test(name))) return;
  const similar = similarNames(pattern, names);
  throw new CodedError('ERR_MACHINE_TRACE', `machine.trace: ${program} has no event ${pattern}`, {
    hint: similar.length > 0 ? `is it ${similar.join(', ')}?` : `\`${program} -trace help\` lists the events`,
  });
}

/** The first names that have the longest beginning in common with a pattern. */
function similarNames(pattern: string, names: readonly string[]): readonly string[] {
  for (let length = pattern.length; length > 2; length--) {
    const similar = names.filter((name) => name.startsWith(pattern.slice(0, length)));
    if (similar.length > 0) return similar.slice(0, MOST_SUGGESTIONS);
  }
  return [];
}

/** `Date.now()` has milliseconds only: at the moment at which it changes it is exact. */
function wallClockZero(): number {
  const first = Date.now();
  const end = performance.now() + WALL_TICK_MS;
  while (Date.now() === first && performance.now() < end);
  return Date.now() - performance.now();
}
