import { z } from 'zod';
import { CONSOLE_MAX_PORTS } from './layout.ts';
import {
  changeProblems,
  type ConsoleChange,
  type ConsolePortSettings,
  firstPorts,
  leastPorts,
} from './port-settings.ts';

/** The device section of a profile for a console. */
export interface ConsoleSettings {
  /** Of the consoles, in characters: 1 to 65535. */
  readonly columns: number;
  readonly rows: number;
  /** Those that are there from the start; a driver without CONSOLE_MULTIPORT uses port 0 alone. */
  readonly ports: readonly ConsolePortSettings[];
  /** Ports for which the device has queues: 1 to 31. */
  readonly maxPorts: number;
  /** What happens while the device is used. */
  readonly changes: readonly ConsoleChange[];
}

/** A port as a profile may write it. */
export interface ConsolePortInput {
  readonly id: number;
  readonly name?: string | undefined;
  readonly console?: boolean | undefined;
}

/** What a profile may write. */
export interface ConsoleSettingsInput {
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  readonly ports?: number | readonly ConsolePortInput[] | undefined;
  readonly maxPorts?: number | undefined;
  readonly changes?:
    | readonly {
        readonly after: number;
        readonly add?: ConsolePortInput | undefined;
        readonly remove?: number | undefined;
        readonly close?: number | undefined;
        readonly open?: number | undefined;
        readonly resize?:
          | { readonly port?: number | undefined; readonly columns: number; readonly rows: number }
          | undefined;
      }[]
    | undefined;
}

/** Bytes of a name, so that a control message with it fits the buffers of every driver. */
const MOST_NAME_BYTES = 255;

const characters = z.int().min(1).max(0xffff);
const id = z
  .int()
  .min(0)
  .max(CONSOLE_MAX_PORTS - 1)
  .describe(`The number of the port: 0 to ${CONSOLE_MAX_PORTS - 1}.`);
const port = z
  .strictObject({
    id,
    name: z
      .string()
      .refine((text) => Buffer.byteLength(text) <= MOST_NAME_BYTES, `must be at most ${MOST_NAME_BYTES} bytes of UTF-8`)
      .refine((text) => !text.includes('\0'), 'must not have a NUL character')
      .optional()
      .describe('The name that the device gives; echo.N without it, and no name where it is empty.'),
    console: z.boolean().optional().describe('Whether it is a console; without it, port 0 is one and no other.'),
  })
  .transform((given): ConsolePortSettings => ({ ...given, console: given.console ?? given.id === 0 }));

const ACTIONS = ['add', 'remove', 'close', 'open', 'resize'] as const;
const change = z
  .strictObject({
    after: z
      .int()
      .min(1)
      .max(0x7fff_ffff)
      .describe('The number of messages that the device took on all ports, after which it happens.'),
    add: port.optional().describe('A port is plugged: { id: 3, name: late }.'),
    remove: id.optional().describe('The port of this number is unplugged.'),
    close: id.optional().describe('The device closes its side of this port.'),
    open: id.optional().describe('The device opens its side of this port again.'),
    resize: z
      .strictObject({ port: id.default(0), columns: characters, rows: characters })
      .optional()
      .describe('A console gets another size: { columns: 132, rows: 43 }.'),
  })
  .refine((given) => ACTIONS.filter((key) => given[key] !== undefined).length === 1, {
    error: 'must have one of add, remove, close, open and resize',
  });

/** The schema of the settings. */
export const CONSOLE_SETTINGS: z.ZodType<ConsoleSettings, ConsoleSettingsInput> = z
  .strictObject({
    columns: characters.default(80).describe('Characters in a row; without it 80.'),
    rows: characters.default(25).describe('Rows; without it 25.'),
    ports: z
      .union([z.int().min(1).max(CONSOLE_MAX_PORTS), z.array(port).min(1).max(CONSOLE_MAX_PORTS)], {
        error: `must be a number of ports, 1 to ${CONSOLE_MAX_PORTS}, or a list of them`,
      })
      .default(1)
      .describe('Ports from the start, for CONSOLE_MULTIPORT: how many, or [{ id: 0 }, { id: 3, name: agent }].'),
    maxPorts: z
      .int()
      .min(1)
      .max(CONSOLE_MAX_PORTS)
      .optional()
      .describe('Ports for which there are queues; without it as many as ports and changes need.'),
    changes: z
      .array(change)
      .max(100)
      .default([])
      .describe('What happens to the ports while they are used: [{ after: 500, remove: 1 }].'),
  })
  .transform((given, context): ConsoleSettings => {
    const ports = typeof given.ports === 'number' ? firstPorts(given.ports) : given.ports;
    const least = leastPorts(ports, given.changes);
    const issue = (path: (string | number)[], message: string): void =>
      context.addIssue({ code: 'custom', path, message });
    ports.forEach((each, index) => {
      if (ports.findIndex((other) => other.id === each.id) < index)
        issue(['ports', index, 'id'], `port ${each.id} is there twice`);
    });
    for (const { index, key, message } of changeProblems(ports, given.changes)) issue(['changes', index, key], message);
    const { maxPorts = least } = given;
    if (maxPorts < least) issue(['maxPorts'], `port ${least - 1} needs at least ${least}`);
    return { ...given, ports, maxPorts };
  });
