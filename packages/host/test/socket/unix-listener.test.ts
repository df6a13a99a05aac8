import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ownTemporaryFolder } from '@virtio-platform/conformance/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { libc } from '../../src/libc.ts';
import { UnixListener, UnixSocket } from '../../src/index.ts';

let folder: ReturnType<typeof ownTemporaryFolder>;
beforeAll(() => {
  folder = ownTemporaryFolder();
});
afterAll(() => folder.remove());

describe('UnixListener', () => {
  it('accepts connections in their order, and none where none waits', () => {
    const listener = new UnixListener(join(folder.path, 'accepts'));
    expect(listener.accept()).toBeUndefined();
    const clients = [UnixSocket.connect(listener.path), UnixSocket.connect(listener.path)];
    clients.forEach((client, i) => client.send(Uint8Array.of(i), [], 1000));
    for (const expected of [0, 1]) {
      const accepted = listener.accept()!;
      const byte = new Uint8Array(1);
      expect([accepted.receive(byte, 1000), byte[0]]).toEqual(['done', expected]);
      accepted.dispose();
    }
    for (const client of clients) client.dispose();
    listener.dispose();
  });

  it('removes its file, unless it is another one by then', () => {
    const path = join(folder.path, 'removed');
    const listener = new UnixListener(path);
    expect(existsSync(path)).toBe(true);
    listener.dispose();
    expect(existsSync(path)).toBe(false);
    const replaced = new UnixListener(path);
    rmSync(path);
    const other = new UnixListener(path);
    replaced.dispose();
    expect(existsSync(path)).toBe(true);
    other.dispose();
  });

  it('takes the place of a socket that was left behind, and of nothing else', () => {
    const path = join(folder.path, 'taken');
    const left = new UnixListener(path);
    // As of a process that was killed: the file stays.
    libc().close(left.descriptor);
    const listener = new UnixListener(path);
    expect(() => new UnixListener(path)).toThrow(/another program listens there/);
    // The program that has it hears nothing of that.
    expect(listener.accept()).toBeUndefined();
    listener.dispose();
    writeFileSync(path, 'mine');
    expect(() => new UnixListener(path)).toThrow(
      expect.objectContaining({
        message: expect.stringMatching(/taken: there is a file of another kind$/),
        errno: 'EADDRINUSE',
        hint: 'choose another path, or remove the file',
      }),
    );
    expect(existsSync(path)).toBe(true);
    expect(() => new UnixListener(join(folder.path, 'x'.repeat(120)))).toThrow(/not the path of a Unix socket/);
  });
});
