import { bindMachine } from '@virtio-platform/conformance/testing';
import { describe, expect, it } from 'vitest';
import plugin from '../src/index.ts';
import { vhostUserOptionsSchema, type VhostUserOptions } from '../src/options.ts';
import { VhostUserMachine } from '../src/vhost-user-machine.ts';

const OPTIONS: VhostUserOptions = {
  startTimeout: 1000,
  replyTimeout: 1000,
  iotlb: { fill: 'on-miss', writeImpliesRead: false },
};

describe('the vhost-user plugin', () => {
  it('binds the machine', () => {
    expect(bindMachine(plugin, { ...OPTIONS, socket: 'socket' }).machine).toBeInstanceOf(VhostUserMachine);
  });

  it('takes a socket or a command, and fills in the rest', () => {
    expect(vhostUserOptionsSchema.parse({ socket: 'x' })).toEqual({
      socket: 'x',
      startTimeout: 10_000,
      replyTimeout: 5000,
      iotlb: { fill: 'on-miss', writeImpliesRead: false },
      dirtyLog: false,
    });
    expect(vhostUserOptionsSchema.parse({ socket: 'x', reconnect: {} }).reconnect).toEqual({
      attempts: 100,
      interval: 100,
    });
    expect(vhostUserOptionsSchema.parse({ command: ['x', 'path={socket}'] }).command).toHaveLength(2);
  });

  it.each([
    ['neither socket nor command', {}],
    ['both', { socket: 'x', command: ['x', '{socket}'] }],
    ['a command that is not told its socket', { command: ['x', '{image}'] }],
    ['an unknown key', { socket: 'x', sockets: 'y' }],
    ['a timeout of nothing', { socket: 'x', replyTimeout: 0 }],
  ])('refuses %s', (_, options) => {
    expect(vhostUserOptionsSchema.safeParse(options).success).toBe(false);
  });

  it('finds out what is missing by the options', async () => {
    expect(await plugin.missing({ ...OPTIONS, socket: 'anywhere' })).toEqual([]);
    expect(await plugin.missing({ ...OPTIONS, command: ['sh', '{socket}'] })).toEqual([]);
    expect(await plugin.missing({ ...OPTIONS, command: [process.execPath, '{socket}'] })).toEqual([]);
    expect(await plugin.missing({ ...OPTIONS, command: ['/nowhere/qemu-storage-daemon', '{socket}'] })).toEqual([
      expect.objectContaining({ fix: expect.stringContaining('qemu-system-common') }),
    ]);
    expect(await plugin.missing({ ...OPTIONS, command: ['no-such-back-end', '{socket}'] })).toHaveLength(1);
  });
});
