import { DeviceError, KEPT, type DeviceEvents, type DeviceModel, type DeviceQueues } from '@virtio-platform/core';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_VERSION_1, type FeatureSet } from '@virtio-platform/core/features';
import type { ByteOrder, DescriptorChain } from '@virtio-platform/core/queue';
import { ConfigSpace, readChain, writeChain } from '@virtio-platform/device-kit';
import { BALLOON_CONFIG } from './balloon-config.ts';
import {
  ALL_BALLOON_FEATURES,
  VIRTIO_BALLOON_F_FREE_PAGE_HINT,
  VIRTIO_BALLOON_F_MUST_TELL_HOST,
  VIRTIO_BALLOON_F_PAGE_POISON,
  VIRTIO_BALLOON_F_STATS_VQ,
} from './balloon-features.ts';
import type { BalloonSettings } from './balloon-settings.ts';
import { GivenPages } from './given-pages.ts';
import { HintRounds } from './hint-rounds.ts';
import * as wire from './layout.ts';
import { ReceivedStatistics } from './received-statistics.ts';

/** Largest sizes of the queues: that of libvhost-user, which front-ends of `serve` count on. */
const QUEUE_SIZES = [1024, 1024, 1024, 1024, 1024] as const;
/** What the device writes to a page that it was given, so that a driver that uses the page is noticed. */
const TAKEN_BYTE = 0xba;
/** Page numbers of one request at most: the device does nothing else while it handles them. */
const MOST_NUMBERS = 0x1_0000;
/** Bytes of a report that the device looks at, for the same reason. */
const MOST_REPORTED = 0x400_0000;
/** Requests of pages after which the next target follows though the last one was not reached. */
const PATIENCE = 64;
/** How near to a target a balloon of 64 KiB pages gets, in pages of 4096 bytes. */
const NEAR = 16;

/**
 * The device half of a memory balloon (specification 1.4 section 5.5). It fills pages that it is given, so that their
 * content is lost, and with MUST_TELL_HOST looks at each page that the driver takes back: one that was written in the
 * meantime was used while it was in the balloon. What a driver must not send is answered as if it were not there, and
 * reported as `ERR_DRIVER_REQUEST`: a page outside of memory, a page that is given twice or was never given, lengths
 * that are no whole numbers.
 *
 * Page numbers are guest-physical. With ACCESS_PLATFORM the address space translates, so that the device half would
 * write to other pages: then it keeps account of pages and touches none.
 */
export class BalloonDevice implements DeviceModel {
  readonly features: FeatureSet = ALL_BALLOON_FEATURES;
  readonly queueSizes: readonly number[] = QUEUE_SIZES;
  readonly config: Uint8Array;
  readonly usesEventLoop: boolean;
  /** The pages that are in the balloon. */
  readonly given: GivenPages = new GivenPages();
  readonly hints: HintRounds = new HintRounds();
  readonly statistics: ReceivedStatistics;
  /** Bytes that were reported as free, in all. */
  reportedBytes = 0;
  readonly #settings: BalloonSettings;
  readonly #littleEndian: boolean;
  readonly #config: ConfigSpace;
  readonly #configView: DataView;
  readonly #scratch: Buffer = Buffer.alloc(wire.BALLOON_PAGE_SIZE);
  readonly #numbers: DataView = new DataView(new ArrayBuffer(wire.MOST_PAGE_NUMBERS * wire.PAGE_NUMBER_SIZE));
  readonly #numberBytes: Uint8Array = new Uint8Array(this.#numbers.buffer);
  readonly #taken: Buffer = Buffer.alloc(wire.BALLOON_PAGE_SIZE, TAKEN_BYTE);
  readonly #poison: Uint32Array = new Uint32Array(wire.BALLOON_PAGE_SIZE / 4);
  readonly #poisonBytes: Uint8Array = new Uint8Array(this.#poison.buffer);
  #events: DeviceEvents | undefined;
  #queues: DeviceQueues | undefined;
  #asksHints = false;
  #mustTell = false;
  #poisons = false;
  #isPhysical = true;
  #mayIgnoreFirst = false;
  #target = 0;
  /** Requests of pages since the last step. */
  #sinceStep = 0;
  #statisticsHead = -1;
  /** Whether a driver may not know which of its requests were handled: a queue was reset. */
  #mayRepeat = false;
  #interval: NodeJS.Timeout | undefined;
  #pending: NodeJS.Timeout | undefined;

