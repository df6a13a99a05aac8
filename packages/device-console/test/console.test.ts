import console, {
  CONSOLE_SETTINGS,
  VIRTIO_CONSOLE_F_MULTIPORT,
  ConsoleDevice,
  ConsoleDriver,
  consoleQueues,
  VIRTIO_CONSOLE_DEVICE_READY,
  VIRTIO_CONSOLE_PORT_OPEN,
  VIRTIO_CONSOLE_PORT_READY,
} from '@virtio-platform/device-console';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import type { ByteOrder } from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';
import { DeviceLoop, hostileChain, NOTHING_LEFT, pattern } from '@virtio-platform/conformance/testing';

const PLAIN = FeatureSet.of(VIRTIO_F_VERSION_1);
const MULTIPORT = FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_CONSOLE_F_MULTIPORT);

function device(ports = 1, byteOrder: ByteOrder = 'little'): ConsoleDevice {
  return new ConsoleDevice({ columns: 80, rows: 25, ports, queueSize: 32, backlog: 6000, byteOrder });
}

/** A control message, little-endian. */
function message(port: number, event: number, value: number): number[] {
  return [...new Uint8Array(Uint32Array.of(port, event | (value << 16)).buffer)];
}

function openPort(loop: DeviceLoop, port: number): void {
  loop.exchange(3, message(port, VIRTIO_CONSOLE_PORT_OPEN, 1));
}

