import {
  ConsoleDevice,
  ConsoleDriver,
  type ConsolePort,
  consoleQueues,
  VIRTIO_CONSOLE_F_MULTIPORT,
} from '@virtio-platform/device-console';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DeviceLoop, NOTHING_LEFT, pattern } from '@virtio-platform/conformance/testing';

const MULTIPORT = FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_CONSOLE_F_MULTIPORT);
const PORTS = 5;
const LONGEST = 100;
/** Less than the messages that may be on their way: ports hold transmit buffers back. */
const BACKLOG = 250;
const RUNS = 120;
const LEAST_OPERATIONS = 90;

type Operation =
  | { readonly do: 'send'; readonly id: number; readonly length: number }
  | { readonly do: 'receive' | 'open' | 'close' | 'plug' | 'unplug' | 'hostOpen' | 'hostClose'; readonly id: number }
  | { readonly do: 'resize'; readonly columns: number; readonly rows: number }
  | { readonly do: 'emergency'; readonly character: number };

const id = fc.nat(PORTS - 1);
const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({ do: fc.constant('send' as const), id, length: fc.integer({ min: 1, max: LONGEST }) }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('receive' as const), id }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom('open' as const, 'close', 'plug', 'unplug', 'hostOpen', 'hostClose'),
      id,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('resize' as const), columns: fc.nat(200), rows: fc.nat(200) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('emergency' as const), character: fc.integer({ min: 1, max: 255 }) }),
  },
);

/** A port as it has to be. */
interface Expected {
  readonly name: string;
  readonly isConsole: boolean;
  isOpenHere: boolean;
  isOpenThere: boolean;
  /** What has to come back, in order. */
  pending: number[];
  size: { readonly columns: number; readonly rows: number } | undefined;
}

/** Both halves of a console, and what each port of it has to be and to give back. */
class Consoles {
  readonly model = new ConsoleDevice({
    columns: 80,
    rows: 25,
    queueSize: 32,
    backlog: BACKLOG,
    byteOrder: 'little',
    ports: 3,
    maxPorts: PORTS,
  });
  readonly loop = new DeviceLoop(this.model, MULTIPORT);
  readonly driver = new ConsoleDriver(this.loop.memory, this.loop.queues(...consoleQueues(PORTS, true)), {
    ports: PORTS,
    hasControl: true,
    depth: 3,
    bytes: LONGEST,
    buffers: 'streaming',
    byteOrder: 'little',
    notify: () => this.loop.serve(),
  });
  readonly expected = new Map<number, Expected>();
  readonly #target = new Uint8Array(LONGEST);
  #sent = 0;

  constructor() {
    for (const each of [0, 1, 2]) this.expected.set(each, fresh(each, `echo.${each}`));
    this.settle();
  }

  /** Lets both halves say all that they have to say. */
  settle(): void {
    for (let i = 0; i < 6; i++) {
      this.loop.serve();
      this.driver.poll();
      for (const port of this.driver.ports) port.flush();
    }
  }

  do(each: Operation): void {
    if (each.do === 'resize') {
      const first = this.expected.get(0);
      if (first === undefined) return;
      first.size = { columns: each.columns, rows: each.rows };
      this.model.resize(first.size);
    } else if (each.do === 'emergency') this.writeEmergency(each.character);
    else this.doTo(each, each.id, this.expected.get(each.id), this.driver.port(each.id));
    this.settle();
    this.compare();
  }

