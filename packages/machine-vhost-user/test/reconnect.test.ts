import { readFileSync } from 'node:fs';
import { BlockRing, READ, watchCalls, WRITE } from '@virtio-platform/conformance/testing';
import type { BootedMachine } from '@virtio-platform/core';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { describe, expect, it } from 'vitest';
import { withScripted } from './back-end/script.ts';
import { SKIP, withMachine } from './storage-daemon.ts';

const SECTOR = 512;
const reconnect = { attempts: 100, interval: 20 };
const machine = { reconnect };

function open(booted: BootedMachine): BlockRing {
  return new BlockRing(booted, new DirectDmaMapping(booted.memory, { path: 'physical', capacity: 64 }));
}

/** The process id of the storage daemon that this process started last. */
function storageDaemon(): number {
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ').filter(Boolean);
  const found = children.findLast((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('qemu-storage-dae'));
  return Number(found ?? 0);
}

describe.skipIf(SKIP)('a storage daemon that was killed, which keeps no record of what is in flight', () => {
  it('is started again, and the driver goes on where nothing was in flight', () =>
    withMachine({ machine }, (booted) => {
      const ring = open(booted);
      const data = booted.memory.allocate(SECTOR);
      for (let round = 0; round < 3; round++) {
        booted.memory.u8.fill(round + 1, data, data + SECTOR);
        expect(ring.request(WRITE, round, data, SECTOR)).toBe(0);
        process.kill(storageDaemon(), 'SIGKILL');
        booted.memory.u8.fill(0, data, data + SECTOR);
        for (let waits = 0; booted.statistics?.()['back-end']?.['reconnects'] !== round + 1; waits++) {
          expect(waits).toBeLessThan(reconnect.attempts);
          expect(booted.transport.wait(100)).not.toBe('lost');
        }
        expect(ring.request(READ, round, data, SECTOR)).toBe(0);
        expect(booted.memory.u8[data + SECTOR - 1]).toBe(round + 1);
      }
      expect(booted.statistics?.()['back-end']).toEqual({ reconnects: 3 });
      ring.end();
    }));

  it('is started again for a reset, and for a read of the configuration', () =>
    withMachine({ machine }, (booted) => {
      const ring = open(booted);
      process.kill(storageDaemon(), 'SIGKILL');
      const capacity = new Uint8Array(8);
      booted.transport.readConfig(0, capacity);
      expect(new DataView(capacity.buffer).getUint32(0, true)).toBe(8192);
      process.kill(storageDaemon(), 'SIGKILL');
      ring.end();
      const next = open(booted);
      expect(next.request(READ, 0, booted.memory.allocate(SECTOR), SECTOR)).toBe(0);
      next.end();
    }));

  it('is lost where a buffer was in flight, and it is said why', () =>
    withMachine({ machine }, (booted) => {
      const ring = open(booted);
      const data = booted.memory.allocate(SECTOR);
      expect(ring.request(WRITE, 0, data, SECTOR)).toBe(0);
      const pid = storageDaemon();
      process.kill(pid, 'SIGSTOP');
      ring.submit(WRITE, 1, data, SECTOR);
      process.kill(pid, 'SIGKILL');
      expect(ring.finish(10_000)).toBe('lost');
      expect(() => booted.transport.readStatus()).toThrow(
        /there again without INFLIGHT_SHMFD, and which 1 buffers of queue 0 were in flight is not known/,
      );
    }));

  it('is started again for a driver that watches', () =>
    withMachine({ machine }, async (booted) => {
      const nextCall = watchCalls(booted.transport);
      const ring = open(booted);
      const data = booted.memory.allocate(SECTOR);
      for (let round = 0; round < 3; round++) {
        booted.memory.u8.fill(round + 1, data, data + SECTOR);
        expect(await ring.requestWatched(nextCall, WRITE, round, data, SECTOR)).toBe(0);
        process.kill(storageDaemon(), 'SIGKILL');
        for (let calls = 0; booted.statistics?.()['back-end']?.['reconnects'] !== round + 1; calls++) {
          await nextCall();
          booted.transport.wait(0);
          expect(calls).toBeLessThan(reconnect.attempts);
        }
        expect(await ring.requestWatched(nextCall, READ, round, data, SECTOR)).toBe(0);
        expect(booted.memory.u8[data]).toBe(round + 1);
      }
      ring.end();
    }));

  it('is lost without machine.reconnect', () =>
    withMachine({}, (booted) => {
      const ring = open(booted);
      process.kill(storageDaemon(), 'SIGKILL');
      ring.submit(READ, 0, booted.memory.allocate(SECTOR), SECTOR);
      expect(ring.finish()).toBe('lost');
    }));
});

describe('a back-end that is there again', () => {
  it('and ends each time is tried so often as the profile says, and is lost then', () =>
    withScripted(
      { exitAt: 'SET_VRING_ENABLE' },
      ({ machine: { transport, memory } }) => {
        const booted = { transport, memory } as BootedMachine;
        expect(() => open(booted)).toThrow(/SET_VRING_ENABLE: .*not reached again: .*5 attempts/);
        expect(transport.wait(0)).toBe('lost');
      },
      { reconnect: { attempts: 5, interval: 1 } },
    ));

  for (const [name, script, said] of [
    ['no file', {}, /GET_INFLIGHT_FD: its answer has no file descriptor/],
    ['a socket', { attachesTo: 'GET_INFLIGHT_FD' }, /it gave 0 bytes from 0 on in a descriptor that is no file/],
  ] as const) {
    it(`and gives ${name} for its record is lost`, () =>
      withScripted(
        { protocolFeatures: '0x1208', ...script },
        ({ machine: booted }) => {
          expect(() => open(booted)).toThrow(said);
          expect(booted.transport.wait(0)).toBe('lost');
        },
        { reconnect },
      ));
  }
});
