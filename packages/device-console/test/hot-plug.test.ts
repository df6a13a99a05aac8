import {
  CONSOLE_SETTINGS,
  ConsoleDevice,
  VIRTIO_CONSOLE_F_MULTIPORT,
  type ConsoleChange,
} from '@virtio-platform/device-console';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { describe, expect, it } from 'vitest';
import {
  DEVICE_READY,
  DEVICE_ADD,
  DEVICE_REMOVE,
  PORT_READY,
  CONSOLE_PORT,
  RESIZE,
  PORT_OPEN,
  PORT_NAME,
} from './control-events.ts';
import { DeviceLoop, NOTHING_LEFT, pattern } from '@virtio-platform/conformance/testing';

const PLAIN = FeatureSet.of(VIRTIO_F_VERSION_1);
const MULTIPORT = FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_CONSOLE_F_MULTIPORT);

function device(changes: readonly ConsoleChange[] = []): ConsoleDevice {
  const ports = [
    { id: 0, console: true },
    { id: 2, console: false, name: 'agent' },
  ];
  return new ConsoleDevice({ columns: 80, rows: 25, ports, maxPorts: 4, changes, queueSize: 32, byteOrder: 'little' });
}

function message(port: number, event: number, value: number, behind: readonly number[] = []): number[] {
  return [...new Uint8Array(Uint32Array.of(port, event | (value << 16)).buffer), ...behind];
}

/** Gives buffers for control messages, and returns what came in those before. */
function heard(loop: DeviceLoop): number[][] {
  const came = loop.take(2).map((bytes) => [...bytes]);
  for (let i = 0; i < came.length; i++) loop.add(2, [], 64);
  loop.serve();
  return came;
}

/** A driver that said that it is ready, for ports 0 and 2 too, and opened them. */
function ready(model: ConsoleDevice): DeviceLoop {
  const loop = new DeviceLoop(model, MULTIPORT);
  for (let i = 0; i < 16; i++) loop.add(2, [], 64);
  loop.exchange(3, message(0, DEVICE_READY, 1));
  for (const port of [0, 2]) {
    loop.exchange(3, message(port, PORT_READY, 1));
    loop.exchange(3, message(port, PORT_OPEN, 1));
  }
  loop.serve();
  heard(loop);
  return loop;
}

const queueOf = (port: number): number => (port === 0 ? 0 : 2 * port + 2);

