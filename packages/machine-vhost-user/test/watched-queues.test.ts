import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { BlockRing, READ, watchCalls, WRITE } from '@virtio-platform/conformance/testing';
import type { BootedMachine } from '@virtio-platform/core';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { describe, expect, it } from 'vitest';
import { withScripted } from './back-end/script.ts';
import { SKIP, withMachine } from './storage-daemon.ts';

function open(machine: BootedMachine): BlockRing {
  return new BlockRing(machine, new DirectDmaMapping(machine.memory, { path: 'physical', capacity: 64 }));
}

/** Process ids of the children of this process. */
function children(): number[] {
  return readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
}

describe.skipIf(SKIP)('the queues of a vhost-user back-end that a driver watches', () => {
  it('tell of each notification of qemu-storage-daemon, also after a reset', () =>
    withMachine({}, async (machine) => {
      const nextCall = watchCalls(machine.transport);
      const data = machine.memory.allocate(512);
      for (let start = 0; start < 3; start++) {
        const ring = open(machine);
        for (let round = 0; round < 200; round++) {
          machine.memory.u8.fill(round, data, data + 512);
          expect(await ring.requestWatched(nextCall, WRITE, round, data, 512)).toBe(0);
          machine.memory.u8.fill(0, data, data + 512);
          expect(await ring.requestWatched(nextCall, READ, round, data, 512)).toBe(0);
          expect(machine.memory.u8[data + 511]).toBe(round);
        }
        // A device that was always faster than the look of its driver notified of the first buffer at least.
        machine.transport.wait(0);
        expect(machine.transport.usedNotifications?.(0)).toBeGreaterThan(0);
        ring.end();
      }
    }));

  it('still end a wait that blocks', () =>
    withMachine({}, async (machine) => {
      machine.transport.watch?.(() => {});
      const ring = open(machine);
      const data = machine.memory.allocate(512);
      for (let round = 0; round < 20; round++) expect(ring.request(WRITE, round, data, 512)).toBe(0);
      // The notification of the last buffer may come after the driver found that buffer by looking.
      for (let late = 0; late < 20 && machine.transport.wait(50) === 'notified'; late++);
      expect(machine.transport.wait(1)).toBe('timeout');
      ring.end();
    }));

  it('tell of a back-end that was killed while nothing was in flight', async () => {
    const before = children();
    await withMachine({}, async (machine) => {
      const nextCall = watchCalls(machine.transport);
      const ring = open(machine);
      const data = machine.memory.allocate(512);
      expect(await ring.requestWatched(nextCall, WRITE, 0, data, 512)).toBe(0);
      for (const child of children()) {
        const command = readFileSync(`/proc/${child}/cmdline`, 'utf8');
        if (!before.includes(child) && command.startsWith('qemu-storage-daemon')) process.kill(child, 'SIGKILL');
      }
      await nextCall();
      while (machine.transport.wait(0) === 'notified') await nextCall();
      expect(machine.transport.wait(0)).toBe('lost');
    });
  });
});

describe('a back-end that shares descriptors with a driver that watches', () => {
  it('C5 cannot make the event loop block by clearing O_NONBLOCK', () =>
    withScripted({ clearsNonBlock: true }, async ({ machine }) => {
      const nextCall = watchCalls(machine.transport);
      const ring = open(machine);
      const data = machine.memory.allocate(512);
      for (let round = 0; round < 50; round++) expect(await ring.requestWatched(nextCall, WRITE, 0, data, 512)).toBe(0);
      while (machine.transport.wait(0) === 'notified');
      expect(machine.transport.wait(0)).toBe('timeout');
      ring.end();
    }));

  it.each([1, 9])('tells of a changed configuration with flags %i', (changesConfig) =>
    withScripted({ changesConfig, neverCalls: true, protocolFeatures: '0x228' }, async ({ machine }) => {
      const nextCall = watchCalls(machine.transport);
      const ring = open(machine);
      const generation = machine.transport.configGeneration();
      ring.submit(READ, 0, machine.memory.allocate(512), 512);
      await nextCall();
      expect(machine.transport.wait(0)).toBe('notified');
      expect(machine.transport.takeConfigChange?.()).toBe(true);
      expect(machine.transport.configGeneration()).not.toBe(generation);
    }),
  );

  it('tells of a changed configuration when a notification is there at each wait', () =>
    withScripted({ changesConfig: 1, protocolFeatures: '0x228' }, async ({ machine }) => {
      const ring = open(machine);
      const data = machine.memory.allocate(512);
      for (let round = 0; round < 2; round++) {
        ring.submit(READ, 0, data, 512);
        await setTimeout(200);
        expect(machine.transport.wait(0)).toBe('notified');
      }
      expect(machine.transport.takeConfigChange?.()).toBe(true);
    }));
});
