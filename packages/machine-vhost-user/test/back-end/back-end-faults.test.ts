import { readdirSync } from 'node:fs';
import type { BootedMachine } from '@virtio-platform/core';
import { BlockRing, READ, WRITE } from '@virtio-platform/conformance/testing';
import { DeviceStatus, readDeviceConfig, resetDevice } from '@virtio-platform/core/device';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { ScatterList, SplitVirtqueue, UsedBatch } from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';
import { BLOCK_PROTOCOL, withScripted, type Script } from './script.ts';

/** Protocol features, as masks: MQ, REPLY_ACK, BACKEND_REQ, CONFIG. */
const [MQ, REPLY_ACK, BACKEND_REQ, CONFIG] = [1, 8, 0x20, 0x200];

function protocol(...features: number[]): string {
  return `0x${features.reduce((sum, feature) => sum + feature, 0).toString(16)}`;
}

function physical({ memory }: BootedMachine): DirectDmaMapping {
  return new DirectDmaMapping(memory, { path: 'physical', capacity: 64 });
}

function lost(message: RegExp): unknown {
  return expect.objectContaining({ code: 'ERR_DEVICE_LOST', message: expect.stringMatching(message) });
}

/** Goes to FEATURES_OK. */
function negotiate({ transport }: BootedMachine): void {
  resetDevice(transport);
  transport.writeStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver);
  transport.writeDriverFeatures(FeatureSet.of(VIRTIO_F_VERSION_1));
  transport.writeStatus(transport.readStatus() | DeviceStatus.FeaturesOk);
}

function openQueue(machine: BootedMachine, index: number): SplitVirtqueue {
  return new SplitVirtqueue(machine.memory, physical(machine), {
    index,
    size: 8,
    eventIdx: false,
    indirect: 0,
    legacyLayout: false,
    byteOrder: 'little',
    usedLength: 'strict',
  });
}

/** Enables queues, and returns them. */
function start(machine: BootedMachine, count: number): SplitVirtqueue[] {
  negotiate(machine);
  const queues = Array.from({ length: count }, (_, index) => openQueue(machine, index));
  for (const queue of queues) machine.transport.enableQueue(queue.index, queue.addresses);
  machine.transport.writeStatus(machine.transport.readStatus() | DeviceStatus.DriverOk);
  return queues;
}

describe('a back-end that shares the flags of its descriptors', () => {
  it('C5 cannot make a notification, a wait or a reset block', () =>
    withScripted({ clearsNonBlock: true }, ({ machine }) => {
      const ring = new BlockRing(machine, physical(machine));
      const data = machine.memory.allocate(512);
      const begin = performance.now();
      for (let i = 0; i < 20_000; i++) machine.transport.notify(0, 0);
      expect(ring.request(WRITE, 0, data, 512)).toBe(0);
      machine.transport.wait(0);
      expect(machine.transport.wait(10)).toBe('timeout');
      ring.end();
      expect(performance.now() - begin).toBeLessThan(5000);
    }));

  it('C5 cannot make a wait block, or end early, by taking a notification back', () =>
    withScripted({ clearsNonBlock: true, steals: true }, ({ machine }) => {
      const ring = new BlockRing(machine, physical(machine));
      ring.submit(READ, 0, machine.memory.allocate(512), 512);
      const begin = performance.now();
      const result = machine.transport.wait(100);
      const took = performance.now() - begin;
      // Whichever end is first has the notification.
      const isOurs = result === 'notified';
      expect(machine.transport.usedNotifications?.(0)).toBe(isOurs ? 1 : 0);
      if (!isOurs) expect(took).toBeGreaterThanOrEqual(99);
      expect(took).toBeLessThan(1000);
    }));

  it('C5 that does not read its notifications is notified nevertheless', () =>
    withScripted({ neverReads: true }, ({ machine }) => {
      const ring = new BlockRing(machine, physical(machine));
      for (let i = 0; i < 10_000; i++) machine.transport.notify(0, 0);
      expect(ring.request(READ, 0, machine.memory.allocate(512), 512)).toBe(0);
    }));

  it('C5 that closes the descriptor of the driver is lost, and it is said which', () =>
    withScripted({ closesKick: true }, ({ machine }) => {
      const ring = new BlockRing(machine, physical(machine));
      const closed = lost(/closed the descriptor that notifies it of queue 0/);
      ring.submit(READ, 0, machine.memory.allocate(512), 512);
      expect(machine.transport.wait(1000)).toBe('lost');
      expect(() => machine.transport.readStatus()).toThrow(closed);
    }));
});

