/** Frames of one stack in a finding. */
const MOST_FRAMES = 8;
/** Frames looked at to find them: those of the core come first, and are left out. */
const DEPTH = 40;

/** Where the core is: its own frames say nothing to the user of a driver. */
const CORE = new URL('..', import.meta.url).href;
const CORE_PATH = decodeURIComponent(new URL(CORE).pathname);

/** Where something was done. Captured cheaply, and made readable only when somebody looks. */
export class CallStack {
  readonly #error: Error;

  /** Of whoever calls. */
  constructor() {
    const before = Error.stackTraceLimit;
    Error.stackTraceLimit = DEPTH;
    this.#error = new Error();
    Error.stackTraceLimit = before;
  }

  /** From the innermost frame outside of the core outwards: `BlockDriver.submit (/…/driver.ts:211:30)`. */
  get frames(): string[] {
    const frames = (this.#error.stack ?? '').split('\n').slice(1).map(frameOf);
    const own = frames.filter((frame) => !/\(?node:/.test(frame));
    const first = own.findIndex((frame) => !frame.includes(CORE_PATH));
    return own.slice(first < 0 ? own.length : first, MOST_FRAMES + Math.max(first, 0));
  }
}

function frameOf(line: string): string {
  return line.trim().replace(/^at /, '').replace('file://', '');
}