describe('a console whose ports come and go', () => {
  it('announces a port that is plugged, and gives back what is sent there once it is ready and open', () => {
    const model = device();
    const loop = ready(model);
    model.addPort({ id: 3, console: true, name: 'late' });
    expect(heard(loop)).toEqual([message(3, DEVICE_ADD, 1)]);
    loop.exchange(3, message(3, PORT_READY, 1));
    expect(heard(loop)).toEqual([
      message(3, CONSOLE_PORT, 1),
      message(3, PORT_NAME, 1, [...Buffer.from('late')]),
      message(3, PORT_OPEN, 1),
    ]);
    loop.exchange(3, message(3, PORT_OPEN, 1));
    loop.exchange(9, [1, 2, 3]);
    expect(loop.exchange(8, [], 8)).toEqual([1, 2, 3]);
    expect(model.plugged.map(({ id }) => id)).toEqual([0, 2, 3]);
    expect(loop.end()).toEqual(NOTHING_LEFT);
  });

  it('announces a port once: with DEVICE_READY where it was plugged before, and not with a second', () => {
    const model = device();
    const loop = new DeviceLoop(model, MULTIPORT);
    for (let i = 0; i < 8; i++) loop.add(2, [], 64);
    model.addPort({ id: 1, console: false });
    expect(heard(loop)).toEqual([]);
    for (let i = 0; i < 2; i++) loop.exchange(3, message(0, DEVICE_READY, 1));
    expect(heard(loop)).toEqual([0, 1, 2].map((port) => message(port, DEVICE_ADD, 1)));
    loop.exchange(3, message(0, DEVICE_READY, 0));
    model.addPort({ id: 3, console: false });
    expect(heard(loop)).toEqual([]);
    loop.end();
  });

  it('gives back the buffers of a port that is unplugged, and drops what is sent there from then on', () => {
    const model = device();
    const loop = ready(model);
    loop.add(7, pattern(20_000));
    expect(loop.take(7)).toEqual([]);
    model.removePort(2);
    expect(loop.take(7)).toEqual([[]]);
    expect(heard(loop)).toEqual([message(2, DEVICE_REMOVE, 1)]);
    expect(loop.exchange(7, [1])).toEqual([]);
    expect(loop.exchange(6, [], 8)).toBeUndefined();
    loop.exchange(3, message(2, PORT_OPEN, 1));
    expect(heard(loop)).toEqual([]);
    expect(loop.end()).toEqual(NOTHING_LEFT);
  });

  it('drops what a driver sent to the port before, until it says that the next one is ready', () => {
    const model = device();
    const loop = ready(model);
    model.removePort(2);
    model.addPort({ id: 2, console: false, name: '' });
    heard(loop);
    expect(loop.exchange(7, [1])).toEqual([]);
    loop.exchange(3, message(2, PORT_READY, 1));
    expect(heard(loop)).toEqual([message(2, PORT_OPEN, 1)]);
    loop.exchange(3, message(2, PORT_OPEN, 1));
    loop.exchange(7, [2]);
    expect(loop.exchange(6, [], 8)).toEqual([2]);
    loop.end();
  });

  it('says that it closes its side, and drops what it has and what comes', () => {
    const model = device();
    const loop = ready(model);
    loop.exchange(7, [1]);
    model.setOpen(2, false);
    model.setOpen(2, false);
    expect(heard(loop)).toEqual([message(2, PORT_OPEN, 0)]);
    expect(loop.exchange(7, [2])).toEqual([]);
    model.setOpen(2, true);
    loop.exchange(7, [3]);
    expect(loop.exchange(6, [], 8)).toEqual([3]);
    loop.end();
  });

  it('says its size to the console that has it, and that of port 0 in its configuration', () => {
    const model = device();
    const loop = ready(model);
    let changes = 0;
    model.connect({ configChanged: () => changes++, queueChanged: () => {} });
    model.resize({ columns: 132, rows: 43 });
    expect([...model.config.subarray(0, 4)]).toEqual([132, 0, 43, 0]);
    expect(heard(loop)).toEqual([message(0, RESIZE, 0, [132, 0, 43, 0])]);
    model.addPort({ id: 1, console: true, name: '' });
    model.resize({ columns: 1, rows: 2 }, 1);
    heard(loop);
    loop.exchange(3, message(1, PORT_READY, 1));
    expect(heard(loop)[1]).toEqual(message(1, RESIZE, 0, [1, 0, 2, 0]));
    expect(changes).toBe(1);
    loop.end();
  });

  it.each([
    ['is there', (model: ConsoleDevice) => model.addPort({ id: 2, console: false })],
    ['is not there', (model: ConsoleDevice) => model.removePort(1)],
    ['cannot be', (model: ConsoleDevice) => model.addPort({ id: 4, console: false })],
    ['is not there to be closed', (model: ConsoleDevice) => model.setOpen(3, false)],
    ['is no console', (model: ConsoleDevice) => model.resize({ columns: 1, rows: 1 }, 2)],
    ['gets no size', (model: ConsoleDevice) => model.resize({ columns: 0x1_0000, rows: 1 })],
  ])('refuses a port that %s', (_, call) => {
    expect(() => call(device())).toThrow(RangeError);
  });

  it('does as its settings say, after so many messages, and from the first one again with the next driver', () => {
    const model = device([
      { after: 4, resize: { port: 0, columns: 100, rows: 30 } },
      { after: 2, remove: 2 },
      { after: 2, add: { id: 1, console: false, name: 'b' } },
      { after: 3, close: 0 },
      { after: 3, open: 0 },
    ]);
    const loop = ready(model);
    loop.exchange(1, [1]);
    expect(heard(loop)).toEqual([]);
    loop.exchange(7, [1]);
    expect(heard(loop)).toEqual([message(2, DEVICE_REMOVE, 1), message(1, DEVICE_ADD, 1)]);
    loop.exchange(7, [1]);
    expect(heard(loop)).toEqual([message(0, PORT_OPEN, 0), message(0, PORT_OPEN, 1)]);
    loop.exchange(1, [1]);
    expect(heard(loop)).toHaveLength(1);
    model.start(MULTIPORT);
    expect(model.plugged.map(({ id }) => id)).toEqual([0, 2]);
    loop.end();
  });

  it.each([
    ['READY of no port', message(1, PORT_READY, 1)],
    ['READY of a port without queues', message(30, PORT_READY, 1)],
    ['OPEN of no port', message(1, PORT_OPEN, 1)],
    ['READY that failed', message(2, PORT_READY, 0)],
    ['an event of devices', message(2, DEVICE_REMOVE, 1)],
    ['a message with a tail', [...message(1, PORT_READY, 1), 1, 2, 3]],
  ])('ignores %s', (_, bytes) => {
    const model = device();
    const loop = ready(model);
    expect(loop.exchange(3, bytes)).toEqual([]);
    expect(heard(loop)).toEqual([]);
    expect(model.plugged).toHaveLength(2);
    loop.end();
  });

  it('survives data on the queues of control messages, and control messages on those of data', () => {
    const loop = ready(device());
    expect(loop.exchange(3, pattern(500))).toEqual([]);
    loop.add(2, message(2, PORT_READY, 1));
    loop.exchange(1, message(2, PORT_READY, 1));
    expect(loop.exchange(0, [], 64)).toEqual(message(2, PORT_READY, 1));
    for (let queue = 0; queue < 10; queue++) loop.add(queue, [1], 3);
    loop.serve();
    expect(loop.end()).toEqual(NOTHING_LEFT);
  });
});