describe('notifications of a back-end', () => {
  it('T2 are counted for each queue, where the back-end sent them', () =>
    withScripted({}, ({ machine }) => {
      const ring = new BlockRing(machine, physical(machine));
      const data = machine.memory.allocate(512);
      expect(machine.transport.usedNotifications?.(0)).toBe(0);
      for (let i = 0; i < 3; i++) expect(ring.request(READ, 0, data, 512)).toBe(0);
      machine.transport.wait(0);
      expect(machine.transport.usedNotifications?.(0)).toBe(3);
      expect(machine.transport.usedNotifications?.(1)).toBe(0);
    }));

  it('T2 are not reported by a wait where the back-end sent none', () =>
    withScripted({ neverCalls: true }, ({ machine }) => {
      const ring = new BlockRing(machine, physical(machine));
      ring.submit(READ, 0, machine.memory.allocate(512), 512);
      expect(machine.transport.wait(300)).toBe('timeout');
      expect(ring.status).toBe(0);
      expect(machine.transport.usedNotifications?.(0)).toBe(0);
    }));
});

describe('a back-end that is asked to stop', () => {
  it.each([
    ['exits', { exitAt: 'GET_VRING_BASE' }, /GET_VRING_BASE: it closed the connection/],
    ['hangs', { hangAt: 'GET_VRING_BASE' }, /GET_VRING_BASE: no answer in 300 ms/],
    ['exits after its answer', { exitAfter: 'GET_VRING_BASE' }, /GET_FEATURES: (it closed|the connection is closed)/],
  ])('T5 and %s has not confirmed the reset, and is lost', (_, script, message) =>
    withScripted(
      script,
      ({ machine }) => {
        const { transport } = machine;
        const ring = new BlockRing(machine, physical(machine));
        expect(ring.request(READ, 0, machine.memory.allocate(512), 512)).toBe(0);
        const begin = performance.now();
        expect(() => resetDevice(transport)).toThrow(lost(message));
        expect(() => transport.readStatus()).toThrow(lost(message));
        expect(transport.wait(1000)).toBe('lost');
        expect(performance.now() - begin).toBeLessThan(1500);
      },
      { replyTimeout: 300 },
    ),
  );

  it('I4 and answers 0 has confirmed the reset where the used index is the available index', () =>
    withScripted({ base: 0 }, ({ machine }) => {
      const ring = new BlockRing(machine, physical(machine));
      const data = machine.memory.allocate(512);
      for (let i = 0; i < 3; i++) expect(ring.request(READ, 0, data, 512)).toBe(0);
      resetDevice(machine.transport, 500);
      expect(machine.transport.readStatus()).toBe(0);
    }));

  it('I4 and answers 0 has not confirmed it where a buffer is in flight', () =>
    withScripted({ base: 0, returns: 1 }, ({ machine }) => {
      const ring = new BlockRing(machine, physical(machine));
      const { transport, memory } = machine;
      expect(ring.request(READ, 0, memory.allocate(512), 512)).toBe(0);
      ring.submit(READ, 0, memory.allocate(512), 512);
      expect(() => resetDevice(transport, 300)).toThrow(expect.objectContaining({ code: 'ERR_DEVICE_RESET_TIMEOUT' }));
    }));

  it('and says that it stopped where it cannot have been is lost, and the indices are named', () =>
    withScripted({ base: 77 }, ({ machine }) => {
      const ring = new BlockRing(machine, physical(machine));
      expect(ring.request(READ, 0, machine.memory.allocate(512), 512)).toBe(0);
      const message = /GET_VRING_BASE: it stopped queue 0 at 77, outside of its used index 1 and available index 1/;
      expect(() => resetDevice(machine.transport)).toThrow(lost(message));
    }));
});

