import { NO_BUFFER } from '@virtio-platform/device-kit';
import { type ConsoleEvent } from '@virtio-platform/device-console';
import * as fc from 'fast-check';
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
import { NOTHING_LEFT } from '@virtio-platform/conformance/testing';
import { connect, type Message } from './scripted-console.ts';

const text = (name: string): Uint8Array => new TextEncoder().encode(name);
const size = (columns: number, rows: number): Uint8Array => new Uint8Array(Uint16Array.of(columns, rows).buffer);

/** A console that announced ports 0 and 1, of which the first is a console, and both are open. */
function connected(): ReturnType<typeof connect> {
  return connect(([port, event]) => {
    if (event === DEVICE_READY)
      return [
        [0, DEVICE_ADD, 1],
        [1, DEVICE_ADD, 1],
      ];
    if (event !== PORT_READY) return [];
    const isConsole: Message[] = port === 0 ? [[port, CONSOLE_PORT, 1]] : [];
    return [...isConsole, [port, PORT_OPEN, 1]];
  });
}

/** What the driver tells of once the device said these. */
function after({ model, driver, loop }: ReturnType<typeof connect>, ...said: Message[]): string[] {
  driver.poll();
  model.say(...said);
  loop.serve();
  const events: ConsoleEvent[] = [];
  for (let i = 0; i < 6; i++) events.push(...driver.poll());
  return events.map((event) => `${event.kind} ${event.kind === 'failed' ? event.id : event.port.id}`);
}