describe('ConsoleDevice', () => {
  it('echoes on port 0 from the start without MULTIPORT, and nowhere else', () => {
    const loop = new DeviceLoop(device(2), PLAIN);
    loop.add(0, [], 16);
    expect(loop.exchange(1, [1, 2, 3])).toEqual([]);
    expect(loop.take(0)).toEqual([[1, 2, 3]]);
    expect(loop.exchange(5, [4])).toBeUndefined();
    expect(loop.exchange(3, message(0, VIRTIO_CONSOLE_DEVICE_READY, 1))).toBeUndefined();
    expect(loop.end()).toEqual(NOTHING_LEFT);
  });

  it('announces its ports and opens them with MULTIPORT', () => {
    const loop = new DeviceLoop(device(2), MULTIPORT);
    for (let i = 0; i < 8; i++) loop.add(2, [], 64);
    loop.exchange(3, message(0, VIRTIO_CONSOLE_DEVICE_READY, 1));
    expect(loop.take(2)).toEqual([message(0, 1, 1), message(1, 1, 1)]);
    loop.exchange(3, message(1, VIRTIO_CONSOLE_PORT_READY, 1));
    expect(loop.take(2)).toEqual([[...message(1, 7, 1), ...Buffer.from('echo.1')], message(1, 6, 1)]);
    loop.exchange(3, message(0, VIRTIO_CONSOLE_PORT_READY, 1));
    expect(loop.take(2)[0]).toEqual(message(0, 4, 1));
    expect(loop.end()).toEqual(NOTHING_LEFT);
  });

  it('serves a port once the driver opened it', () => {
    const loop = new DeviceLoop(device(2), MULTIPORT);
    loop.add(4, [], 8);
    expect(loop.exchange(5, [7])).toBeUndefined();
    openPort(loop, 1);
    expect(loop.take(5)).toEqual([[]]);
    expect(loop.take(4)).toEqual([[7]]);
    loop.end();
  });

  it('holds back what a driver sends and does not read, and loses nothing of it', () => {
    const loop = new DeviceLoop(device(), PLAIN);
    const sent = [pattern(4000, 1), pattern(4000, 2), pattern(4000, 3)];
    for (const bytes of sent) loop.add(1, bytes);
    expect(loop.take(1)).toHaveLength(1);
    const received: number[] = [];
    let transmitted = 1;
    while (received.length < 12_000) {
      loop.add(0, [], 1500);
      transmitted += loop.take(1).length;
      const [piece] = loop.take(0);
      expect(piece).toHaveLength(1500);
      received.push(...piece!);
    }
    expect(transmitted).toBe(3);
    expect(received).toEqual(sent.flatMap((bytes) => [...bytes]));
    expect(loop.end()).toEqual(NOTHING_LEFT);
  });

  it('takes a transmit buffer that is longer than all it can hold', () => {
    const loop = new DeviceLoop(device(), PLAIN);
    loop.add(1, pattern(20_000));
    const received: number[] = [];
    for (let i = 0; i < 5; i++) {
      expect(loop.take(1)).toEqual([]);
      loop.add(0, [], 4000);
      received.push(...loop.take(0)[0]!);
      if (received.length >= 16_000) break;
    }
    expect(loop.take(1)).toEqual([[]]);
    loop.add(0, [], 4000);
    expect([...received, ...loop.take(0)[0]!]).toEqual([...pattern(20_000)]);
    loop.end();
  });

  it('gives a kept buffer back when its port is closed, and forgets what waited', () => {
    const loop = new DeviceLoop(device(), MULTIPORT);
    openPort(loop, 0);
    loop.add(1, pattern(8000));
    expect(loop.take(1)).toEqual([]);
    loop.exchange(3, message(0, VIRTIO_CONSOLE_PORT_OPEN, 0));
    expect(loop.take(1)).toEqual([[]]);
    openPort(loop, 0);
    loop.add(0, [], 16);
    expect(loop.take(0)).toEqual([]);
    expect(loop.end()).toEqual(NOTHING_LEFT);
  });

  it('forgets everything when it starts anew', () => {
    const model = device();
    const loop = new DeviceLoop(model, PLAIN);
    loop.exchange(1, [1, 2, 3]);
    model.start(PLAIN);
    expect(loop.exchange(0, [], 16)).toBeUndefined();
    expect(loop.exchange(1, [4])).toEqual([]);
    expect(loop.take(0)).toEqual([[4]]);
    loop.end();
  });

  it.each([
    ['nothing to read', [], 8],
    ['less than a message', message(0, 6, 1).slice(0, 7), 0],
    ['an unknown event', message(0, 99, 1), 0],
    ['an event that only devices send', message(0, 7, 1), 0],
    ['a port that does not exist', message(2, 6, 1), 0],
    ['a port far away', message(0xffff_ffff, 6, 1), 0],
  ] as const)('ignores a control message with %s', (_, bytes, writable) => {
    const loop = new DeviceLoop(device(2), MULTIPORT);
    loop.add(2, [], 64);
    expect(loop.exchange(3, bytes, writable)).toEqual([]);
    expect(loop.take(2)).toEqual([]);
    expect(loop.exchange(1, [1])).toBeUndefined();
    expect(loop.end()).toEqual(NOTHING_LEFT);
  });

  it('stops listening to a driver that does not read what it is told', () => {
    const loop = new DeviceLoop(device(31), MULTIPORT);
    loop.exchange(3, message(0, VIRTIO_CONSOLE_DEVICE_READY, 1));
    // 31 ports were announced, and each of these is answered with three messages.
    for (let i = 0; i < 20; i++) loop.add(3, message(0, VIRTIO_CONSOLE_PORT_READY, 1));
    expect(loop.take(3)).toHaveLength(11);
    loop.add(2, [], 8);
    expect(loop.take(2)).toHaveLength(1);
    loop.end();
  });

  it('returns a control buffer that is too short empty', () => {
    const loop = new DeviceLoop(device(), MULTIPORT);
    loop.add(2, [], 7);
    loop.exchange(3, message(0, VIRTIO_CONSOLE_DEVICE_READY, 1));
    expect(loop.take(2)).toEqual([[]]);
    loop.end();
  });

  it('returns a receive buffer that it may not write empty, and keeps the bytes', () => {
    const loop = new DeviceLoop(device(), PLAIN);
    loop.exchange(1, [1, 2]);
    expect(loop.exchange(0, [9])).toEqual([]);
    expect(loop.exchange(0, [], 8)).toEqual([1, 2]);
    loop.end();
  });

  it('drops what it cannot read', () => {
    const model = device();
    const loop = new DeviceLoop(model, PLAIN);
    expect(model.process(1, hostileChain([[2 ** 40, 64]], []), loop.space, loop)).toBe(0);
    expect(loop.faults.count).toBe(1);
    expect(model.wants(0)).toBe(false);
    loop.end();
  });

  it.each(['little', 'big'] as const)('takes emergency characters and tells its size, %s-endian', (byteOrder) => {
    const model = device(3, byteOrder);
    const isLittle = byteOrder === 'little';
    const view = new DataView(model.config.buffer);
    expect([view.getUint16(0, isLittle), view.getUint16(2, isLittle), view.getUint32(4, isLittle)]).toEqual([
      80, 25, 3,
    ]);
    for (const character of Buffer.from('panic')) {
      model.writeConfig(8, Uint8Array.from(isLittle ? [character, 0, 0, 0] : [0, 0, 0, character]));
    }
    expect(model.emergency).toBe('panic');
  });
});

