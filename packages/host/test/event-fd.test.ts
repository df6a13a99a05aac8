import { execFileSync } from 'node:child_process';
import { writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { EventFd } from '../src/index.ts';

/** What a device does to notify: it adds to the counter. */
function add(event: EventFd, value: bigint): void {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  writeSync(event.descriptor, bytes);
}

/** The path of a source file of the package, as a literal of a program. */
function source(name: string): string {
  return JSON.stringify(fileURLToPath(new URL(`../src/${name}.ts`, import.meta.url)));
}

describe('EventFd', () => {
  it('returns how many notifications were sent since the last call', () => {
    const event = new EventFd();
    expect(event.drain()).toBe(0);
    add(event, 1n);
    add(event, 2n);
    expect(event.drain()).toBe(3);
    expect(event.drain()).toBe(0);
    add(event, 2n ** 40n + 5n);
    expect(event.drain()).toBe(2 ** 40 + 5);
    add(event, 2n ** 64n - 2n);
    expect(event.drain()).toBe(2 ** 64);
    expect(event.drain()).toBe(0);
    event.dispose();
  });

  // A process that waits for ever cannot end itself, so the test ends it.
  it('C5 never waits where the other process cleared O_NONBLOCK, which is a flag of both', () => {
    const program = `
      const { EventFd } = await import(${source('event-fd')});
      const { libc } = await import(${source('libc')});
      const event = new EventFd();
      const F_GETFL = 3, F_SETFL = 4, O_NONBLOCK = 0x800;
      libc().fcntl(event.descriptor, F_SETFL, libc().fcntl(event.descriptor, F_GETFL, 0) & ~O_NONBLOCK);
      console.log(libc().fcntl(event.descriptor, F_GETFL, 0) & O_NONBLOCK, event.drain(), event.drain());`;
    const args = ['--import', 'tsx', '--conditions=@virtio-platform/source', '--input-type=module', '-e', program];
    const printed = execFileSync(process.execPath, args, { encoding: 'utf8', timeout: 20_000 });
    expect(printed.trim()).toBe('0 0 0');
  });

  it('throws after dispose', () => {
    const event = new EventFd();
    event.dispose();
    event.dispose();
    expect(() => event.descriptor).toThrow(TypeError);
    expect(() => event.drain()).toThrow(TypeError);
  });
});
