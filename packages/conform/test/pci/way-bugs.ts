import { COMMON } from '../../src/pci/common-registers.ts';
import { INTERRUPT_WAYS, type InterruptWay } from '../../src/pci/interrupt-mode.ts';
import type { BrokenRing, Bug } from '../broken/broken-device.ts';
import { NOTIFICATION_BUGS } from '../broken/notification-bugs.ts';
import { QUEUE_BUGS } from '../broken/queue-bugs.ts';
import { interrupting, reading } from './broken-registers.ts';
import { layoutOf } from './notify-bugs.ts';
import type { PciBug, PciHardware } from './pci-hardware.ts';
import type { BrokenFunction } from './pci-harness.ts';

type Layout = 'split' | 'packed';
type Shown = NonNullable<Bug['shown']>;

/** How a function interrupts at this moment. */
function wayOf(hardware: PciHardware): InterruptWay {
  if (!hardware.hasMsix) return 'intx';
  return hardware.queues[0]?.vector === hardware.configVector ? 'msix-shared' : 'msix';
}

function shownBy(name: string): Shown {
  return [...NOTIFICATION_BUGS, ...QUEUE_BUGS].find((bug) => bug.name === name)!.shown!;
}

/** Interrupts in some way, whatever is masked. */
function interruptNow(hardware: PciHardware, way: InterruptWay): void {
  if (way === 'intx') hardware.isr |= 1;
  else hardware.message(way === 'msix' ? 1 : 0);
}

/** Loses interrupts in one way and on one layout. */
function lossy(
  way: InterruptWay,
  layout: Layout,
  isLost: (hardware: PciHardware, queue: number) => boolean,
): BrokenFunction {
  const pci = interrupting((hardware, queue, usual) => {
    const isHere = wayOf(hardware) === way && layoutOf(hardware) === layout;
    if (!isHere || !isLost(hardware, queue)) usual();
  });
  return { pci };
}

/** Interrupts as the driver polls the status, where `isSo`. */
function spurious(
  way: InterruptWay,
  layout: Layout,
  isSo: (hardware: PciHardware, status: number) => boolean,
  rest: PciBug = {},
): BrokenFunction {
  return {
    pci: {
      ...rest,
      ...reading('common', COMMON.status.offset, (status, hardware) => {
        remember(hardware);
        const isHere = hardware.memo.get(WAY) === INTERRUPT_WAYS.indexOf(way);
        const hasLayout = hardware.memo.get(LAYOUT) === (layout === 'packed' ? 1 : 0);
        if (isHere && hasLayout && isSo(hardware, status)) interruptNow(hardware, way);
        return status;
      }),
    },
  };
}

/** Keys of what a bug remembers of a device that was at work: how it interrupts, and its layout. */
const WAY = -1;
const LAYOUT = -2;

function remember(hardware: PciHardware): void {
  if (hardware.queues[0]?.isEnabled !== true) return;
  hardware.memo.set(WAY, INTERRUPT_WAYS.indexOf(wayOf(hardware)));
  hardware.memo.set(LAYOUT, layoutOf(hardware) === 'packed' ? 1 : 0);
}

/** A bug of rings in one way: the hook needs the function. */
function ringBug(way: InterruptWay, layout: Layout, hardware: () => PciHardware, shown: Shown): BrokenFunction {
  const hook: Shown = (ring, isWanted, slots) =>
    wayOf(hardware()) === way && ring.layout === layout ? shown(ring, isWanted, slots) : isWanted;
  return { ring: { shown: hook } };
}

/** Whether a buffer of queue 0 is available. */
function hasBuffer({ memory, queues }: PciHardware, layout: Layout): boolean {
  const words = queues[0]?.words;
  if (words === undefined || queues[0]?.isEnabled !== true) return false;
  if (layout === 'split') return memory.u16[(words[2]! + 2) / 2] !== 0;
  return (memory.u16[(words[0]! + 14) / 2]! & 0x80) !== 0;
}

/** Counts the resets of a device that was at work. */
function countResets(hardware: PciHardware, usual: () => void): void {
  if (hardware.isLive) hardware.count++;
  usual();
}

/** The bug of a case that runs in one way; `undefined` for another case. */
export function wayBugOf(id: string, hardware: () => PciHardware): BrokenFunction | undefined {
  const found = /^pci\/by-(intx|msix|msix-shared)\/(.+?)(?:\/(split|packed))?$/.exec(id);
  if (found === null) return undefined;
  const way = found[1] as InterruptWay;
  const layout = (found[3] ?? 'split') as Layout;
  const ring = (shown: Shown): BrokenFunction => ringBug(way, layout, hardware, shown);
  const bugs: Readonly<Record<string, () => BrokenFunction>> = {
    'notify/wanted': () => lossy(way, layout, () => true),
    'notify/suppressed': () => ring(() => true),
    'notify/wanted-again': () => ring(shownBy('stops to notify once it was suppressed')),
    'notify/used-event-ignored': () => ring(shownBy('obeys used_event without EVENT_IDX')),
    'notify/flags-ignored-with-event-idx': () => ring(shownBy('obeys avail.flags with EVENT_IDX')),
    'notify/event': () => ring(shownBy('notifies of every second event')),
    'notify/event-in-batch': () => ring(shownBy('looks at the event of the last used entry of a batch only')),
    'notify/event-not-reached': () => ring((broken, isWanted) => isWanted || broken.eventIdx),
    'queues/notified-of-each': () => lossy(way, layout, (_hardware, queue) => queue > 0),
    'queues/events-apart': () => ring(shownBy('knows the event of its first queue only')),
    'status/idle-before-driver-ok': () =>
      spurious(way, layout, (broken, status) => (status & 0xc) === 8 && hasBuffer(broken, layout)),
    'reset/touches-nothing': () =>
      spurious(way, layout, (_hardware, status) => status === 0, {
        reset: (broken, usual) => {
          remember(broken);
          usual();
        },
      }),
    'queue-reset/touches-nothing': () =>
      spurious(
        way,
        layout,
        ({ queues, accepted }, status) => (status & 4) !== 0 && accepted.has(40) && queues[0]?.isEnabled === false,
      ),
    'suspend/touches-nothing': () => spurious(way, layout, (_hardware, status) => (status & 0x10) !== 0),
    'driven/one-by-one': () => lossy(way, layout, (broken) => ++broken.count === 50),
    'driven/batches': () => ring((_ring: BrokenRing, isWanted, slots) => isWanted && slots.length < 2),
    'driven/after-restart': () => {
      const { pci } = lossy(way, layout, ({ count }) => count > 3);
      return { pci: { ...pci, reset: countResets } };
    },
    'driven/largest-ring': () => lossy(way, layout, ({ queues }, queue) => (queues[queue]?.size ?? 0) > 256),
    'driven/early-buffers': () => {
      const { pci } = lossy(way, layout, (broken) => broken.count-- > 0);
      const write: PciBug['write'] = (broken, space, offset, _width, value, usual) => {
        const isStart = space === 'common' && offset === COMMON.status.offset && (value & 4) !== 0;
        broken.count = isStart ? (hasBuffer(broken, layout) ? 1 : 0) : Math.max(0, broken.count);
        usual(value);
      };
      return { pci: { ...pci, write } };
    },
  };
  return bugs[found[2]!]?.();
}