describe('queues of a back-end', () => {
  it.each([
    ['net, which counts pairs', 'net', protocol(MQ, REPLY_ACK), 1, 2],
    ['net with more pairs than are used', 'net', protocol(MQ, REPLY_ACK), 8, 2],
    ['net without MQ', 'net', protocol(REPLY_ACK), 1, 2],
    ['console without MQ', 'console', protocol(REPLY_ACK), 1, 2],
    ['entropy without MQ', 'entropy', protocol(REPLY_ACK), 1, 1],
    ['block without MQ', 'block', BLOCK_PROTOCOL, 7, 1],
    ['block', 'block', protocol(MQ, REPLY_ACK, CONFIG), 7, 7],
    ['block with more than there can be', 'block', protocol(MQ, REPLY_ACK, CONFIG), 0xffff_ffff, 256],
  ] as const)('I1 are as many as it has: %s', (_, type, protocolFeatures, queues, expected) =>
    withScripted({ type, protocolFeatures, queues }, ({ machine }) => {
      expect(machine.transport.queueCount).toBe(expected);
    }),
  );

  it('I3 are all set up before any is enabled', () =>
    withScripted({ type: 'net', protocolFeatures: protocol(REPLY_ACK), needs: [0, 1] }, ({ machine, messages }) => {
      const queues = start(machine, 2);
      const steps = messages().filter((name) => /ENABLE|CALL/.test(name));
      expect(steps).toEqual(['SET_VRING_CALL 0', 'SET_VRING_CALL 1', 'SET_VRING_ENABLE 0', 'SET_VRING_ENABLE 1']);
      resetDevice(machine.transport);
      for (const queue of queues) queue.dispose();
    }));

  it('C8 may take only so long to be set up in all, and the reset of what is running so long too', async () => {
    const script = { protocolFeatures: protocol(MQ, REPLY_ACK, CONFIG), queues: 256, delayMs: 20 };
    await withScripted(
      script,
      ({ machine }) => {
        const { transport } = machine;
        negotiate(machine);
        const begin = performance.now();
        const addresses = openQueue(machine, 0).addresses;
        const enable = (): void => {
          for (let queue = 0; queue < 256; queue++) transport.enableQueue(queue, addresses);
        };
        expect(enable).toThrow(lost(/SET_VRING_\w+: it took more than 5000 ms to set up its queues/));
        // All of them take more than 20 s.
        expect(performance.now() - begin).toBeLessThan(15_000);
      },
      // A process needs a part of this to start, too.
      { startTimeout: 5000 },
    );
    await withScripted({ ...script, delayMs: 10 }, ({ machine, messages }) => {
      const { transport } = machine;
      negotiate(machine);
      const addresses = openQueue(machine, 0).addresses;
      for (let queue = 0; queue < 60; queue++) transport.enableQueue(queue, addresses);
      transport.writeStatus(transport.readStatus() | DeviceStatus.DriverOk);
      expect(() => resetDevice(transport, 300)).toThrow(expect.objectContaining({ code: 'ERR_DEVICE_RESET_TIMEOUT' }));
      const stopped = messages().filter((message) => message.includes('GET_VRING_BASE'));
      expect(stopped.length).toBeLessThan(60);
    });
  });
});

