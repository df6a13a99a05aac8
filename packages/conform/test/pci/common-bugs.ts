import { DeviceStatus } from '@virtio-platform/core/device';
import { FeatureSet } from '@virtio-platform/core/features';
import { AREA_REGISTERS, COMMON, COMMON_REGISTERS } from '../../src/pci/common-registers.ts';
import { DEVICE_STATES } from '../../src/pci/device-state.ts';
import { crashingAt, reading, remembering, writing } from './broken-registers.ts';
import type { PciBug, PciHardware } from './pci-hardware.ts';

type Named = readonly [string, PciBug];

/** The status in each state. */
const STATUS: Readonly<Record<(typeof DEVICE_STATES)[number], number>> = {
  reset: 0,
  acknowledged: 0x01,
  driver: 0x03,
  'features-ok': 0x0b,
  live: 0x0f,
  failed: 0x8f,
};

/** Bits of the runs in which unoffered features are tried. */
const RUNS: Readonly<Record<string, readonly [first: number, last: number]>> = {
  type: [0, 23],
  ring: [24, 31],
  reserved: [32, 49],
  high: [50, 63],
  'word-2': [64, 95],
  'word-3': [96, 127],
};

const OF_QUEUE = [COMMON.queueSize, COMMON.queueVector, ...AREA_REGISTERS];
const WRITTEN = [...OF_QUEUE, COMMON.queueEnable];

/** Loses what is written to a register, where `isSo`. */
function losing(offset: number, isSo: (hardware: PciHardware, value: number) => boolean = () => true): PciBug {
  return writing('common', offset, (value, hardware, usual) => {
    if (!isSo(hardware, value)) usual(value);
  });
}

/** Writes a register of every queue. */
function writesAll(offset: number): PciBug {
  return writing('common', offset, (value, hardware, usual) => {
    const selected = hardware.queueSelect;
    for (hardware.queueSelect = 0; hardware.queueSelect < hardware.queues.length; hardware.queueSelect++) usual(value);
    hardware.queueSelect = selected;
  });
}

/** Writes a register of queue 0 where no queue is selected. */
function writesFirst(offset: number): PciBug {
  return writing('common', offset, (value, hardware, usual) => {
    if (hardware.queue !== undefined) return usual(value);
    const selected = hardware.queueSelect;
    hardware.queueSelect = 0;
    if (offset === COMMON.queueEnable.offset) hardware.queue!.isEnabled = false;
    else usual(value);
    hardware.queueSelect = selected;
  });
}

/** Keeps something of the registers over a reset. */
function keeping(
  restore: (before: PciHardware['queues'], hardware: PciHardware, configVector: number) => void,
): PciBug {
  return {
    reset: (hardware, usual) => {
      const { queues, configVector, isLive } = hardware;
      usual();
      if (isLive) restore(queues, hardware, configVector);
    },
  };
}

function unoffered([first, last]: readonly [number, number]): PciBug {
  return writing('common', COMMON.status.offset, (value, hardware, usual) => {
    const accepted = [...hardware.accepted];
    const offered = hardware.inner.readDeviceFeatures();
    const isTaken = accepted.some((bit) => bit >= first && bit <= last && !offered.has(bit));
    if (isTaken && (value & DeviceStatus.FeaturesOk) !== 0)
      hardware.inner.writeDriverFeatures(FeatureSet.of(...accepted.filter((bit) => offered.has(bit))));
    usual(value);
  });
}

