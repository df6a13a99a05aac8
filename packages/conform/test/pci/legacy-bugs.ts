import { LEGACY, type LegacyRegister } from '../../src/pci/legacy-registers.ts';
import { crashingAt, interrupting, reading, writing } from './broken-registers.ts';
import { complete, layoutOf } from './notify-bugs.ts';
import type { PciBug, PciHardware } from './pci-hardware.ts';

type Named = readonly [string, PciBug];

const at = ({ offset }: LegacyRegister): number => offset;

/** Reads otherwise. */
function reads(register: LegacyRegister, change: (value: number, hardware: PciHardware) => number): PciBug {
  return reading('legacy', at(register), change);
}

function writes(
  register: LegacyRegister,
  instead: (value: number, hardware: PciHardware, usual: (value: number) => void) => void,
): PciBug {
  return writing('legacy', at(register), instead);
}

/** Keeps what is written to a register. */
function keeps(register: LegacyRegister): PciBug {
  return {
    ...writes(register, (value, hardware) => hardware.memo.set(at(register), value)),
    ...reads(register, (value, hardware) => hardware.memo.get(at(register)) ?? value),
  };
}

/** Changes the configuration, by accesses of a width, or where it begins. */
function configured(isSo: (hardware: PciHardware, width: number, offset: number) => boolean): PciBug {
  return {
    read: (hardware, space, offset, width, usual) =>
      space === 'legacy' && offset >= 20 && isSo(hardware, width, offset) ? usual() ^ 1 : usual(),
  };
}

/** Loses notifications of a legacy driver. */
function loses(isLost: (hardware: PciHardware, value: number) => boolean): PciBug {
  return writes(LEGACY.queueNotify, (value, hardware, usual) => {
    if (!isLost(hardware, value)) usual(value);
  });
}

function crashes(
  register: LegacyRegister,
  value: number,
  isSo: (hardware: PciHardware) => boolean = () => true,
): PciBug {
  return crashingAt(
    'write',
    (hardware, space, offset, _width, written) =>
      space === 'legacy' && offset === at(register) && written === value && isSo(hardware),
  );
}

/** Vectors of the configuration and of queues. */
const VECTOR_BUGS: readonly Named[] = [LEGACY.configVector, LEGACY.queueVector].flatMap(
  (register): readonly Named[] => [
    [`pci/legacy/${register.name}-kept`, reads(register, (value) => (value === 2 ? 1 : value))],
    [
      `pci/legacy/${register.name}-refused`,
      {
        ...writes(register, (value, hardware, usual) => {
          hardware.count = value === 4 ? 1 : 0;
          usual(value);
        }),
        ...reads(register, (value, { count }) => (count === 1 ? 4 : value)),
      },
    ],
    [
      `pci/legacy/${register.name}-after-reset`,
      {
        reset: (hardware, usual) => {
          const { configVector, queues } = hardware;
          usual();
          if (register === LEGACY.configVector) hardware.configVector = configVector;
          else hardware.queues[0]!.vector = queues[0]!.vector;
        },
      },
    ],
  ],
);

