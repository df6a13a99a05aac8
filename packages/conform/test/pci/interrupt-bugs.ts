import { COMMON, NO_VECTOR } from '../../src/pci/common-registers.ts';
import { configured, interrupting, reading, remembering, writing } from './broken-registers.ts';
import { layoutOf } from './notify-bugs.ts';
import { CAPABILITY } from './pci-configuration.ts';
import { VECTORS_OF_TABLE, type PciBug, type PciHardware } from './pci-hardware.ts';

type Named = readonly [string, PciBug];

const { msix } = CAPABILITY;
const LAYOUTS = ['split', 'packed'] as const;
const STATUS = 6;
const INTERRUPTS = 8;

/** The vector of a queue, or of the configuration. */
function vectorOf({ queues, configVector }: PciHardware, queue: number): number {
  return queue < 0 ? configVector : (queues[queue]?.vector ?? NO_VECTOR);
}

/** What a function says of its interrupt line. */
function line(says: (value: number, hardware: PciHardware) => number): PciBug {
  return reading('config', STATUS, says);
}

/** The bugs of the interrupt status, each by the case that has to find it. */
const ISR_BUGS: readonly Named[] = [
  ...LAYOUTS.flatMap((layout): readonly Named[] => [
    [
      `pci/isr/queue-bit/${layout}`,
      reading('isr', 0, (value, hardware) => (layoutOf(hardware) === layout ? 0 : value)),
    ],
    [
      `pci/isr/each-request/${layout}`,
      interrupting((hardware, _queue, usual) => {
        if (layoutOf(hardware) !== layout || ++hardware.count !== 30) usual();
      }),
    ],
  ]),
  [
    'pci/isr/cleared-by-read',
    reading('isr', 0, (value, hardware) => {
      if (hardware.count++ === 1) hardware.isr = value;
      return value;
    }),
  ],
  [
    'pci/isr/no-config-bit',
    interrupting((hardware, _queue, usual) => {
      usual();
      hardware.isr |= 2;
    }),
  ],
  [
    'pci/isr/line-asserted',
    line((value, hardware) => ((value & INTERRUPTS) === 0 || hardware.count++ === 0 ? value : value & ~INTERRUPTS)),
  ],
  [
    'pci/isr/line-deasserted',
    line((value, hardware) => {
      if ((value & INTERRUPTS) !== 0) hardware.count = 1;
      return hardware.count === 1 ? value | INTERRUPTS : value;
    }),
  ],
  [
    'pci/isr/line-masked',
    interrupting((hardware, _queue, usual) => {
      if ((hardware.config.command & 0x400) === 0) usual();
    }),
  ],
  ['pci/isr/written', writing('isr', 0, (value, hardware) => (hardware.isr &= value))],
  ['pci/isr/set-by-write', writing('isr', 0, (value, hardware) => (hardware.isr |= value))],
  [
    'pci/isr/clear-after-reset',
    {
      reset: (hardware, usual) => {
        const { isr } = hardware;
        usual();
        hardware.isr = isr;
      },
    },
  ],
  [
    'pci/isr/line-after-reset',
    {
      reset: (hardware, usual) => {
        hardware.count = hardware.isr;
        usual();
      },
      ...line((value, { count }) => (count !== 0 ? value | INTERRUPTS : value)),
    },
  ],
  [
    'pci/isr/idle',
    reading('common', COMMON.status.offset, (value, hardware) => {
      if (hardware.isLive) hardware.isr |= 1;
      return value;
    }),
  ],
  ['pci/isr/unused-with-msix', line((value, { hasMsix }) => (hasMsix ? value | INTERRUPTS : value))],
  [
    'pci/isr/config-bit-of-failure',
    interrupting((hardware, queue, usual) => {
      usual();
      if (queue < 0) hardware.isr = 1;
    }),
  ],
  ['pci/isr/line-of-failure', line((value, { isr }) => ((isr & 2) === 0 ? value : value & ~INTERRUPTS))],
  [
    'pci/isr/failure-before-driver-ok',
    {
      write: (hardware, space, _offset, _width, value, usual) => {
        usual(value);
        if (space === 'notify' && !hardware.isLive) hardware.isr |= 2;
      },
    },
  ],
];

/** Loses what is written to a word of each entry of the table. */
function losesWord(word: number): PciBug {
  return {
    write: (_hardware, space, offset, _width, value, usual) => {
      if (space !== 'table' || offset % 16 !== 4 * word) usual(value);
    },
  };
}

