import { execFileSync } from 'node:child_process';
import { readSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { KickPipe } from '../src/index.ts';

/** The path of a source file of the package, as a literal of a program. */
function source(name: string): string {
  return JSON.stringify(fileURLToPath(new URL(`../src/${name}.ts`, import.meta.url)));
}

describe('KickPipe', () => {
  it('gives the other process 8 bytes for each notification, as an event counter does', () => {
    const kick = new KickPipe();
    expect(kick.signal()).toBe(true);
    expect(kick.signal()).toBe(true);
    const bytes = Buffer.alloc(64);
    expect(readSync(kick.descriptor, bytes)).toBe(16);
    expect([bytes.readBigUInt64LE(0), bytes.readBigUInt64LE(8)]).toEqual([1n, 1n]);
    expect(() => readSync(kick.descriptor, bytes)).toThrow(/EAGAIN/);
    kick.dispose();
  });

  it('C5 never waits: a full pipe is a notification, also where the other process cleared O_NONBLOCK', () => {
    const program = `
      const { KickPipe } = await import(${source('kick-pipe')});
      const { libc } = await import(${source('libc')});
      const kick = new KickPipe();
      const F_SETFL = 4, F_SETPIPE_SZ = 1031;
      console.log(libc().fcntl(kick.descriptor, F_SETFL, 0), libc().fcntl(kick.descriptor, F_SETPIPE_SZ, 4096));
      let sent = 0;
      for (let i = 0; i < 20000; i++) if (kick.signal()) sent++;
      console.log(sent);`;
    const args = ['--import', 'tsx', '--conditions=@virtio-platform/source', '--input-type=module', '-e', program];
    const printed = execFileSync(process.execPath, args, { encoding: 'utf8', timeout: 20_000 });
    expect(printed.trim().split('\n')).toEqual(['0 4096', '20000']);
  });

  it('says that no process reads it any more', () => {
    const kick = new KickPipe();
    kick.closeReadEnd();
    kick.closeReadEnd();
    expect(kick.signal()).toBe(false);
    expect(() => kick.descriptor).toThrow(TypeError);
    kick.dispose();
  });

  it('throws after dispose', () => {
    const kick = new KickPipe();
    kick.dispose();
    kick.dispose();
    expect(() => kick.descriptor).toThrow(TypeError);
    expect(() => kick.signal()).toThrow(TypeError);
  });
});