/** The bugs of the legacy interface, each by the case that has to find it. */
export const LEGACY_BUGS: readonly Named[] = [
  [
    'pci/legacy/features-stay',
    {
      reset: (hardware, usual) => {
        hardware.count++;
        usual();
      },
      ...reads(LEGACY.deviceFeatures, (value, { count }) => (count > 1 ? value ^ 0x200 : value)),
    },
  ],
  ['pci/legacy/features-read-only', keeps(LEGACY.deviceFeatures)],
  ['pci/legacy/driver-features-kept', reads(LEGACY.driverFeatures, (value) => value & 0xffff)],
  ['pci/legacy/status-kept', reads(LEGACY.status, (value) => value & ~2)],
  [
    'pci/legacy/status-0-resets',
    writes(LEGACY.status, (value, _hardware, usual) => {
      if (value !== 0) usual(value);
    }),
  ],
  ['pci/legacy/queue-sizes', reads(LEGACY.queueSize, (value) => (value === 0 ? 0 : 24))],
  ['pci/legacy/queue-size-read-only', keeps(LEGACY.queueSize)],
  [
    'pci/legacy/no-queue',
    reads(LEGACY.queueSize, (value, { queueSelect, queues }) => (queueSelect === queues.length ? 8 : value)),
  ],
  ['pci/legacy/queue-select-kept', reads(LEGACY.queueSelect, (value) => (value === 2 ? 0 : value))],
  ['pci/legacy/queue-address-at-first', reads(LEGACY.queueAddress, (value) => (value === 0 ? 0xfff : value))],
  ['pci/legacy/queue-address-kept', reads(LEGACY.queueAddress, (value) => value & 0xff)],
  [
    'pci/legacy/queue-address-reset',
    {
      reset: (hardware, usual) => {
        const [before] = hardware.queues;
        usual();
        Object.assign(hardware.queues[0]!, { isEnabled: before!.isEnabled, words: before!.words });
      },
    },
  ],
  [
    'pci/legacy/queue-address-apart',
    writes(LEGACY.queueAddress, (value, hardware, usual) => {
      usual(value);
      hardware.queueSelect = 0;
      usual(value);
    }),
  ],
  ['pci/legacy/isr-read-only', writes(LEGACY.isr, (value, hardware) => (hardware.isr = value))],
  ...[1, 2, 4].map((width): Named => [
    `pci/legacy/config-by-${8 * width}`,
    configured((_hardware, by) => by === width),
  ]),
  ['pci/legacy/config-with-msix', configured(({ hasMsix }) => hasMsix)],
  [
    'pci/legacy/config-moves-back',
    {
      write: (hardware, space, _offset, _width, value, usual) => {
        usual(value);
        if (space === 'config' && hardware.hasMsix) hardware.count = 1;
      },
      ...configured(({ hasMsix, count }) => !hasMsix && count === 1),
    },
  ],
  ...VECTOR_BUGS,
  ['pci/legacy/serves', loses((hardware) => ++hardware.count === 7)],
  [
    'pci/legacy/serves-batches',
    {
      write: (hardware, space, offset, _width, value, usual) => {
        const { memory, queues } = hardware;
        const isKick = space === 'legacy' && offset === at(LEGACY.queueNotify);
        const available = isKick ? memory.u16[(queues[0]!.words[2]! + 2) / 2]! : 0;
        const isBatch = available - hardware.count > 1;
        hardware.count = isKick ? available : hardware.count;
        if (!isBatch) usual(value);
      },
    },
  ],
  ['pci/legacy/serves-many', loses((hardware) => ++hardware.count > 300)],
  ['pci/legacy/isr-of-request', interrupting((hardware) => (hardware.isr |= 2))],
  [
    'pci/legacy/isr-cleared',
    reads(LEGACY.isr, (value, hardware) => {
      if (value !== 0) hardware.isr = value;
      return value;
    }),
  ],
  [
    'pci/legacy/suppressed',
    writes(LEGACY.queueNotify, (value, hardware, usual) => {
      usual(value);
      hardware.interrupt(0);
    }),
  ],
  [
    'pci/legacy/message',
    interrupting((hardware, _queue, usual) => {
      if (!hardware.hasMsix) usual();
    }),
  ],
  [
    'pci/legacy/touches-nothing-after-reset',
    {
      reset: (hardware, usual) => {
        hardware.queues[0]!.words.forEach((word, i) => hardware.memo.set(i, word));
        usual();
      },
      ...writes(LEGACY.queueNotify, (value, hardware, usual) => {
        usual(value);
        const words = Uint32Array.from({ length: 6 }, (_, i) => hardware.memo.get(i) ?? 0);
        if (hardware.status === 0 && words[4] !== 0) complete(hardware, words, 'split');
      }),
    },
  ],
  [
    'pci/legacy/again',
    {
      reset: (hardware, usual) => {
        const { isLive } = hardware;
        usual();
        if (isLive) hardware.count++;
      },
      ...loses(({ count }) => count > 3),
    },
  ],
  [
    'pci/legacy/modern-afterwards',
    {
      write: (hardware, space, offset, _width, value, usual) => {
        if (space === 'legacy' && offset === at(LEGACY.queueNotify)) hardware.count = 1;
        if (space !== 'notify' || hardware.count === 0) usual(value);
      },
    },
  ],
  ...(['split', 'packed'] as const).map((layout): Named => [
    `pci/legacy/after-modern/${layout}`,
    {
      write: (hardware, space, offset, _width, value, usual) => {
        const isKick = space === 'legacy' && offset === at(LEGACY.queueNotify);
        if (space === 'notify') hardware.memo.set(0, layoutOf(hardware) === layout ? hardware.count++ : 0);
        if (!isKick || hardware.count < 4) usual(value);
      },
    },
  ]),
  ['pci/legacy/hostile-address-nowhere', crashes(LEGACY.queueAddress, 0xffff_ffff)],
  ['pci/legacy/hostile-address-0', crashes(LEGACY.queueAddress, 0)],
  ['pci/legacy/hostile-address-of-no-queue', crashes(LEGACY.queueAddress, 1, ({ queue }) => queue === undefined)],
  ['pci/legacy/hostile-notify-no-queue', crashes(LEGACY.queueNotify, 0x3ff)],
  ['pci/legacy/hostile-notify-0xffff', crashes(LEGACY.queueNotify, 0xffff)],
  ['pci/legacy/hostile-features-of-ones', crashes(LEGACY.driverFeatures, 0xffff_ffff)],
  ['pci/legacy/hostile-status-0xff', crashes(LEGACY.status, 0xff)],
  ['pci/legacy/hostile-status-0x40', crashes(LEGACY.status, 0x40)],
  ['pci/legacy/hostile-status-features-ok', crashes(LEGACY.status, 0x0f)],
  ['pci/legacy/hostile-select-0xffff', crashes(LEGACY.queueSelect, 0xffff)],
];

/** The bug of a case that accesses a legacy register by a wrong width; `undefined` for another case. */
export function legacyCrashOf(id: string): PciBug | undefined {
  const found = /^pci\/legacy\/(read|write)-(.+)-by-(\d+)$/.exec(id);
  const register = Object.values(LEGACY).find(({ name }) => name === found?.[2]);
  if (found === null || register === undefined) return undefined;
  return crashingAt(
    found[1] as 'read' | 'write',
    (_hardware, space, offset, width) =>
      space === 'legacy' && offset === register.offset && width === Number(found[3]) / 8,
  );
}
