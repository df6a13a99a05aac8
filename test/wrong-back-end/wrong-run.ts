import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('wrong-back-end.c', import.meta.url));
export const NEEDS = 'needs gcc libc6-dev';

/** CI installs a compiler and must not skip these tests. */
export const canCompile: boolean = ((): boolean => {
  try {
    execFileSync('gcc', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return process.env['CI'] !== undefined;
  }
})();

/** A run over the wrong back-end: the words of its command line behind the bug, and how it is driven. */
export interface WrongRun {
  readonly bug: string;
  readonly options?: readonly string[];
  readonly depth: number;
  readonly requests: number;
  /** More of the section `driver`: `usedLength: clamp`. */
  readonly driver?: string;
}

/** The compiled back-end, and profiles that run over it. */
export class WrongBackEnd implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'virtio-platform-wrong-'));
  readonly #program = join(this.#folder, 'wrong-back-end');
  #profiles = 0;

  constructor() {
    execFileSync('gcc', ['-O1', '-Wall', '-Wextra', '-Werror', SOURCE, '-o', this.#program]);
  }

  /** Writes a profile with the name `wrong`, and returns its path. */
  profile({ bug, options = [], depth, requests, driver }: WrongRun): string {
    const path = join(this.#folder, `${this.#profiles++}.yaml`);
    const layout = options.includes('packed') ? 'packed' : 'split';
    writeFileSync(
      path,
      `profile: wrong
platform: { use: "@virtio-platform/platform-legacy" }
machine:
  use: "@virtio-platform/machine-vhost-user"
  memory: 16MiB
  replyTimeout: 500
  command: [${[this.#program, '"{socket}"', bug, ...options].join(', ')}]
device: { type: block${options.includes('two-queues') ? ', queues: 2' : ''} }
driver: { timeout: 500ms${driver === undefined ? '' : `, ${driver}`} }
queue: { layout: ${layout}, size: 64 }
workload: { kind: write-read-verify, requests: ${requests}, depth: ${depth}, blockSize: 4096, seed: 7 }
`,
    );
    return path;
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }
}
