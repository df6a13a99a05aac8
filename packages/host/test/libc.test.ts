import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { hostProblem } from '../src/index.ts';

const INDEX = fileURLToPath(new URL('../src/index.ts', import.meta.url));

/** Runs a program in a fresh process that has nothing of this package loaded. */
function run(program: string): string {
  const args = ['--import', 'tsx', '--conditions=@virtio-platform/source', '--input-type=module', '-e', program];
  return execFileSync(process.execPath, args, { encoding: 'utf8' }).trim();
}

describe('the C library', () => {
  it('can be used here', () => {
    expect(hostProblem()).toBeUndefined();
  });

  it('is not loaded by importing the package', () => {
    const program = `
      await import('reflect-metadata');
      const { hostProblem } = await import(${JSON.stringify(INDEX)});
      const { createRequire } = await import('node:module');
      const { cache } = createRequire(import.meta.url);
      const loaded = () => Object.keys(cache).some((name) => name.includes('koffi'));
      console.log(loaded(), hostProblem(), loaded());`;
    expect(run(program)).toBe('false undefined true');
  });

  it('is refused by a coded error on another operating system, at use and not at import', () => {
    const program = `
      await import('reflect-metadata');
      Object.defineProperty(process, 'platform', { value: 'win32' });
      const { SharedMemory } = await import(${JSON.stringify(INDEX)});
      try { SharedMemory.create(4096); console.log('created'); } catch (error) { console.log(error.code, error.hint !== undefined); }`;
    expect(run(program)).toBe('ERR_HOST_UNSUPPORTED true');
  });
});