/** Vectors that are mapped, of both kinds of events. */
const VECTOR_BUGS: readonly Named[] = (['config', 'queue'] as const).flatMap((event): readonly Named[] => {
  const { offset } = event === 'config' ? COMMON.configVector : COMMON.queueVector;
  const behind = (value: number, isSo: (written: number) => boolean): PciBug => ({
    ...writing('common', offset, (written, hardware, usual) => {
      usual(written);
      hardware.count = isSo(written) ? 1 : 0;
    }),
    ...reading('common', offset, (usual, { count }) => (count === 1 ? value : usual)),
  });
  return [
    [
      `pci/msix/${event}-any-vector`,
      writing('common', offset, (value, _hardware, usual) => usual(value === 2 ? NO_VECTOR : value)),
    ],
    [
      `pci/msix/${event}-unmapped`,
      writing('common', offset, (value, _hardware, usual) => {
        if (value !== NO_VECTOR) usual(value);
      }),
    ],
    [`pci/msix/${event}-no-vector-behind`, behind(VECTORS_OF_TABLE, (value) => value === VECTORS_OF_TABLE)],
    [`pci/msix/${event}-no-vector-0x7ff`, behind(0x7ff, (value) => value === 0x7ff)],
    [`pci/msix/${event}-no-vector-0xfffe`, behind(0xfffe, (value) => value === 0xfffe)],
  ];
});

/** Masks of a vector and of the function. */
const MASK_BUGS: readonly Named[] = (['vector', 'function'] as const).flatMap((what): readonly Named[] => {
  const space = what === 'vector' ? 'table' : 'config';
  const isMasked = (hardware: PciHardware, vector: number): boolean =>
    what === 'vector'
      ? (hardware.table.getUint32(16 * vector + 12, true) & 1) !== 0 && (hardware.config.control & 0x4000) === 0
      : (hardware.config.control & 0x4000) !== 0;
  /** Before and after a write that takes a mask away. */
  const unmasking = (act: (hardware: PciHardware, isBefore: boolean) => void): PciBug => ({
    write: (hardware, where, _offset, _width, value, usual) => {
      const wasMasked = isMasked(hardware, 0);
      if (where === space && wasMasked) act(hardware, true);
      usual(value);
      if (where === space && wasMasked && !isMasked(hardware, 0)) act(hardware, false);
    },
  });
  return [
    [
      `pci/msix/${what}-masked`,
      interrupting((hardware, queue, usual) => {
        const vector = vectorOf(hardware, queue);
        if (vector < VECTORS_OF_TABLE && isMasked(hardware, vector)) hardware.message(vector);
        else usual();
      }),
    ],
    [`pci/msix/${what}-pending`, reading('pending', 0, (value, hardware) => (isMasked(hardware, 0) ? 0 : value))],
    [
      `pci/msix/${what}-unmasked`,
      unmasking((hardware, isBefore) => {
        if (isBefore) hardware.pending = 0;
      }),
    ],
    [
      `pci/msix/${what}-pending-cleared`,
      {
        ...unmasking((hardware, isBefore) => {
          if (isBefore && hardware.pending !== 0) hardware.count = 1;
        }),
        ...reading('pending', 0, (value, { count }) => value | count),
      },
    ],
    [
      `pci/msix/${what}-unmasked-idle`,
      unmasking((hardware, isBefore) => {
        if (!isBefore && hardware.hasMsix) hardware.message(0);
      }),
    ],
    [
      `pci/msix/${what}-served-while-masked`,
      interrupting((hardware, _queue, usual) => {
        if (isMasked(hardware, 0)) hardware.count++;
        if (hardware.count <= 5) usual();
        else hardware.pending = 0;
      }),
    ],
  ];
});