describe('configuration of a back-end', () => {
  it('I2 is not demanded of an entropy device, which has none', () =>
    withScripted({ type: 'entropy', protocolFeatures: protocol(REPLY_ACK) }, ({ machine }) => {
      const [queue] = start(machine, 1);
      const { memory, transport } = machine;
      const data = memory.allocate(64);
      const list = new ScatterList(1);
      list.addWritable(data, 64);
      expect(queue!.add(list)).toBeGreaterThanOrEqual(0);
      queue!.publish();
      transport.notify(0, queue!.nextAvailable);
      expect(transport.wait(2000)).toBe('notified');
      expect(queue!.takeUsed(new UsedBatch(4))).toBe(1);
      expect(memory.u8[data + 63]).toBe(0x5a);
      expect(() => transport.readConfig(0, new Uint8Array(4))).toThrow(
        expect.objectContaining({ code: 'ERR_DEVICE_CONFIG' }),
      );
    }));

  it('I2 is not demanded of a console, whose features that have some are then not offered', async () => {
    const features = '0x140000007';
    const shown = async (protocolFeatures: string): Promise<bigint> => {
      let bits = 0n;
      await withScripted({ type: 'console', features, protocolFeatures }, ({ machine }) => {
        bits = machine.transport.readDeviceFeatures().bits;
      });
      return bits;
    };
    expect(await shown(protocol(REPLY_ACK))).toBe(1n << 32n);
    expect(await shown(protocol(REPLY_ACK, CONFIG))).toBe((1n << 32n) + 7n);
  });

  it('I2 is demanded of a block device', async () => {
    const script: Partial<Script> = { protocolFeatures: protocol(REPLY_ACK) };
    await expect(withScripted(script, () => {})).rejects.toMatchObject({
      code: 'ERR_MACHINE_BACK_END',
      message: expect.stringContaining('CONFIG'),
    });
  });

  it.each([
    ['', 1],
    [', which is acknowledged', 9],
  ])('I6 is read again after CONFIG_CHANGE_MSG%s, and the driver is notified', (_, changesConfig) =>
    withScripted(
      { protocolFeatures: protocol(REPLY_ACK, CONFIG, BACKEND_REQ), changesConfig, neverCalls: true },
      async ({ machine, messages }) => {
        const { transport, memory } = machine;
        const ring = new BlockRing(machine, physical(machine));
        const read = (): number => readDeviceConfig(transport, 8, 4).getUint8(0);
        expect(read()).toBe(0);
        const before = transport.configGeneration();
        expect(transport.takeConfigChange?.()).toBe(false);
        ring.submit(READ, 0, memory.allocate(512), 512);
        expect(transport.wait(2000)).toBe('notified');
        expect(transport.usedNotifications?.(0)).toBe(0);
        expect([transport.takeConfigChange?.(), transport.takeConfigChange?.()]).toEqual([true, false]);
        expect(transport.configGeneration()).not.toBe(before);
        expect(read()).toBe(1);
        expect(transport.wait(20)).toBe('timeout');
        if (changesConfig === 9)
          await expect.poll(messages, { timeout: 10_000 }).toContain('CONFIG_CHANGE_MSG answered 2 0');
        // Once for the first read, once for the change, and never for what is known.
        expect(messages().filter((name) => name === 'GET_CONFIG')).toHaveLength(2);
      },
    ),
  );

  it('I6 is told with the next wait where the driver saw its generation first, and not after a reset', () =>
    withScripted(
      { protocolFeatures: protocol(REPLY_ACK, CONFIG, BACKEND_REQ), changesConfig: 1, neverCalls: true },
      async ({ machine }) => {
        const { transport, memory } = machine;
        const ring = new BlockRing(machine, physical(machine));
        const change = async (): Promise<void> => {
          const before = transport.configGeneration();
          ring.submit(READ, 0, memory.allocate(512), 512);
          await expect.poll(() => transport.configGeneration(), { timeout: 10_000 }).not.toBe(before);
        };
        await change();
        expect(transport.takeConfigChange?.()).toBe(false);
        expect([transport.wait(0), transport.takeConfigChange?.()]).toEqual(['notified', true]);
        await change();
        expect(transport.wait(0)).toBe('notified');
        await change();
        resetDevice(transport);
        expect([transport.takeConfigChange?.(), transport.wait(0), transport.takeConfigChange?.()]).toEqual([
          false,
          'timeout',
          false,
        ]);
      },
    ));

  it('I6 is told of no used buffer', () =>
    withScripted({ protocolFeatures: protocol(REPLY_ACK, CONFIG, BACKEND_REQ) }, ({ machine }) => {
      const ring = new BlockRing(machine, physical(machine));
      expect(ring.request(READ, 0, machine.memory.allocate(512), 512)).toBe(0);
      expect(machine.transport.takeConfigChange?.()).toBe(false);
    }));

  it('I6 is asked for each time where the back-end cannot say that it changed', () =>
    withScripted({}, ({ machine, messages }) => {
      readDeviceConfig(machine.transport, 0, 8);
      readDeviceConfig(machine.transport, 0, 8);
      expect(messages().filter((name) => name === 'GET_CONFIG')).toHaveLength(2);
    }));
});

/** The configuration of 12 bytes that a GET_CONFIG of 0 to 8 is answered with. */
const CONFIG_OF_8 = '0000000008000000000000000008000000000000';

