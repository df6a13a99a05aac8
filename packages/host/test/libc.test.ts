import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { hostProblem } from '../src/index.ts';

const INDEX = fileURLToPath(new URL('../src/index.ts', import.meta.url));

/** Runs a program in a new process, in which this package is not loaded yet. */
function run(program: string): string {
  const args = ['--import', 'tsx', '--conditions=@virtio-platform/source', '--input-type=module', '-e', program];
  return execFileSync(process.execPath, args, { encoding: 'utf8' }).trim();
}

describe('the C library', () => {
  it('can be called on this computer', () => {
    expect(hostProblem()).toBeUndefined();
  });

  it('is not loaded by importing the package', () => {
    const program = `
      const { hostProblem } = await import(${JSON.stringify(INDEX)});
      const { createRequire } = await import('node:module');
      const { cache } = createRequire(import.meta.url);
      const loaded = () => Object.keys(cache).some((name) => name.includes('koffi'));
      console.log(loaded(), hostProblem(), loaded());`;
    expect(run(program)).toBe('false undefined true');
  });

  it('throws a coded error on another operating system at the first call, and not at import', () => {
    const program = `
      Object.defineProperty(process, 'platform', { value: 'win32' });
      const { SharedMemory } = await import(${JSON.stringify(INDEX)});
      try {
        SharedMemory.create(4096);
        console.log('created');
      } catch (error) {
        console.log(error.code, error.hint !== undefined);
      }`;
    expect(run(program)).toBe('ERR_HOST_UNSUPPORTED true');
  });
});
