/** A port as a profile describes it. */
export interface ConsolePortSettings {
  /** 0 to 30. */
  readonly id: number;
  /**
   * At most 255 bytes of UTF-8, without a NUL; no name where it is empty. What {@link portName} says unless given.
   */
  readonly name?: string | undefined;
  /** Whether it is a console, such as a shell runs on. */
  readonly console: boolean;
}

/** One thing that happens to a console while it is used, and when. */
export interface ConsoleChange {
  /** The number of messages that the device took on all ports, after which it happens. */
  readonly after: number;
  /** A port is plugged. */
  readonly add?: ConsolePortSettings | undefined;
  /** The port of this number is unplugged. */
  readonly remove?: number | undefined;
  /** The device closes its side of a port, as where the program of the host ends. */
  readonly close?: number | undefined;
  /** The device opens its side of a port again. */
  readonly open?: number | undefined;
  /** A console gets another size, in characters. */
  readonly resize?: { readonly port: number; readonly columns: number; readonly rows: number } | undefined;
}

/** The name that a device gives a port. */
export function portName({ id, name = `echo.${id}` }: ConsolePortSettings): string {
  return name;
}

/** The ports 0 to `count` - 1, of which the first is a console. */
export function firstPorts(count: number): ConsolePortSettings[] {
  return Array.from({ length: count }, (_, id) => ({ id, console: id === 0 }));
}

/** Changes in the order in which they happen. */
export function inOrder(changes: readonly ConsoleChange[]): ConsoleChange[] {
  return changes.toSorted((one, other) => one.after - other.after);
}

/** Ports for which a console that changes so has queues, at least. */
export function leastPorts(ports: readonly ConsolePortSettings[], changes: readonly ConsoleChange[]): number {
  const added = changes.flatMap(({ add }) => (add === undefined ? [] : [add]));
  return Math.max(1, ...[...ports, ...added].map(({ id }) => id + 1));
}

/** What is wrong with a change of a console, and the key of the change. */
export interface ChangeProblem {
  /** The index of the change in the list. */
  readonly index: number;
  readonly key: 'add' | 'remove' | 'close' | 'open' | 'resize';
  readonly message: string;
}

/** Finds changes that cannot happen: a port that is plugged twice, or one that is not there and is unplugged. */
export function changeProblems(
  ports: readonly ConsolePortSettings[],
  changes: readonly ConsoleChange[],
): ChangeProblem[] {
  const there = new Map(ports.map((port) => [port.id, { isConsole: port.console, isOpen: true }]));
  const problems: ChangeProblem[] = [];
  for (const change of inOrder(changes)) {
    const note = (key: ChangeProblem['key'], message: string): void =>
      void problems.push({ index: changes.indexOf(change), key, message });
    const { add, remove, close, open, resize } = change;
    const when = `after ${change.after} messages`;
    if (add !== undefined) {
      if (there.has(add.id)) note('add', `port ${add.id} is there ${when}`);
      there.set(add.id, { isConsole: add.console, isOpen: true });
    }
    if (remove !== undefined && !there.delete(remove)) note('remove', `port ${remove} is not there ${when}`);
    for (const [key, id, isOpen] of [
      ['close', close, false],
      ['open', open, true],
    ] as const) {
      if (id === undefined) continue;
      const port = there.get(id);
      if (port === undefined) note(key, `port ${id} is not there ${when}`);
      else if (port.isOpen === isOpen) note(key, `port ${id} is ${isOpen ? 'open' : 'closed'} ${when}`);
      else port.isOpen = isOpen;
    }
    if (resize === undefined) continue;
    const port = there.get(resize.port);
    if (port === undefined) note('resize', `port ${resize.port} is not there ${when}`);
    else if (!port.isConsole) note('resize', `port ${resize.port} is no console: it has no size`);
  }
  return problems;
}
