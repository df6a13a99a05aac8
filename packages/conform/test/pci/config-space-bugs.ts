import { COMMON } from '../../src/pci/common-registers.ts';
import { both, configured, crashingAt, reading, remembering, writing } from './broken-registers.ts';
import { CAPABILITY, STRUCTURE } from './pci-configuration.ts';
import type { PciBug, PciHardware } from './pci-hardware.ts';

const { common, isr, device, notify, window, express, msix } = CAPABILITY;
const DATA = window + 16;
const NAMES = { common, notify, isr, device } as const;
const isPacked = (hardware: PciHardware): boolean => hardware.accepted.has(34);

function capabilityBugs(name: keyof typeof NAMES): readonly (readonly [string, PciBug])[] {
  const at = NAMES[name];
  const other = name === 'notify' ? STRUCTURE.common.offset : STRUCTURE.notify.offset;
  return [
    [`pci/capability/${name}-present`, configured({ [at + 3]: 7 })],
    [`pci/capability/${name}-length`, configured({ [at + 2]: 12 })],
    [`pci/capability/${name}-in-space`, configured({ [at + 2]: 0xff })],
    [`pci/capability/${name}-bar`, configured({ [at + 4]: 3 })],
    [`pci/capability/${name}-inside`, configured({ [at + 10]: 0xff })],
    [`pci/capability/${name}-apart`, configured({ [at + 9]: other >>> 8 })],
    [`pci/capability/${name}-aligned`, configured({ [at + 8]: 1 })],
    [
      `pci/capability/${name}-unwritten`,
      both(
        writing('config', at + 4, (_value, hardware) => (hardware.count = 1)),
        configured({ [at + 4]: 0xff }, ({ count }) => count === 1),
      ),
    ],
  ];
}

/** What the window is on, by the ids of the hostile cases. */
const WINDOWS: Readonly<Record<string, readonly [bar: number, offset: number, length: number]>> = {
  'bar-without-registers': [3, 0, 4],
  'bar-6': [6, 0, 4],
  'bar-255': [255, 0, 4],
  'behind-the-bar': [4, 0x7fff_0000, 4],
  'last-offset': [4, 0xffff_fffc, 4],
  'misaligned-by-1': [4, 1, 2],
  'misaligned-by-2': [4, 2, 4],
  'length-0': [4, 0, 0],
  'length-3': [4, 0, 3],
  'length-8': [4, 0, 8],
  'length-of-4-gib': [4, 0, 0xffff_ffff],
};

/** Whether the window is on a structure. */
function isOn({ config }: PciHardware, first: number, length: number): boolean {
  const { at, length: bytes } = config.window;
  return at >= first && at < first + 0x1000 && bytes === length;
}

function readsWindow(first: number, length: number): PciBug {
  return reading('config', DATA, (value, hardware) => (isOn(hardware, first, length) ? value ^ 1 : value));
}

function losesWindow(first: number, length: number, isSo: (hardware: PciHardware) => boolean = () => true): PciBug {
  return writing('config', DATA, (value, hardware, usual) => {
    if (!isOn(hardware, first, length) || !isSo(hardware)) usual(value);
  });
}