  doTo(each: Operation, at: number, there: Expected | undefined, port: ConsolePort | undefined): void {
    if (there === undefined || port === undefined) {
      if (each.do !== 'plug') return;
      const name = `port ${this.#sent++}`;
      this.model.addPort({ id: at, name, console: at === 0 });
      this.expected.set(at, fresh(at, name));
      return;
    }
    switch (each.do) {
      case 'send': {
        const bytes = pattern(each.length, this.#sent++);
        const reason = port.send(bytes, bytes.length);
        if (!(there.isOpenHere && there.isOpenThere)) expect(reason).toBeLessThan(0);
        if (reason === 0) there.pending.push(...bytes);
        port.flush();
        return;
      }
      case 'receive':
        return void this.receive(port, there);
      case 'open':
        port.open();
        there.isOpenHere = true;
        return;
      case 'close':
        // What is on its way may come or not.
        this.drain(port, there);
        port.close();
        there.isOpenHere = false;
        return;
      case 'unplug':
        this.model.removePort(at);
        this.settle();
        this.expected.delete(at);
        // What came before can still be received; the rest is gone.
        while (this.receive(port, there));
        return;
      case 'hostClose':
        this.model.setOpen(at, false);
        there.isOpenThere = false;
        this.settle();
        while (this.receive(port, there));
        there.pending = [];
        return;
      case 'hostOpen':
        this.model.setOpen(at, true);
        there.isOpenThere = true;
        return;
      default:
        return;
    }
  }

  /** Takes one piece, which has to be what is pending. Returns whether there was one. */
  receive(port: ConsolePort, there: Expected): boolean {
    const length = port.receive(this.#target);
    const piece = [...this.#target.subarray(0, length)];
    const right = there.isOpenHere ? there.pending.splice(0, length) : [];
    expect(piece.join(',')).toBe(right.join(','));
    return length > 0;
  }

  /** Takes all that is pending where the port is open. */
  drain(port: ConsolePort, there: Expected): void {
    for (let i = 0; i < 40 && there.pending.length > 0; i++) {
      this.receive(port, there);
      this.settle();
    }
    if (there.isOpenHere && there.isOpenThere) expect(there.pending).toEqual([]);
  }

  writeEmergency(character: number): void {
    const [first, port] = [this.expected.get(0), this.driver.port(0)];
    if (first === undefined || port === undefined || !first.isOpenHere || !first.isOpenThere) return;
    this.drain(port, first);
    this.model.writeConfig(8, new Uint8Array(Uint32Array.of(character).buffer));
    first.pending.push(character);
  }

  /** What the driver half says of its ports is what the device half has. */
  compare(): void {
    const seen = this.driver.ports.map(({ id: at, name, isConsole, isOpen, isOpenHere, isOpenThere, size }) => ({
      at,
      name,
      isConsole,
      isOpen,
      isOpenHere,
      isOpenThere,
      size,
    }));
    const right = [...this.expected]
      .toSorted(([one], [other]) => one - other)
      .map(([at, { name, isConsole, isOpenHere, isOpenThere, size }]) => ({
        at,
        name,
        isConsole,
        isOpen: isOpenHere && isOpenThere,
        isOpenHere,
        isOpenThere,
        size,
      }));
    expect(JSON.stringify([seen, this.driver.violations])).toBe(JSON.stringify([right, { count: 0 }]));
  }

  end(): void {
    for (const [at, there] of this.expected) {
      const port = this.driver.port(at)!;
      if (there.isOpenHere && there.isOpenThere) this.drain(port, there);
    }
    expect(this.loop.end(this.driver)).toEqual(NOTHING_LEFT);
  }
}

/** A console is opened by the driver half itself. */
function fresh(at: number, name: string): Expected {
  return { name, isConsole: at === 0, isOpenHere: at === 0, isOpenThere: true, pending: [], size: undefined };
}

describe('both halves of a console', () => {
  it('agree with a model of each port through 10,000 operations', () => {
    let operations = 0;
    fc.assert(
      fc.property(fc.array(operation, { minLength: LEAST_OPERATIONS, maxLength: LEAST_OPERATIONS + 20 }), (list) => {
        const consoles = new Consoles();
        for (const each of list) consoles.do(each);
        operations += list.length;
        consoles.end();
      }),
      { numRuns: RUNS },
    );
    expect(operations).toBeGreaterThanOrEqual(10_000);
  });
});