  constructor(settings: BalloonSettings, byteOrder: ByteOrder) {
    this.#settings = settings;
    this.#littleEndian = byteOrder === 'little';
    this.statistics = new ReceivedStatistics(this.#littleEndian);
    this.usesEventLoop = settings.statistics > 0 || settings.interval > 0;
    this.#config = new ConfigSpace(BALLOON_CONFIG, byteOrder);
    this.config = this.#config.bytes;
    this.#configView = new DataView(this.config.buffer);
    this.#setTarget(0);
  }

  connect(events: DeviceEvents): void {
    this.#events = events;
  }

  start(accepted: FeatureSet): void {
    this.dispose();
    this.given.clear();
    this.hints.reset();
    this.statistics.clear();
    this.reportedBytes = 0;
    this.#statisticsHead = -1;
    this.#mayRepeat = false;
    this.#sinceStep = 0;
    this.#asksHints = this.#settings.hints && accepted.has(VIRTIO_BALLOON_F_FREE_PAGE_HINT);
    this.#mustTell = accepted.has(VIRTIO_BALLOON_F_MUST_TELL_HOST);
    this.#poisons = accepted.has(VIRTIO_BALLOON_F_PAGE_POISON);
    this.#isPhysical = !accepted.has(VIRTIO_F_ACCESS_PLATFORM);
    this.#mayIgnoreFirst = !accepted.has(VIRTIO_F_VERSION_1);
    this.#poison.fill(this.#configView.getUint32(BALLOON_CONFIG.poison_val.offset, true));
    this.#config.set(BALLOON_CONFIG.actual, 0);
    this.#setTarget(0);
    if (this.#asksHints) this.hints.ask();
    // The driver may have looked at what was left of the run before.
    this.#tellConfig();
    const { statistics } = this.#settings;
    if (statistics > 0 && accepted.has(VIRTIO_BALLOON_F_STATS_VQ))
      this.#interval = setInterval(() => this.askStatistics(), statistics);
  }

  writeConfig(offset: number, source: Uint8Array): void {
    this.config.set(source, offset);
    if (offset !== BALLOON_CONFIG.actual.offset) return;
    const actual = this.#configView.getUint32(offset, true);
    const wanted = this.#configView.getUint32(BALLOON_CONFIG.num_pages.offset, true);
    if (Math.abs(actual - wanted) < NEAR) this.#nextStep();
  }

  /** Everything that a driver sends is handled at once. */
  wants(_queue: number): boolean {
    return true;
  }

  process(queue: number, chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): number {
    this.#queues = queues;
    switch (queue) {
      case wire.INFLATE_QUEUE:
      case wire.DEFLATE_QUEUE:
        this.#movePages(queue, chain, space, queues);
        if (++this.#sinceStep >= PATIENCE) this.#nextStep();
        return 0;
      case wire.STATS_QUEUE:
        return this.#keepStatistics(chain, space, queues);
      case wire.FREE_PAGE_QUEUE:
        this.#hear(chain, space, queues);
        return 0;
      default:
        return this.#takeReport(queue, chain, space, queues);
    }
  }

  /** Gives back the driver's buffer of statistics, which asks for new ones. Does nothing where there is no buffer. */
  askStatistics(): void {
    if (this.#statisticsHead < 0 || this.#queues === undefined) return;
    const head = this.#statisticsHead;
    this.#statisticsHead = -1;
    this.#queues.push(wire.STATS_QUEUE, head, 0);
    this.#events?.queueChanged();
  }

  forget(queue: number): void {
    this.#mayRepeat = true;
    if (queue === wire.STATS_QUEUE) this.#statisticsHead = -1;
    if (queue !== wire.FREE_PAGE_QUEUE || this.hints.isIdle) return;
    this.hints.restart();
    this.#tellConfig();
  }

  dispose(): void {
    clearInterval(this.#interval);
    clearTimeout(this.#pending);
    this.#interval = this.#pending = undefined;
  }

  /** Handles the page numbers of one request. */
  #movePages(queue: number, chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): void {
    const { readableBytes } = chain;
    const total = Math.floor(readableBytes / wire.PAGE_NUMBER_SIZE);
    const count = Math.min(total, MOST_NUMBERS);
    this.given.reserve(space.memory.size / wire.BALLOON_PAGE_SIZE);
    let problem =
      readableBytes % wire.PAGE_NUMBER_SIZE === 0 ? undefined : `of ${readableBytes} bytes is no list of page numbers`;
    if (total > count) problem = `has ${total} page numbers, and ${MOST_NUMBERS} are handled`;
    for (let done = 0; done < count; done += wire.MOST_PAGE_NUMBERS) {
      const run = Math.min(count - done, wire.MOST_PAGE_NUMBERS);
      if (!readChain(chain, space, done * wire.PAGE_NUMBER_SIZE, this.#numberBytes, 0, run * wire.PAGE_NUMBER_SIZE))
        return;
      for (let i = 0; i < run; i++) {
        const page = this.#numbers.getUint32(i * wire.PAGE_NUMBER_SIZE, this.#littleEndian);
        problem = this.#movePage(queue, page, space) ?? problem;
      }
    }
    if (problem !== undefined) refuse(queues, queue, problem);
  }

  /** Takes a page, or gives it back. Returns what is wrong with that. */
  #movePage(queue: number, page: number, space: DeviceAddressSpace): string | undefined {
    if (!space.memory.contains(page * wire.BALLOON_PAGE_SIZE, wire.BALLOON_PAGE_SIZE))
      return `has page ${page}, which is outside of memory`;
    if (queue === wire.DEFLATE_QUEUE) {
      if (!this.given.delete(page))
        return this.#mayRepeat ? undefined : `has page ${page}, which is not in the balloon`;
      return this.#mustTell && this.#isPhysical ? this.#checkPage(page, space) : undefined;
    }
    if (!this.given.add(page)) return this.#mayRepeat ? undefined : `has page ${page}, which is in the balloon already`;
    if (this.#isPhysical) this.#fillPage(page, space);
    return undefined;
  }

  #fillPage(page: number, space: DeviceAddressSpace): void {
    const address = page * wire.BALLOON_PAGE_SIZE;
    space.write(address >>> 0, Math.floor(address / 2 ** 32), this.#taken, 0, wire.BALLOON_PAGE_SIZE);
  }

  /** The driver may not use a page before the device acknowledged that it leaves the balloon. */
  #checkPage(page: number, space: DeviceAddressSpace): string | undefined {
    const address = page * wire.BALLOON_PAGE_SIZE;
    space.read(address >>> 0, Math.floor(address / 2 ** 32), this.#scratch, 0, wire.BALLOON_PAGE_SIZE);
    if (this.#scratch.equals(this.#taken)) return undefined;
    this.#fillPage(page, space);
    return `has page ${page}, which was written while it was in the balloon`;
  }

  /** Keeps the buffer until statistics are wanted. A driver has one with the device at a time. */
  #keepStatistics(chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): number {
    const problem = this.statistics.read(chain, space);
    // The first buffer of a legacy driver has no values (section 5.5.6.2.3).
    if (this.#mayIgnoreFirst) this.statistics.clear();
    else if (problem !== undefined) refuse(queues, wire.STATS_QUEUE, problem);
    this.#mayIgnoreFirst = false;
    if (this.#statisticsHead >= 0) {
      refuse(queues, wire.STATS_QUEUE, 'is there while the device has another one');
      queues.push(wire.STATS_QUEUE, this.#statisticsHead, 0);
    }
    this.#statisticsHead = chain.head;
    return KEPT;
  }

  /** Handles a command id, or a block that is hinted. The content of a hinted page is left as it is. */
  #hear(chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): void {
    const { readableBytes, writableBytes } = chain;
    const before = this.hints.configured;
    if (readableBytes > 0) {
      if (readableBytes !== wire.CMD_ID_SIZE)
        return refuse(queues, wire.FREE_PAGE_QUEUE, `has a command id of ${readableBytes} bytes`);
      if (!readChain(chain, space, 0, this.#numberBytes, 0, wire.CMD_ID_SIZE)) return;
      this.hints.command(this.#numbers.getUint32(0, this.#littleEndian));
    }
    if (writableBytes % wire.BALLOON_PAGE_SIZE !== 0)
      refuse(queues, wire.FREE_PAGE_QUEUE, `hints ${writableBytes} bytes, which are no pages`);
    else if (writableBytes > 0) this.hints.hint(writableBytes);
    if (this.hints.configured !== before) this.#tellConfig();
  }

  /** Writes to pages that are reported: what the driver says that free pages have, or what the device likes. */
  #takeReport(queue: number, chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): number {
    const { readableBytes, writableBytes } = chain;
    if (readableBytes > 0 || writableBytes % wire.BALLOON_PAGE_SIZE !== 0) {
      refuse(queues, queue, `of ${readableBytes} readable and ${writableBytes} writable bytes is no report of pages`);
      return 0;
    }
    this.reportedBytes += writableBytes;
    const filled = this.#poisons ? this.#poisonBytes : this.#taken;
    const most = Math.min(writableBytes, MOST_REPORTED);
    for (let done = 0; done < most; done += wire.BALLOON_PAGE_SIZE)
      if (!writeChain(chain, space, done, filled, 0, wire.BALLOON_PAGE_SIZE)) return done;
    return most;
  }

  /** The balloon has what it asked for, or will not get it: what comes next. */
  #nextStep(): void {
    this.#sinceStep = 0;
    const { interval } = this.#settings;
    if (interval === 0) this.#step();
    else this.#pending ??= setTimeout(() => this.#step(), interval);
  }

  #step(): void {
    this.#pending = undefined;
    const { targets } = this.#settings;
    let isChanged = false;
    if (targets.length > 1) {
      this.#setTarget((this.#target + 1) % targets.length);
      isChanged = true;
    }
    if (this.#asksHints && this.hints.isIdle) {
      this.hints.ask();
      isChanged = true;
    }
    if (isChanged) this.#tellConfig();
  }

  #setTarget(index: number): void {
    this.#target = index;
    this.#config.set(BALLOON_CONFIG.num_pages, (this.#settings.targets[index] ?? 0) / wire.BALLOON_PAGE_SIZE);
  }

  #tellConfig(): void {
    this.#config.set(BALLOON_CONFIG.free_page_hint_cmd_id, this.hints.configured);
    this.#events?.configChanged();
  }
}

/** Records that a driver sent what it must not; the device goes on without it. */
function refuse(queues: DeviceQueues, queue: number, problem: string): void {
  const message = `a buffer of queue ${queue} ${problem} (virtio 1.4 §5.5.6)`;
  queues.report(queue, new DeviceError('ERR_DRIVER_REQUEST', message, { hint: 'the mistake is the driver’s' }));
}