/** The bugs of MSI-X, each by the case that has to find it. */
const MSIX_BUGS: readonly Named[] = [
  ['pci/msix/vectors', configured({ [msix + 2]: 0 })],
  ['pci/msix/table-inside', configured({ [msix + 6]: 0xff })],
  ['pci/msix/pending-inside', configured({ [msix + 10]: 0xff })],
  ['pci/msix/table-apart', configured({ [msix + 9]: 0 })],
  ['pci/msix/size-fixed', remembering('config', msix + 2)],
  [
    'pci/msix/control-kept',
    writing('config', msix + 2, (value, _hardware, usual) => usual((value & 0x8000) === 0 ? 0 : value)),
  ],
  ...(['address-low', 'address-high', 'data', 'mask'] as const).map((name, word): Named => [
    `pci/msix/entry-keeps-${name}`,
    losesWord(word),
  ]),
  ['pci/msix/pending-fixed', remembering('pending', 0)],
  ...VECTOR_BUGS,
  [
    'pci/msix/queue-keeps-vector-when-disabled',
    writing('config', msix + 2, (value, hardware, usual) => {
      usual(value);
      if ((value & 0x8000) === 0) for (const queue of hardware.queues) queue.vector = NO_VECTOR;
    }),
  ],
  ...LAYOUTS.flatMap((layout): readonly Named[] => [
    [
      `pci/msix/message/${layout}`,
      interrupting((hardware, _queue, usual) => {
        if (layoutOf(hardware) === layout && hardware.hasMsix) hardware.send(1);
        else usual();
      }),
    ],
    [
      `pci/msix/no-vector/${layout}`,
      interrupting((hardware, queue, usual) => {
        const isSo = hardware.hasMsix && vectorOf(hardware, queue) === NO_VECTOR && layoutOf(hardware) === layout;
        if (isSo) hardware.send(0);
        else usual();
      }),
    ],
    [
      `pci/msix/two-queues/${layout}`,
      interrupting((hardware, queue, usual) => {
        if (queue > 0 && layoutOf(hardware) === layout) hardware.send(hardware.queues[0]!.vector);
        else usual();
      }),
    ],
  ]),
  [
    'pci/msix/message-of-vector-0',
    interrupting((hardware, queue, usual) => {
      if (!hardware.hasMsix || vectorOf(hardware, queue) !== 0) usual();
    }),
  ],
  [
    'pci/msix/moved',
    interrupting((hardware, queue, usual) => {
      const vector = vectorOf(hardware, queue);
      if (vector === NO_VECTOR) return usual();
      hardware.count ||= vector + 1;
      hardware.send(hardware.count - 1);
    }),
  ],
  [
    'pci/msix/unmapped-again',
    interrupting((hardware, queue, usual) => {
      const vector = vectorOf(hardware, queue);
      if (vector !== NO_VECTOR) hardware.count = vector + 1;
      if (vector === NO_VECTOR && hardware.count > 0) hardware.send(hardware.count - 1);
      else usual();
    }),
  ],
  [
    'pci/msix/shared-with-configuration',
    interrupting((hardware, queue, usual) => {
      if (queue < 0 || vectorOf(hardware, queue) !== hardware.configVector) usual();
    }),
  ],
  [
    'pci/msix/data',
    interrupting((hardware, queue, usual) => {
      const vector = vectorOf(hardware, queue);
      const at = 16 * vector + 8;
      if (vector >= VECTORS_OF_TABLE) return usual();
      const data = hardware.table.getUint32(at, true);
      hardware.table.setUint32(at, data & 0xffff, true);
      usual();
      hardware.table.setUint32(at, data, true);
    }),
  ],
  [
    'pci/msix/address',
    interrupting((hardware, queue, usual) => {
      const at = 16 * vectorOf(hardware, queue);
      if (at >= 16 * VECTORS_OF_TABLE) return usual();
      const low = hardware.table.getUint32(at, true);
      hardware.count ||= low;
      hardware.table.setUint32(at, hardware.count, true);
      usual();
      hardware.table.setUint32(at, low, true);
    }),
  ],
  [
    'pci/msix/disabled',
    interrupting((hardware, queue, usual) => {
      const vector = vectorOf(hardware, queue);
      if (!hardware.hasMsix && vector < VECTORS_OF_TABLE) hardware.message(vector);
      usual();
    }),
  ],
  ...MASK_BUGS,
  [
    'pci/msix/other-vector-masked',
    interrupting((hardware, _queue, usual) => {
      const isAny = Array.from({ length: VECTORS_OF_TABLE }, (_, i) => i).some((vector) => hardware.isMasked(vector));
      if (!isAny) usual();
    }),
  ],
  [
    'pci/msix/pending-of-its-own',
    interrupting((hardware, _queue, usual) => {
      usual();
      if (hardware.pending !== 0) hardware.pending = 0xf;
    }),
  ],
  [
    'pci/msix/failure',
    interrupting((_hardware, queue, usual) => {
      if (queue >= 0) usual();
    }),
  ],
  [
    'pci/msix/failure-without-vector',
    interrupting((hardware, queue, usual) => {
      if (queue < 0 && hardware.configVector === NO_VECTOR) hardware.send(0);
      else usual();
    }),
  ],
  [
    'pci/msix/failure-pending',
    interrupting((hardware, queue, usual) => {
      const { configVector } = hardware;
      if (queue >= 0 || configVector >= VECTORS_OF_TABLE || !hardware.isMasked(configVector)) usual();
    }),
  ],
  [
    'pci/msix/address-nowhere',
    interrupting((hardware, queue, usual) => {
      const vector = vectorOf(hardware, queue);
      const isFar = vector < VECTORS_OF_TABLE && hardware.table.getUint32(16 * vector + 4, true) !== 0;
      if (isFar) hardware.crash();
      else usual();
    }),
  ],
];

/** The bugs of interrupts, each by the case that has to find it. */
export const INTERRUPT_BUGS: readonly Named[] = [...ISR_BUGS, ...MSIX_BUGS];
