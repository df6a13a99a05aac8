import { COMMON } from '../../src/pci/common-registers.ts';
import { crashingAt, reading } from './broken-registers.ts';
import { STRUCTURE } from './pci-configuration.ts';
import type { PciBug, PciHardware } from './pci-hardware.ts';

type Named = readonly [string, PciBug];

/** The layout that was negotiated. */
export function layoutOf(hardware: PciHardware): 'split' | 'packed' {
  return hardware.accepted.has(34) ? 'packed' : 'split';
}

/** Marks what is available in a queue as used, whether or not the device is at work. */
export function complete({ memory }: PciHardware, words: Uint32Array, layout: 'split' | 'packed'): void {
  if (layout === 'split') memory.u16[(words[4]! + 2) / 2] = memory.u16[(words[2]! + 2) / 2]!;
  else memory.u16[(words[0]! + 14) / 2]! |= 0x8000;
}

/** Loses notifications where `isLost`. */
function losing(isLost: (hardware: PciHardware, value: number, width: number) => boolean): PciBug {
  return {
    write: (hardware, space, _offset, width, value, usual) => {
      if (space !== 'notify' || !isLost(hardware, value, width)) usual(value);
    },
  };
}

/** Crashes at a notification. */
function crashing(isSo: (hardware: PciHardware, value: number, offset: number, width: number) => boolean): PciBug {
  return crashingAt(
    'write',
    (hardware, space, offset, width, value) => space === 'notify' && isSo(hardware, value, offset, width),
  );
}

const LAYOUTS = ['split', 'packed'] as const;
const END = STRUCTURE.notify.bytes - 2;

/** The bugs of notifications and of the device configuration, each by the case that has to find it. */
export const NOTIFY_BUGS: readonly Named[] = [
  ...LAYOUTS.flatMap((layout): readonly Named[] => [
    [`pci/notify/each-queue/${layout}`, losing((hardware, value) => value !== 0 && layoutOf(hardware) === layout)],
    [
      `pci/notify/data-of-32-bits/${layout}`,
      losing((hardware, _value, width) => width === 4 && layoutOf(hardware) === layout),
    ],
    [
      `pci/notify/before-driver-ok/${layout}`,
      {
        write: (hardware, space, _offset, _width, value, usual) => {
          if (space === 'notify' && !hardware.isLive && layoutOf(hardware) === layout)
            complete(hardware, hardware.queues[value]!.words, layout);
          usual(value);
        },
      },
    ],
    [
      `pci/notify/after-reset/${layout}`,
      {
        reset: (hardware, usual) => {
          if (hardware.isLive && layoutOf(hardware) === layout)
            hardware.queues[0]!.words.forEach((word, i) => hardware.memo.set(i, word));
          usual();
        },
        write: (hardware, space, _offset, _width, value, usual) => {
          const isBefore = space === 'notify' && hardware.status === 0 && hardware.memo.size > 0;
          if (isBefore)
            complete(
              hardware,
              Uint32Array.from({ length: 6 }, (_, i) => hardware.memo.get(i)!),
              layout,
            );
          usual(value);
        },
      },
    ],
  ]),
  [
    'pci/notify/offsets-of-all',
    reading('common', COMMON.queueNotifyOff.offset, (value, { isLive }) => (isLive ? value + 1 : value)),
  ],
  ['pci/notify/after-queue-select', losing(({ queueSelect }, value) => queueSelect !== value)],
  ['pci/notify/config-data', losing((_hardware, value) => value >= 0x100)],
  [
    'pci/notify/read',
    {
      read: (hardware, space, _offset, _width, usual) => {
        if (space === 'notify') hardware.count = 1;
        return usual();
      },
      ...losing(({ count }) => count === 1),
    },
  ],
  ['pci/notify/by-8-bits', crashing((_hardware, _value, _offset, width) => width === 1)],
  ['pci/notify/by-32-bits', crashing((_hardware, _value, _offset, width) => width === 4)],
  ['pci/notify/value-of-another-queue', crashing((_hardware, value, offset) => value === 1 && offset === 0)],
  ['pci/notify/value-of-no-queue', crashing(({ queues }, value) => value === queues.length)],
  ['pci/notify/value-0xffff', crashing((_hardware, value) => value === 0xffff)],
  ['pci/notify/behind-all-queues', crashing((_hardware, _value, offset) => offset === END)],
  ['pci/notify/storm', crashing((hardware) => hardware.count++ > 400)],
  ...[2, 4].map((width): Named => [
    `pci/config/fields-of-${8 * width}-bits`,
    {
      read: (_hardware, space, offset, by, usual) =>
        space === 'device' && by === width && offset >= 8 ? usual() ^ 1 : usual(),
    },
  ]),
  [
    'pci/config/low-half-of-64-bits',
    reading('device', 0, (value, _hardware, width) => (width === 4 ? value ^ 1 : value)),
  ],
  [
    'pci/config/high-half-of-64-bits',
    reading('device', 4, (value, _hardware, width) => (width === 4 ? value ^ 1 : value)),
  ],
  ...[1, 2, 4].flatMap((width): readonly Named[] => [
    ...(['read', 'write'] as const).map((what): Named => [
      `pci/config/${what}-at-end-by-${8 * width}`,
      crashingAt(
        what,
        (_hardware, space, offset, by) =>
          space === 'device' && by === width && offset === STRUCTURE.device.bytes - width,
      ),
    ]),
    [
      `pci/config/write-everywhere-by-${8 * width}`,
      crashingAt('write', (_hardware, space, offset, by) => space === 'device' && by === width && offset === 8),
    ],
  ]),
];
