import { describe, expect, it } from 'vitest';
import {
  DEVICE_READY,
  DEVICE_ADD,
  DEVICE_REMOVE,
  PORT_READY,
  CONSOLE_PORT,
  PORT_OPEN,
  PORT_NAME,
} from './control-events.ts';
import { NOTHING_LEFT } from '@virtio-platform/conformance/testing';
import { connect, type Heard, type Message } from './scripted-console.ts';

/** What QEMU answers for each of its ports. */
function likeQemu(ports: readonly number[]): (message: Heard) => readonly Message[] {
  return ([port, event]) => {
    if (event === DEVICE_READY) return ports.map((each): Message => [each, DEVICE_ADD, 1]);
    if (event !== PORT_READY) return [];
    const isConsole: Message[] = port === 0 ? [[port, CONSOLE_PORT, 1]] : [];
    return [...isConsole, [port, PORT_NAME, 1], [port, PORT_OPEN, 1]];
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
      for (const port of ports) expect(model.heard).toContainEqual([port, PORT_READY, 1]);
      expect(new Set(model.heard.map(([port]) => port))).toEqual(new Set([0, ...ports]));
      expect(loop.end(driver)).toEqual(NOTHING_LEFT);
    },
  );

  it('I5 are answered with PORT_OPEN when they are consoles (5.3.6.2.2)', () => {
    const { driver, loop, model } = connect(likeQemu([0, 1]));
    const opened = model.heard.filter(([, event, value]) => event === PORT_OPEN && value === 1).map(([port]) => port);
    expect(opened).toEqual([0, 1, 0]);
    loop.end(driver);
  });

  it('I5 do not count before they are announced, nor after they were taken away', () => {
    const { driver, loop } = connect(([port, event]) => {
      if (event === DEVICE_READY) {
        return [
          [3, PORT_OPEN, 1],
          [0, DEVICE_ADD, 1],
          [1, DEVICE_ADD, 1],
          [31, DEVICE_ADD, 1],
          [0xffff_ffff, DEVICE_ADD, 1],
        ];
      }
      if (event !== PORT_READY) return [];
      return port === 1
        ? [
            [1, DEVICE_REMOVE, 1],
            [1, PORT_OPEN, 1],
          ]
        : [[port, PORT_OPEN, 1]];
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