describe('emergency characters', () => {
  it('come back from the first console, before and without anything else', () => {
    const model = device();
    const loop = ready(model);
    for (const character of [0x141, 0x42]) model.writeConfig(8, new Uint8Array(Uint32Array.of(character).buffer));
    expect(model.emergency).toBe('AB');
    expect(loop.exchange(queueOf(0), [], 1)).toEqual([0x41]);
    expect(loop.exchange(queueOf(0), [], 9)).toEqual([0x42]);
    loop.end();
  });

  it('are taken before the device is started, and without MULTIPORT', () => {
    const model = device();
    model.writeConfig(8, Uint8Array.of(0x43, 0, 0, 0));
    expect(model.emergency).toBe('C');
    const loop = new DeviceLoop(model, PLAIN);
    model.writeConfig(8, Uint8Array.of(0x44, 0, 0, 0));
    expect(loop.exchange(0, [], 4)).toEqual([0x44]);
    for (let i = 0; i < 1000; i++) model.writeConfig(8, Uint8Array.of(0x45, 0, 0, 0));
    expect(model.emergency).toHaveLength(256);
    loop.end();
  });
});

describe('the settings of the ports', () => {
  it('are a number of ports, or a list with what is particular about each', () => {
    expect(CONSOLE_SETTINGS.parse({ ports: [{ id: 0 }, { id: 3, name: 'x', console: true }] })).toMatchObject({
      ports: [
        { id: 0, console: true },
        { id: 3, name: 'x', console: true },
      ],
      maxPorts: 4,
    });
    expect(CONSOLE_SETTINGS.parse({ ports: 2, changes: [{ after: 1, add: { id: 7 } }] }).maxPorts).toBe(8);
    expect(CONSOLE_SETTINGS.parse({ changes: [{ after: 1, resize: { columns: 1, rows: 2 } }] }).changes).toEqual([
      { after: 1, resize: { port: 0, columns: 1, rows: 2 } },
    ]);
  });

  it.each([
    [{ ports: 32 }, /<=31/],
    [{ ports: 'two' }, /must be a number of ports, 1 to 31, or a list/],
    [{ ports: [{ id: 1 }, { id: 1 }] }, /port 1 is there twice/],
    [{ ports: [{ id: 31 }] }, /<=30/],
    [{ ports: [{ id: 1, name: 'ü'.repeat(128) }] }, /at most 255 bytes/],
    [{ ports: [{ id: 1, name: 'a\0' }] }, /NUL/],
    [{ ports: [{ id: 1, nmae: 'a' }] }, /nmae/],
    [{ ports: [] }, />=1/],
    [{ ports: 3, maxPorts: 2 }, /port 2 needs at least 3/],
    [{ maxPorts: 32 }, /<=31/],
    [{ changes: [{ after: 1 }] }, /one of add, remove/],
    [{ changes: [{ after: 1, remove: 0, add: { id: 1 } }] }, /one of add, remove/],
    [{ changes: [{ after: 0, remove: 0 }] }, />=1/],
    [{ changes: [{ after: 1, add: { id: 0 } }] }, /port 0 is there after 1 messages/],
    [{ changes: [{ after: 1, remove: 5 }] }, /port 5 is not there/],
    [
      {
        changes: [
          { after: 2, add: { id: 1 } },
          { after: 1, remove: 1 },
        ],
      },
      /port 1 is not there after 1/,
    ],
    [{ changes: [{ after: 1, open: 0 }] }, /port 0 is open after 1/],
    [{ changes: [{ after: 1, close: 3 }] }, /port 3 is not there/],
    [{ ports: 2, changes: [{ after: 1, resize: { port: 1, columns: 1, rows: 1 } }] }, /port 1 is no console/],
    [{ changes: [{ after: 1, resize: { columns: 0, rows: 1 } }] }, />=1/],
  ])('are not %j', (settings, problem) => {
    const parsed = CONSOLE_SETTINGS.safeParse(settings);
    expect(parsed.success).toBe(false);
    expect(JSON.stringify(parsed.error?.issues)).toMatch(problem);
  });
});