/** The bugs of configuration space, each by the case that has to find it. */
export const CONFIG_SPACE_BUGS: readonly (readonly [string, PciBug])[] = [
  ['pci/identity/vendor', configured({ 0: 0xf3 })],
  ['pci/identity/device', configured({ 2: 0x05 })],
  ['pci/identity/modern-revision', configured({ 2: 0x42, 0x2e: 0x42 })],
  ['pci/identity/modern-subsystem', configured({ 2: 0x42, 8: 1 })],
  ['pci/identity/transitional-revision', configured({ 8: 1 })],
  ['pci/identity/transitional-subsystem', configured({ 0x2e: 9 })],
  ['pci/identity/transitional-bar-0', { bar: (_hardware, index, usual) => (index === 0 ? undefined : usual) }],
  ['pci/header/type-0', configured({ 0x0e: 1 })],
  ['pci/header/interrupt-pin', configured({ 0x3d: 5 })],
  ['pci/header/interrupt-line', writing('config', 0x3c, () => {})],
  ['pci/header/command-kept', writing('config', 4, (value, _hardware, usual) => usual(value | 4))],
  [
    'pci/header/bars-apart',
    { bar: (_hardware, index, usual) => (index === 4 && usual !== undefined ? { ...usual, size: 0x6000 } : usual) },
  ],
  [
    'pci/header/bar-kept',
    {
      reset: (hardware, usual) => {
        if (hardware.isLive) hardware.count = 1;
        usual();
      },
      read: (hardware, space, offset, _width, usual) =>
        space === 'config' && offset === 0x20 ? hardware.count : usual(),
    },
  ],
  ...(
    [
      ['vendor-id', 0],
      ['device-id', 2],
      ['revision-and-class', 8],
      ['header-type', 0x0e],
      ['subsystem-vendor-id', 0x2c],
      ['subsystem-id', 0x2e],
      ['capability-pointer', 0x34],
      ['interrupt-pin', 0x3d],
    ] as const
  ).map(([name, at]) => [`pci/header/fixed-${name}`, remembering('config', at)] as const),
  ...(Object.keys(NAMES) as (keyof typeof NAMES)[]).flatMap(capabilityBugs),
  ['pci/capability/window-present', configured({ [window + 3]: 7 })],
  ['pci/capability/window-length', configured({ [window + 2]: 12 })],
  ['pci/capability/window-in-space', configured({ [window + 2]: 0xff })],
  ['pci/capability/common-long-enough', configured({ [common + 12]: 0x38 })],
  ['pci/capability/device-long-enough', configured({ [device + 12]: 8 })],
  ['pci/capability/notify-long-enough', configured({ [notify + 12]: 2, [notify + 13]: 0 })],
  ['pci/capability/notify-multiplier', configured({ [notify + 16]: 3 })],
  ['pci/list/ends', configured({ [window + 1]: msix })],
  ['pci/list/behind-header', configured({ 0x34: 0x3c })],
  ['pci/list/said-in-status', configured({ 6: 0 })],
  ['pci/list/vendor-of-vendor-data', configured({ [window + 3]: 9, [window + 4]: 0xf4, [window + 5]: 0x1a })],
  ['pci/list/shared-memory', configured({ [window + 3]: 8, [window + 4]: 3, [window + 12]: 1 })],
  ['pci/list/types', configured({ [window + 3]: 7 })],
  ['pci/list/msix-once', configured({ [express]: 0x11 })],
  ['pci/window/keeps-bar', writing('config', window + 4, () => {})],
  ['pci/window/keeps-offset', writing('config', window + 8, () => {})],
  ['pci/window/keeps-length', writing('config', window + 12, () => {})],
  ...[1, 2, 4].flatMap((width) => [
    [`pci/window/reads-${8 * width}-bits`, readsWindow(STRUCTURE.common.offset, width)] as const,
    [`pci/window/writes-${8 * width}-bits`, losesWindow(STRUCTURE.common.offset, width)] as const,
    [`pci/window/reads-configuration-by-${8 * width}`, readsWindow(STRUCTURE.device.offset, width)] as const,
  ]),
  [
    'pci/window/reads-behind-written-width',
    reading('config', DATA, (value, hardware) => (hardware.count ||= value + 1) - 1),
  ],
  [
    'pci/window/reads-isr',
    {
      read: (hardware, space, offset, _width, usual) =>
        space === 'config' && offset === DATA && isOn(hardware, STRUCTURE.isr.offset, 1) ? hardware.isr : usual(),
    },
  ],
  ['pci/window/notifies/split', losesWindow(STRUCTURE.notify.offset, 2, (hardware) => !isPacked(hardware))],
  ['pci/window/notifies/packed', losesWindow(STRUCTURE.notify.offset, 2, isPacked)],
  ['pci/window/notifies-with-data', losesWindow(STRUCTURE.notify.offset, 4)],
  [
    'pci/window/writes-when-written',
    writing('config', window + 12, (value, hardware, usual) => {
      usual(value);
      if (value === 1) hardware.writeStatus(0x80);
    }),
  ],
  ...Object.entries(WINDOWS).flatMap(([id, [bar, at, length]]) =>
    (['read', 'write'] as const).map(
      (what) =>
        [
          `pci/window/${what}-${id}`,
          crashingAt(what, ({ config }, space, offset) => {
            const on = config.window;
            return space === 'config' && offset === DATA && on.bar === bar && on.at === at && on.length === length;
          }),
        ] as const,
    ),
  ),
];