describe('the settings of a console', () => {
  it('are 80 columns, 25 rows and one port unless given, and make its device half', () => {
    const model = console.model(CONSOLE_SETTINGS.parse({}), 'little');
    expect([...model.config.subarray(0, 8)]).toEqual([80, 0, 25, 0, 1, 0, 0, 0]);
    expect(model.queueSizes).toHaveLength(4);
    expect(console.model(CONSOLE_SETTINGS.parse({ ports: 31 }), 'little').queueSizes).toHaveLength(64);
  });

  it.each([
    { columns: 80, rows: 25, ports: 32 },
    { columns: 80, rows: 25, ports: 0 },
    { columns: 0 },
    { columns: 0x1_0000 },
    { rows: 0 },
    { rows: 0x1_0000 },
    { rows: 1.5 },
    { ports: '1' },
    { mac: '52:54:00:00:00:01' },
    undefined,
  ])('are not %j', (settings) => {
    expect(CONSOLE_SETTINGS.safeParse(settings).success).toBe(false);
  });
});

describe.each([
  ['premapped', 'little', 3],
  ['streaming', 'little', 1],
  ['premapped', 'big', 31],
] as const)('ConsoleDriver, %s, %s-endian, %i ports', (buffers, byteOrder, ports) => {
  function connect(loop: DeviceLoop, hasControl: boolean, count: number): ConsoleDriver {
    const queues = loop.queues(...consoleQueues(count, hasControl));
    const notify = (): void => loop.serve();
    const options = { ports: count, hasControl, depth: 2, bytes: 100, buffers, byteOrder, notify };
    const driver = new ConsoleDriver(loop.memory, queues, options);
    for (let i = 0; i < 50 && !driver.isConnected; i++) driver.connect();
    expect(driver.isConnected).toBe(true);
    return driver;
  }

  it('opens every port and gets back on each what it sent there', () => {
    const loop = new DeviceLoop(device(ports, byteOrder), MULTIPORT, byteOrder);
    const driver = connect(loop, true, ports);
    expect(driver.links).toHaveLength(ports);
    driver.links.forEach((link, port) => {
      expect(link.send(pattern(100, port), 100)).toBe(0);
      link.flush();
    });
    driver.links.forEach((link, port) => {
      const target = new Uint8Array(101);
      expect(link.receive(target)).toBe(100);
      expect(target.subarray(0, 100)).toEqual(pattern(100, port));
      expect(link.receive(target)).toBe(0);
    });
    expect(loop.end(driver)).toEqual(NOTHING_LEFT);
  });

  it('uses port 0 at once without MULTIPORT', () => {
    const loop = new DeviceLoop(device(ports, byteOrder), PLAIN, byteOrder);
    const driver = connect(loop, false, 1);
    const [link] = driver.links;
    link!.send(pattern(10), 10);
    link!.flush();
    const target = new Uint8Array(100);
    expect(link!.receive(target)).toBe(10);
    expect(loop.end(driver)).toEqual(NOTHING_LEFT);
  });
});