describe('an answer of a back-end', () => {
  it.each([
    ['GET_FEATURES', { answers: { GET_FEATURES: '00' } }, /GET_FEATURES: it answered with .* 1 bytes/],
    ['GET_FEATURES', { attachesTo: 'GET_FEATURES' }, /GET_FEATURES: it attached 1 file descriptors/],
    ['GET_PROTOCOL_FEATURES', { answers: { GET_PROTOCOL_FEATURES: '' } }, /GET_PROTOCOL_FEATURES: .* 0 bytes/],
    ['GET_QUEUE_NUM', { answers: { GET_QUEUE_NUM: '00' } }, /GET_QUEUE_NUM: .* 1 bytes/],
    ['GET_QUEUE_NUM', { hangAt: 'GET_QUEUE_NUM' }, /GET_QUEUE_NUM: no answer in 300 ms/],
    ['SET_OWNER', { answers: { SET_OWNER: '0102' } }, /SET_OWNER: .* 2 bytes/],
    ['SET_MEM_TABLE', { attachesTo: 'SET_MEM_TABLE' }, /SET_MEM_TABLE: it attached 1/],
    ['SET_MEM_TABLE', { exitAt: 'SET_MEM_TABLE' }, /SET_MEM_TABLE: it closed/],
  ])('to %s is checked while the machine starts, and the error names it', async (_, script, message) => {
    const before = readdirSync('/proc/self/fd').length;
    const booted = withScripted({ protocolFeatures: protocol(MQ, REPLY_ACK, CONFIG), ...script }, () => {}, {
      replyTimeout: 300,
    });
    await expect(booted).rejects.toEqual(lost(message));
    expect(readdirSync('/proc/self/fd')).toHaveLength(before);
  });

  it('of no queues is refused', async () => {
    const booted = withScripted({ protocolFeatures: protocol(MQ, REPLY_ACK, CONFIG), queues: 0 }, () => {});
    await expect(booted).rejects.toMatchObject({ code: 'ERR_MACHINE_BACK_END' });
  });

  it.each([
    ['nothing', '', 'ERR_DEVICE_CONFIG', /does not have 8 bytes/],
    ['less', CONFIG_OF_8.slice(0, -2), 'ERR_DEVICE_CONFIG', /does not have 8 bytes/],
    ['more', `${CONFIG_OF_8}00`, 'ERR_DEVICE_LOST', /GET_CONFIG: it answered with .* 21 bytes/],
    ['another place', `04${CONFIG_OF_8.slice(2)}`, 'ERR_DEVICE_CONFIG', /GET_CONFIG: .* 8 bytes from 4 on/],
    ['another size', CONFIG_OF_8.replace('08', '09'), 'ERR_DEVICE_CONFIG', /GET_CONFIG: .* 9 bytes from 0 on/],
  ])('to GET_CONFIG that has %s is an error that names it', (_, answer, code, message) =>
    withScripted({ answers: { GET_CONFIG: answer } }, ({ machine }) => {
      expect(() => machine.transport.readConfig(0, new Uint8Array(8))).toThrow(
        expect.objectContaining({ code, message: expect.stringMatching(message) }),
      );
    }),
  );

  it('to GET_CONFIG is an error for what one message cannot carry', () =>
    withScripted({}, ({ machine }) => {
      for (const [offset, length] of [
        [250, 10],
        [-1, 4],
        [256, 1],
      ] as const) {
        expect(() => machine.transport.readConfig(offset, new Uint8Array(length))).toThrow(
          expect.objectContaining({ code: 'ERR_DEVICE_CONFIG' }),
        );
      }
    }));

  it.each([
    ['another queue', '0100000001000000', /GET_VRING_BASE: it answered for queue 1 instead of queue 0/],
    ['more than 16 bits', '0000000001000100', /GET_VRING_BASE: it stopped queue 0 at 65537/],
    ['half of it', '00000000', /GET_VRING_BASE: it answered with .* 4 bytes/],
  ])('to GET_VRING_BASE of %s is an error that names it', (_, answer, message) =>
    withScripted({ answers: { GET_VRING_BASE: answer } }, ({ machine }) => {
      const ring = new BlockRing(machine, physical(machine));
      expect(ring.request(READ, 0, machine.memory.allocate(512), 512)).toBe(0);
      expect(() => resetDevice(machine.transport)).toThrow(lost(message));
    }),
  );

  it('that refuses the features is an error that names the message', () =>
    withScripted({ answers: { SET_FEATURES: '0100000000000000' } }, ({ machine }) => {
      expect(() => negotiate(machine)).toThrow(
        expect.objectContaining({ code: 'ERR_DEVICE_REFUSED', message: expect.stringContaining('SET_FEATURES') }),
      );
    }));

  it('C8 lets timers and signals run while the machine starts, and all of them together have a limit', async () => {
    let ticks = 0;
    const timer = setInterval(() => ticks++, 20);
    const script = { protocolFeatures: protocol(MQ, REPLY_ACK, CONFIG), delayMs: 900 };
    const begin = performance.now();
    const booted = withScripted(script, () => {}, { startTimeout: 4000 });
    await expect(booted).rejects.toEqual(lost(/it took more than 4000 ms to start \(machine\.startTimeout\)/));
    clearInterval(timer);
    expect(performance.now() - begin).toBeLessThan(20_000);
    expect(ticks).toBeGreaterThan(50);
  });
});
