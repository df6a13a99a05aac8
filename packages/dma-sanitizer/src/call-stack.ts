import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The number of frames of one stack in a finding. */
const MOST_FRAMES = 8;
/** The number of frames that are captured to find them: frames of the core and of the sanitizer come first. */
const DEPTH = 40;

/** The folders of the core and of the sanitizer, whose frames say nothing to the user of a driver. */
const OWN_FOLDERS: readonly string[] = [dirname(fileURLToPath(import.meta.url)), ...coreFolders()].map(
  (folder) => `${folder}/`,
);

/**
 * What records and times a run stands between the driver and the sanitizer: its frames say nothing to the user either.
 */
const RECORDER = /^(?:Recorded\w+|TimedVirtqueue)\..*[/\\](?:trace|runner)[/\\](?:src|dist)[/\\]/;

/**
 * The folders of the core's sources and of its build; none in a bundle, which has the core in the sanitizer's own file.
 */
function coreFolders(): string[] {
  try {
    const core = dirname(createRequire(import.meta.url).resolve('@virtio-platform/core/package.json'));
    return ['src', 'dist'].map((folder) => `${core}/${folder}`);
  } catch {
    return [];
  }
}

/** The place in a program where something was done. It is captured cheaply and made readable only when it is read. */
export class CallStack {
  readonly #error: Error;

  /** Captures the stack of the caller. */
  constructor() {
    const before = Error.stackTraceLimit;
    Error.stackTraceLimit = DEPTH;
    this.#error = new Error();
    Error.stackTraceLimit = before;
  }

  /**
   * From the innermost frame outside of the core and the sanitizer outwards: `BlockDriver.submit
   * (/…/driver.ts:211:30)`.
   */
  get frames(): string[] {
    const frames = (this.#error.stack ?? '').split('\n').slice(1).map(frameOf);
    const ofProgram = frames.filter((frame) => !/\(?node:/.test(frame));
    const first = ofProgram.findIndex(
      (frame) => !RECORDER.test(frame) && !OWN_FOLDERS.some((folder) => frame.includes(folder)),
    );
    return ofProgram.slice(first < 0 ? ofProgram.length : first, MOST_FRAMES + Math.max(first, 0));
  }
}

function frameOf(line: string): string {
  return line.trim().replace(/^at /, '').replace('file://', '');
}
