import { FeatureSet } from '@virtio-platform/core/features';
import { describe, expect, it } from 'vitest';
import { commandEffect } from '../../src/control/command-effect.ts';
import {
  addressCommand,
  guestOffloadsCommand,
  pairsCommand,
  scalingCommand,
  type NetCommand,
} from '../../src/control/net-command.ts';

const SCALING = { hashTypes: 1, table: [0, 1], unclassified: 0, transmitQueues: 2, key: new Uint8Array(40) };
const COMMANDS: readonly (readonly [string, NetCommand, number, object])[] = [
  ['an address', addressCommand('02:00:00:00:00:07'), 6, { mac: '02:00:00:00:00:07' }],
  ['offloads', guestOffloadsCommand(2n, true), 8, { offloads: FeatureSet.of(1) }],
  ['pairs', pairsCommand(3, true), 2, { pairs: 3 }],
  ['receive-side scaling', scalingCommand(SCALING, true), 14, { pairs: 2 }],
];

describe('the effect of a command that a device says it did', () => {
  it.each(COMMANDS)('is that of its data: %s', (_name, command, _needed, effect) => {
    expect(commandEffect(command, true)).toEqual(effect);
  });

  it.each(COMMANDS)('is none where the data is cut anywhere before its end: %s', (_name, command, needed) => {
    for (let length = 0; length < needed; length++)
      expect(commandEffect({ ...command, data: command.data.subarray(0, length) }, true)).toEqual({});
  });
});
