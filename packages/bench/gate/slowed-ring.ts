import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GATE_ENDS, type GateEnd } from './gate-limits.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const SCOPE = '@virtio-platform';

/** Requests of a batch in the gate. */
const BATCH = 32;

/**
 * Of each end: its class, and the head of the method that is called once for each batch. What is called for each
 * request is inlined, and would not be any more.
 */
const SLOWED: Readonly<Record<GateEnd, readonly [string, string]>> = {
  'split/driver': ['SplitVirtqueue', 'publish() {'],
  'split/device': ['SplitDeviceQueue', 'publishUsed(ring, moved) {'],
  'packed/driver': ['PackedVirtqueue', 'publish() {'],
  'packed/device': ['PackedDeviceQueue', 'publishUsed(ring, moved) {'],
};

/** A copy of what is built, in which each batch does something more that is of no use. */
export class SlowedRing {
  /** The program of the copy that measures. */
  readonly worker: string;
  readonly #folder: string = mkdtempSync(join(tmpdir(), 'virtio-platform-slowed-'));

  /** Copies what is built here. `steps` is how many useless steps a request of each end does, of about 1 ns each. */
  constructor(steps: Readonly<Record<GateEnd, number>>) {
    const scope = join(this.#folder, 'node_modules', SCOPE);
    mkdirSync(scope, { recursive: true });
    for (const name of readdirSync(join(ROOT, 'packages'))) {
      for (const part of ['package.json', 'dist'])
        cpSync(join(ROOT, 'packages', name, part), join(scope, name, part), { recursive: true, force: true });
    }
    for (const name of readdirSync(join(ROOT, 'node_modules'))) {
      if (name !== SCOPE && !name.startsWith('.'))
        symlinkSync(join(ROOT, 'node_modules', name), join(this.#folder, 'node_modules', name));
    }
    for (const end of GATE_ENDS) slow(join(scope, 'core', 'dist'), end, steps[end]);
    this.worker = join(scope, 'bench', 'dist', 'measure-worker.js');
  }

  dispose(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Puts useless steps at the beginning of the method. Throws TypeError where what is built does not have it. */
function slow(dist: string, end: GateEnd, steps: number): void {
  const [name, method] = SLOWED[end];
  const head = new RegExp(`\\bclass ${name}\\b|\\b${name} = class\\b`);
  for (const file of readdirSync(dist, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.js'))) {
    const path = join(dist, file);
    const text = readFileSync(path, 'utf8');
    const from = text.search(head);
    const at = from < 0 ? -1 : text.indexOf(method, from);
    if (at < 0) continue;
    const behind = at + method.length;
    const useless =
      ` let useless = globalThis.uselessSteps | 0;` +
      ` for (let i = 0; i < ${steps * BATCH}; i++) useless = (Math.imul(useless, 1664525) + 1013904223) | 0;` +
      ` if (useless === 1) globalThis.uselessSteps = useless;`;
    writeFileSync(path, text.slice(0, behind) + useless + text.slice(behind));
    return;
  }
  throw new TypeError(`what is built has no ${name}.${method}`);
}