describe('what the device says of its ports', () => {
  it.each([
    ['a name', [1, PORT_NAME, 1, text('org.example.agent')], 'org.example.agent'],
    ['a name with a terminator, as QEMU sends it', [1, PORT_NAME, 1, text('agent\0')], 'agent'],
    ['a name with more behind its terminator', [1, PORT_NAME, 1, text('agent\0more')], 'agent'],
    ['a name that is not ASCII', [1, PORT_NAME, 1, text('Ü ☃')], 'Ü ☃'],
    ['a name that is not UTF-8', [1, PORT_NAME, 1, Uint8Array.of(0x61, 0xff)], 'a\ufffd'],
    ['no name', [1, PORT_NAME, 1], ''],
    ['the longest name', [1, PORT_NAME, 1, text('n'.repeat(504))], 'n'.repeat(504)],
  ] as const)('is %s', (_, message, name) => {
    const setup = connected();
    expect(after(setup, message)).toEqual(['named 1']);
    expect(setup.driver.port(1)!.name).toBe(name);
    expect(setup.driver.violations.count).toBe(0);
    expect(setup.loop.end(setup.driver)).toEqual(NOTHING_LEFT);
  });

  it('is a size, columns first, also with more behind it', () => {
    const setup = connected();
    const longer = new Uint8Array(100);
    longer.set(size(132, 43));
    expect(after(setup, [0, RESIZE, 0, longer])).toEqual(['resized 0']);
    expect(setup.driver.port(0)!.size).toEqual({ columns: 132, rows: 43 });
    expect(after(setup, [0, RESIZE, 0, size(132, 43)])).toEqual([]);
    setup.loop.end(setup.driver);
  });

  it('is that it closes and opens its side: nothing can be sent meanwhile', () => {
    const setup = connected();
    const port = setup.driver.port(1)!;
    expect(after(setup, [1, PORT_OPEN, 0])).toEqual(['closed 1']);
    expect([port.isOpen, port.isOpenHere, port.isOpenThere]).toEqual([false, true, false]);
    expect(port.send(Uint8Array.of(1), 1)).toBe(NO_BUFFER);
    expect(after(setup, [1, PORT_OPEN, 7])).toEqual(['opened 1']);
    expect(port.isOpen).toBe(true);
    setup.loop.end(setup.driver);
  });

  it('is that a port goes and comes again, as another one', () => {
    const setup = connected();
    const { driver, model } = setup;
    const port = driver.port(1)!;
    expect(after(setup, [1, DEVICE_REMOVE, 1])).toEqual(['removed 1']);
    expect([driver.ports.map(({ id }) => id), port.isPresent, port.isOpen]).toEqual([[0], false, false]);
    expect(port.send(Uint8Array.of(1), 1)).toBe(NO_BUFFER);
    port.open();
    port.close();
    const before = model.heard.length;
    expect(after(setup, [1, DEVICE_ADD, 1])).toEqual(['added 1', 'opened 1']);
    expect(model.heard.slice(before)).toEqual([[1, PORT_READY, 1]]);
    expect(driver.port(1)).not.toBe(port);
    expect(driver.port(1)!.isOpenHere).toBe(false);
    expect(port.receive(new Uint8Array(4096))).toBe(0);
    expect(setup.loop.end(driver)).toEqual(NOTHING_LEFT);
  });

  it('is answered as Linux does where a port is added that is there: QEMU does so', () => {
    const setup = connected();
    const before = setup.model.heard.length;
    expect(after(setup, [1, DEVICE_ADD, 1])).toEqual([]);
    expect(setup.model.heard.slice(before)).toEqual([[1, PORT_READY, 1]]);
    expect(setup.driver.violations.count).toBe(0);
    setup.loop.end(setup.driver);
  });

  it('is, from QEMU, that a port is open before it is added: that has no effect, and breaks no rule', () => {
    const setup = connected();
    expect(after(setup, [5, PORT_OPEN, 1], [5, DEVICE_ADD, 1])).toEqual(['added 5', 'opened 5']);
    expect(setup.driver.violations.count).toBe(0);
    setup.loop.end(setup.driver);
  });

  it.each([
    ['nothing', new Uint8Array(0), /fewer than 8 bytes/],
    ['less than a message', new Uint8Array(7), /fewer than 8 bytes/],
    ['an unknown event', [1, 99, 1], /unknown event 99 of port 1/],
    ['an event that only drivers send', [1, PORT_READY, 1], /unknown event 3/],
    ['a port behind the last', [31, DEVICE_ADD, 1], /DEVICE_ADD of port 31/],
    ['a port far away', [0xffff_ffff, DEVICE_ADD, 1], /DEVICE_ADD of port 4294967295/],
    ['the end of a port that is not there', [5, DEVICE_REMOVE, 1], /port 5, which is not there/],
    ['the name of a port that is not there', [5, PORT_NAME, 1, text('x')], /port 5, which is not/],
    ['a size that is cut', [0, RESIZE, 0, new Uint8Array(3)], /RESIZE of port 0 without a size/],
    ['the size of what is no console', [1, RESIZE, 0, size(1, 1)], /port 1, which is no console/],
  ] as const)('has no effect where it is %s', (_, message, first) => {
    const setup = connected();
    const before = setup.model.heard.length;
    expect(after(setup, message)).toEqual([]);
    expect(setup.model.heard).toHaveLength(before);
    expect(setup.driver.violations.count).toBe(1);
    expect(setup.driver.violations.first).toMatch(first);
    expect(setup.driver.isConnected).toBe(true);
    expect(setup.loop.end(setup.driver)).toEqual(NOTHING_LEFT);
  });

  it('is anything at all, and the driver half survives it', () => {
    const message = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.tuple(fc.nat(3), fc.nat(9), fc.nat(2), fc.uint8Array({ maxLength: 20 })),
    );
    fc.assert(
      fc.property(fc.array(message, { maxLength: 60 }), (said) => {
        const setup = connected();
        after(setup, ...said);
        for (const port of setup.driver.ports) port.open();
        setup.driver.poll();
        expect(setup.loop.end(setup.driver)).toEqual(NOTHING_LEFT);
      }),
      { numRuns: 40 },
    );
  });
});

describe('a port of a console', () => {
  it('takes messages of 1 byte up to the longest, and needs a target for the longest', () => {
    const setup = connected();
    const port = setup.driver.port(1)!;
    const bytes = new Uint8Array(5000);
    expect(port.messageBytes).toBe(4096);
    for (const length of [0, -1, 4097, NaN]) expect(() => port.send(bytes, length)).toThrow(RangeError);
    expect(() => port.send(new Uint8Array(3), 4)).toThrow(RangeError);
    expect(() => port.receive(new Uint8Array(4095))).toThrow(RangeError);
    expect(port.send(bytes, 4096)).toBe(0);
    setup.loop.end(setup.driver);
  });

  it('is not open before the device took the message that opens it', () => {
    const setup = connected();
    const port = setup.driver.port(1)!;
    port.close();
    port.open();
    expect([port.isOpenHere, port.isOpen]).toEqual([true, false]);
    setup.driver.poll();
    setup.driver.poll();
    expect(port.isOpen).toBe(true);
    expect(setup.model.heard.slice(-2)).toEqual([
      [1, PORT_OPEN, 0],
      [1, PORT_OPEN, 1],
    ]);
    setup.loop.end(setup.driver);
  });
});
