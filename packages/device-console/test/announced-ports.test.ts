import { type DeviceModel } from '@virtio-platform/core';
import {
  VIRTIO_CONSOLE_F_MULTIPORT,
  ConsoleDriver,
  consoleQueues,
  VIRTIO_CONSOLE_CONSOLE_PORT,
  VIRTIO_CONSOLE_DEVICE_ADD,
  VIRTIO_CONSOLE_DEVICE_READY,
  VIRTIO_CONSOLE_DEVICE_REMOVE,
  VIRTIO_CONSOLE_PORT_NAME,
  VIRTIO_CONSOLE_PORT_OPEN,
  VIRTIO_CONSOLE_PORT_READY,
} from '@virtio-platform/device-console';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import type { DescriptorChain } from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';
import { DeviceLoop, NOTHING_LEFT } from '@virtio-platform/conformance/testing';

type Message = readonly [port: number, event: number, value: number];

const MULTIPORT = FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_CONSOLE_F_MULTIPORT);
const { DEVICE_ADD, REMOVE, OPEN, CONSOLE_PORT, READY, NAME } = {
  DEVICE_ADD: VIRTIO_CONSOLE_DEVICE_ADD,
  REMOVE: VIRTIO_CONSOLE_DEVICE_REMOVE,
  OPEN: VIRTIO_CONSOLE_PORT_OPEN,
  CONSOLE_PORT: VIRTIO_CONSOLE_CONSOLE_PORT,
  READY: VIRTIO_CONSOLE_PORT_READY,
  NAME: VIRTIO_CONSOLE_PORT_NAME,
};

/** A console with queues for 31 ports, as QEMU's by default, that has the ports that `answer` announces. */
class ScriptedConsole implements DeviceModel {
  readonly features = MULTIPORT;
  readonly queueSizes = Array.from({ length: 64 }, () => 32);
  readonly config = new Uint8Array(12);
  /** What the driver said. */
  readonly heard: Message[] = [];
  readonly #answer: (message: Message) => readonly Message[];
  readonly #waiting: Message[] = [];

  constructor(answer: (message: Message) => readonly Message[]) {
    this.#answer = answer;
  }

  writeConfig(): void {}

  start(): void {}

  forget(): void {}

  dispose(): void {}

  wants(queue: number): boolean {
    return queue === 2 ? this.#waiting.length > 0 : queue === 3;
  }

  process(queue: number, chain: DescriptorChain, space: DeviceAddressSpace): number {
    const bytes = new Uint8Array(8);
    const view = new DataView(bytes.buffer);
    if (queue === 3) {
      space.read(chain.low[0]!, chain.high[0]!, bytes, 0, 8);
      const message: Message = [view.getUint32(0, true), view.getUint16(4, true), view.getUint16(6, true)];
      this.heard.push(message);
      this.#waiting.push(...this.#answer(message));
      return 0;
    }
    const [port, event, value] = this.#waiting.shift()!;
    view.setUint32(0, port, true);
    view.setUint16(4, event, true);
    view.setUint16(6, value, true);
    space.write(chain.low[0]!, chain.high[0]!, bytes, 0, 8);
    return 8;
  }
}

function connect(answer: (message: Message) => readonly Message[]) {
  const model = new ScriptedConsole(answer);
  const loop = new DeviceLoop(model, MULTIPORT);
  const notify = (): void => loop.serve();
  const options = { ports: 31, hasControl: true, depth: 2, bytes: 4096, buffers: 'streaming' } as const;
  const before = loop.memory.allocated;
  const driver = new ConsoleDriver(loop.memory, loop.queues(...consoleQueues(31, true)), {
    ...options,
    byteOrder: 'little',
    notify,
  });
  for (let i = 0; i < 20 && !driver.isConnected; i++) driver.connect();
  return { model, loop, driver, bytes: loop.memory.allocated - before };
}

/** What QEMU answers for each of its ports. */
function likeQemu(ports: readonly number[]): (message: Message) => readonly Message[] {
  return ([port, event]) => {
    if (event === VIRTIO_CONSOLE_DEVICE_READY) return ports.map((each): Message => [each, DEVICE_ADD, 1]);
    if (event !== READY) return [];
    const isConsole: Message[] = port === 0 ? [[port, CONSOLE_PORT, 1]] : [];
    return [...isConsole, [port, NAME, 1], [port, OPEN, 1]];
  };
}

describe('the ports of a console driver', () => {
  it.each([[[0, 1]], [[1, 7]], [[30]], [[0]]])(
    'I5 are those that the device announces, of 31 that it may have: %j',
    (ports) => {
      const { driver, loop, model, bytes } = connect(likeQemu(ports));
      expect([driver.isConnected, driver.links.length]).toEqual([true, ports.length]);
      // Buffers for the ports that there are, and control messages.
      expect(bytes).toBeLessThanOrEqual(ports.length * 2 * 8192 + 24_576);
      for (const port of ports) expect(model.heard).toContainEqual([port, READY, 1]);
      expect(new Set(model.heard.map(([port]) => port))).toEqual(new Set([0, ...ports]));
      expect(loop.end(driver)).toEqual(NOTHING_LEFT);
    },
  );

  it('I5 are answered with PORT_OPEN when they are consoles (5.3.6.2.2)', () => {
    const { driver, loop, model } = connect(likeQemu([0, 1]));
    const opened = model.heard.filter(([, event, value]) => event === OPEN && value === 1).map(([port]) => port);
    expect(opened).toEqual([0, 1, 0]);
    loop.end(driver);
  });

  it('I5 do not count before they are announced, nor after they were taken away', () => {
    const { driver, loop } = connect(([port, event]) => {
      if (event === VIRTIO_CONSOLE_DEVICE_READY) {
        return [
          [3, OPEN, 1],
          [0, DEVICE_ADD, 1],
          [1, DEVICE_ADD, 1],
          [31, DEVICE_ADD, 1],
          [0xffff_ffff, DEVICE_ADD, 1],
        ];
      }
      if (event !== READY) return [];
      return port === 1
        ? [
            [1, REMOVE, 1],
            [1, OPEN, 1],
          ]
        : [[port, OPEN, 1]];
    });
    expect([driver.isConnected, driver.links.length]).toEqual([true, 1]);
    expect(loop.end(driver)).toEqual(NOTHING_LEFT);
  });

  it('I5 are none of a device that announces none: the driver waits', () => {
    const { driver, loop } = connect(() => []);
    expect([driver.isConnected, driver.links.length]).toEqual([false, 0]);
    expect(loop.end(driver)).toEqual(NOTHING_LEFT);
  });
});