/** Of the command register and of resets of the function. */
export const COMMAND_BUGS: readonly (readonly [string, PciBug])[] = [
  ...(['split', 'packed'] as const).map(
    (layout) =>
      [
        `pci/command/no-master-no-access-${layout}`,
        {
          write: (hardware, space, _offset, _width, value, usual) => {
            if (
              space === 'notify' &&
              (hardware.config.command & 4) === 0 &&
              isPacked(hardware) === (layout === 'packed')
            )
              hardware.inner.notify(value, 0);
            else usual(value);
          },
        } satisfies PciBug,
      ] as const,
  ),
  [
    'pci/command/no-master-no-message',
    {
      write: (hardware, space, _offset, _width, value, usual) => {
        usual(value);
        if (space === 'notify' && (hardware.config.command & 4) === 0) hardware.message(0);
      },
    },
  ],
  [
    'pci/command/master-again',
    {
      write: (hardware, space, offset, _width, value, usual) => {
        if (space === 'config' && offset === 4 && (value & 4) === 0) hardware.count = 1;
        if (space !== 'notify' || hardware.count === 0) usual(value);
      },
    },
  ],
  [
    'pci/command/no-master-while-busy',
    {
      write: (hardware, space, offset, _width, value, usual) => {
        if (space === 'notify') hardware.count++;
        if (space === 'config' && offset === 4 && (value & 4) === 0 && hardware.count > 3) hardware.crash();
        else usual(value);
      },
    },
  ],
  [
    'pci/command/no-memory-no-registers',
    { isOn: (_hardware, bit, what) => (bit === 2 && what === 'write' ? true : undefined) },
  ],
  [
    'pci/command/no-memory-reads',
    { isOn: (_hardware, bit, what) => (bit === 2 && what === 'read' ? true : undefined) },
  ],
  [
    'pci/command/no-memory-keeps',
    writing('config', 4, (value, hardware, usual) => {
      usual(value);
      if ((value & 2) === 0) hardware.reset();
    }),
  ],
  [
    'pci/command/no-io',
    {
      write: (hardware, space, _offset, _width, value, usual) => {
        if (space !== 'notify' || (hardware.config.command & 1) !== 0) usual(value);
      },
    },
  ],
  [
    'pci/function-reset/status',
    {
      reset: (hardware, usual) => {
        if (!hardware.isFunctionReset) usual();
      },
    },
  ],
  ['pci/function-reset/queues', afterFunctionReset(COMMON.queueEnable.offset, 1)],
  ['pci/function-reset/vectors', afterFunctionReset(COMMON.queueVector.offset, 0)],
  [
    'pci/function-reset/msix',
    {
      reset: countFunctionReset,
      ...configured({ [msix + 3]: 0x80 }, ({ count }) => count === 1),
    },
  ],
  [
    'pci/function-reset/serves',
    {
      reset: countFunctionReset,
      write: (hardware, space, _offset, _width, value, usual) => {
        if (space !== 'notify' || hardware.count === 0) usual(value);
      },
    },
  ],
];

function countFunctionReset(hardware: PciHardware, usual: () => void): void {
  if (hardware.isFunctionReset) hardware.count = 1;
  usual();
}

/** A register that reads otherwise once the function was reset. */
function afterFunctionReset(offset: number, value: number): PciBug {
  return {
    reset: countFunctionReset,
    ...reading('common', offset, (usual, { count }) => (count === 1 ? value : usual)),
  };
}
