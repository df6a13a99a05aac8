import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { ownTemporaryFolder } from '@virtio-platform/conformance/testing';
import { UnixListener, UnixSocket } from '@virtio-platform/host';
import { sendMessage, VHOST_USER_REQUESTS } from '@virtio-platform/vhost-user';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandHere, type CommandResult } from './command.ts';

let folder: ReturnType<typeof ownTemporaryFolder>;
beforeAll(() => {
  folder = ownTemporaryFolder();
});
afterAll(() => folder.remove());

const pathOf = (name: string): string => join(folder.path, name);

/** Connects to a server in this process once it listens. */
async function connect(path: string): Promise<UnixSocket> {
  for (const end = performance.now() + 10_000; !existsSync(path); await setTimeout(5))
    if (performance.now() > end) throw new Error(`no server at ${path}`);
  return UnixSocket.connect(path);
}

/** Serves one front-end, which says something that cannot be, and ends. */
async function serveOnce(socket: string, ...words: string[]): Promise<CommandResult> {
  const served = commandHere(['serve', 'block-4k', '--socket', socket, '--once', ...words], folder.path, 80);
  const frontEnd = await connect(socket);
  sendMessage(frontEnd, { request: VHOST_USER_REQUESTS.GET_QUEUE_NUM, flags: 0, payload: new Uint8Array(0) }, 1000);
  const result = await served;
  frontEnd.dispose();
  return result;
}

/** What is offered with a layout of the queues. */
async function offeredWith(layout: string): Promise<string | undefined> {
  const words = ['--set', 'device.offers=[VERSION_1, RING_PACKED]', '--set', `queue.layout=${layout}`];
  const { stdout } = await serveOnce(pathOf(`${layout}.sock`), ...words);
  return stdout.split('\n')[1];
}

describe('serve', () => {
  it('says what happens in lines of the terminal, and removes its socket', async () => {
    const socket = pathOf('text.sock');
    const { status, stdout, stderr } = await serveOnce(socket);
    expect([status, stderr, existsSync(socket)]).toEqual([0, '', false]);
    const lines = stdout.trimEnd().split('\n');
    expect(lines[0]).toBe(`serving block of block-4k at ${socket}`);
    expect(lines[1]).toMatch(/^ {2}offers BLK_SIZE_MAX, BLK_SEG_MAX, /);
    expect(lines).toContain('connected');
    expect(stdout.replaceAll(/\n +/g, ' ')).toContain(
      'the front-end sent GET_QUEUE_NUM without having accepted the protocol feature MQ; the connection ends',
    );
    expect(lines.at(-1)).toBe('disconnected 0 buffers, 0 notifications of the driver, 0 for it');
    expect(lines.filter((line) => line.length > 80 && !line.includes(socket))).toEqual([]);
  });

  it('refuses a trace and a page in one file', async () => {
    const words = ['serve', 'profiles/block-4k.yaml', '--socket', 'here.sock', '--trace', 'same', '--report', 'same'];
    const { status, stderr } = await commandHere(words);
    expect([status, stderr]).toEqual([2, expect.stringContaining('both write to same')]);
  });

  it('says the same in objects', async () => {
    const { status, stdout } = await serveOnce(pathOf('json.sock'), '--json');
    expect(status).toBe(0);
    const events: unknown[] = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const statistics = { buffers: 0, kicks: 0, calls: 0, misses: 0, faults: 0 };
    expect(events).toMatchObject([
      { kind: 'listening', path: pathOf('json.sock'), offers: expect.arrayContaining(['VERSION_1', 'BLK_FLUSH']) },
      { kind: 'connected' },
      { kind: 'problem', by: 'front-end' },
      { kind: 'disconnected', statistics },
    ]);
  });

  it('ends with status 1 and a report where a driver breaks a rule of a strict device', async () => {
    const socket = pathOf('strict.sock');
    const [trace, page] = [pathOf('serve.trace.json'), pathOf('serve.html')];
    const words = ['--strict=fail', '--trace', trace, '--report', page, '--poll', '50'];
    const served = commandHere(['serve', 'block-4k', '--socket', socket, ...words], folder.path, 80);
    const frontEnd = await connect(socket);
    const payload = new Uint8Array(new BigUint64Array([1n << 50n]).buffer);
    sendMessage(frontEnd, { request: VHOST_USER_REQUESTS.SET_FEATURES, flags: 0, payload }, 1000);
    const { status, stdout } = await served;
    frontEnd.dispose();
    expect(status).toBe(1);
    const text = stdout.replaceAll(/\n +/g, ' ');
    expect(text).toContain('DRV-FEATURE-NOT-OFFERED');
    expect(text).toContain('virtio 1.4 §2.2.1 do accept only bits that the device offers');
    expect(text).toContain('the device needs a reset, and ends: DRV-FEATURE-NOT-OFFERED');
    expect(text).toContain('what the driver did: 1 mistake DRV-FEATURE-NOT-OFFERED: 1 time');
    expect(readFileSync(trace, 'utf8')).toContain('DRV-FEATURE-NOT-OFFERED');
    expect(readFileSync(page, 'utf8')).toContain('DRV-FEATURE-NOT-OFFERED');
  });

  it('says that a driver broke no rule', async () => {
    const { status, stdout } = await serveOnce(pathOf('right.sock'), '--strict');
    expect([status, stdout.trimEnd().split('\n').at(-1)]).toEqual([0, 'the driver broke no rule']);
  });

  it('offers the layout of the queues of the profile', async () => {
    expect(await offeredWith('packed')).toBe('  offers VERSION_1, RING_PACKED');
    expect(await offeredWith('split')).toBe('  offers VERSION_1');
  });

  it('needs a socket, a profile that is right, and a path at which no other program listens', async () => {
    const noSocket = await commandHere(['serve', 'block-4k']);
    expect([noSocket.status, noSocket.stderr]).toEqual([2, expect.stringContaining('--socket <path>')]);
    const noProfile = await commandHere(['serve', 'missing.yaml', '--socket', pathOf('none.sock')]);
    expect([noProfile.status, noProfile.stderr]).toEqual([2, expect.stringContaining('ERR_PROFILE_NOT_FOUND')]);
    const listener = new UnixListener(pathOf('taken.sock'));
    const taken = await commandHere(['serve', 'block-4k', '--socket', listener.path]);
    listener.dispose();
    expect([taken.status, taken.stderr]).toEqual([1, expect.stringMatching(/another program listens there/)]);
    writeFileSync(pathOf('file'), '');
    const file = await commandHere(['serve', 'block-4k', '--socket', pathOf('file')]);
    expect([file.status, file.stderr]).toEqual([1, expect.stringMatching(/there is a file of another kind/)]);
  });

  it('says which device it serves where a profile makes several runs', async () => {
    const socket = pathOf('several.sock');
    const served = commandHere(['serve', 'block-multiqueue', '--socket', socket, '--once'], folder.path);
    (await connect(socket)).dispose();
    const { status, stderr } = await served;
    expect(status).toBe(0);
    expect(stderr).toMatch(/makes 2 runs; this is the device of the first, block-multiqueue \[/);
  });
});