/** The bugs of the common configuration, each by the case that has to find it. */
export const COMMON_BUGS: readonly Named[] = [
  ['pci/keeps/device_feature_select', losing(COMMON.deviceFeatureSelect.offset)],
  ['pci/keeps/driver_feature_select', losing(COMMON.driverFeatureSelect.offset)],
  ['pci/keeps/queue_select', losing(COMMON.queueSelect.offset, (_hardware, value) => value === 2)],
  ['pci/keeps/config_msix_vector', losing(COMMON.configVector.offset, (_hardware, value) => value === 3)],
  ...[0, 1].map((word): Named => [
    `pci/keeps/driver_feature-${word}`,
    reading('common', COMMON.driverFeature.offset, (value, hardware) => (hardware.driverSelect === word ? 0 : value)),
  ]),
  ...OF_QUEUE.map(({ name, offset, width }): Named => [
    `pci/keeps/${name}`,
    reading('common', offset, (value) => value ^ (width === 4 ? 0x8000_0000 : 1)),
  ]),
  ...OF_QUEUE.map(({ name, offset }): Named => [`pci/apart/${name}`, writesAll(offset)]),
  [
    'pci/apart/queue_enable',
    reading('common', COMMON.queueEnable.offset, (_value, { queues }) =>
      queues.some(({ isEnabled }) => isEnabled) ? 1 : 0,
    ),
  ],
  ['pci/after-reset/config_msix_vector', keeping((_queues, hardware, vector) => (hardware.configVector = vector))],
  [
    'pci/after-reset/queue_msix_vector',
    keeping((queues, hardware) => (hardware.queues[0]!.vector = queues[0]!.vector)),
  ],
  [
    'pci/after-reset/queue_enable',
    keeping((queues, hardware) => (hardware.queues[0]!.isEnabled = queues[0]!.isEnabled)),
  ],
  ['pci/after-reset/queue_reset', reading('common', COMMON.queueReset.offset, () => 1)],
  ['pci/after-reset/queue_size', keeping((queues, hardware) => (hardware.queues[0]!.size = queues[0]!.size))],
  ...(
    [
      ['first', (queues: number) => queues],
      ['second', (queues: number) => queues + 1],
      ['far', (queues: number) => queues + 0x100],
      ['0x7fff', () => 0x7fff],
      ['0xffff', () => 0xffff],
    ] as const
  ).map(([name, which]): Named => [
    `pci/no-queue/queue_size-${name}`,
    reading('common', COMMON.queueSize.offset, (value, { queueSelect, queues }) =>
      queueSelect === which(queues.length) ? 16 : value,
    ),
  ]),
  ['pci/queue-size/power-of-2', sized(24)],
  ['pci/queue-size/at-most-32768', sized(0xc000)],
  ['pci/num-queues/exist', reading('common', COMMON.numQueues.offset, () => 1)],
  [
    'pci/generation/stays-over-reads',
    reading('common', COMMON.generation.offset, (_value, hardware) => hardware.count++ & 0xff),
  ],
  [
    'pci/features-ok/kept',
    reading('common', COMMON.deviceFeature.offset, (value, { status }) => ((status & 8) === 0 ? value : value ^ 0x200)),
  ],
  [
    'pci/features-ok/version-1-in-word-1',
    reading('common', COMMON.deviceFeature.offset, (value, { deviceSelect }) =>
      deviceSelect === 1 ? value & ~1 : value,
    ),
  ],
  [
    'pci/features-ok/high-word-first',
    writing('common', COMMON.driverFeature.offset, (value, hardware, usual) => {
      if (hardware.driverSelect === 0) hardware.features[1] = 0;
      usual(value);
    }),
  ],
  ...[2, 3, 4, 0x100, 0x8000_0000, 0xffff_ffff].flatMap((selector): readonly Named[] => [
    [
      `pci/features/offer-of-word-0x${selector.toString(16)}`,
      reading('common', COMMON.deviceFeature.offset, (value, { deviceSelect }) =>
        deviceSelect === selector ? 1 : value,
      ),
    ],
    [
      `pci/features/write-to-word-0x${selector.toString(16)}`,
      writing('common', COMMON.driverFeature.offset, (value, hardware, usual) => {
        if (hardware.driverSelect === selector) hardware.features[1] = value;
        else usual(value);
      }),
    ],
  ]),
  ...Object.entries(RUNS).map(([name, run]): Named => [`pci/features/unoffered-${name}`, unoffered(run)]),
  ...COMMON_REGISTERS.filter(({ isWritable }) => !isWritable).map(({ name, offset }): Named => [
    `pci/read-only/${name}`,
    remembering('common', offset),
  ]),
  ...WRITTEN.map(({ name, offset }): Named => [`pci/no-queue/write-${name}`, writesFirst(offset)]),
  ...DEVICE_STATES.map((state): Named => [
    `pci/status/reset-when-${state}`,
    {
      reset: (hardware, usual) => {
        const before = hardware.status;
        usual();
        if (before === STATUS[state]) hardware.count = 1;
      },
      ...reading('common', COMMON.status.offset, (value, hardware) => (hardware.count === 1 ? value | 1 : value)),
    },
  ]),
];

function sized(size: number): PciBug {
  return reading('common', COMMON.queueSize.offset, (value, { queue }) => (queue === undefined ? value : size));
}

/** The bug of a case that says by its id at which access a device may crash; `undefined` for another case. */
export function crashOf(id: string): PciBug | undefined {
  const [, family = '', rest = ''] = id.split('/');
  if (family === 'width') {
    const [, what, name, bits] = /^(read|write)-(.+)-by-(\d+)$/.exec(rest)!;
    const { offset } = registerOf(name!);
    return crashingAt(
      what as 'read' | 'write',
      (_hardware, space, at, width) => space === 'common' && at === offset && width === Number(bits) / 8,
    );
  }
  if (family === 'value') {
    const [, name, written, state] = /^(.+)-0x([0-9a-f]+)-(driver|live)$/.exec(rest)!;
    const { offset } = registerOf(name!);
    return crashingAt(
      'write',
      (hardware, space, at, _width, value) =>
        space === 'common' &&
        at === offset &&
        value === Number(`0x${written}`) &&
        hardware.isLive === (state === 'live'),
    );
  }
  const status = /^(.+)-0x([0-9a-f]+)$/.exec(rest);
  if (family !== 'status' || status === null) return undefined;
  const before = STATUS[status[1] as keyof typeof STATUS];
  return crashingAt(
    'write',
    (hardware, space, at, _width, value) =>
      space === 'common' &&
      at === COMMON.status.offset &&
      value === Number(`0x${status[2]}`) &&
      hardware.status === before,
  );
}

function registerOf(name: string): (typeof COMMON_REGISTERS)[number] {
  return COMMON_REGISTERS.find((register) => register.name === name)!;
}
