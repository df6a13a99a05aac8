import type { DriverContext, DriverHalf, DriverQueue } from '@virtio-platform/core';
import type { Virtqueue } from '@virtio-platform/core/queue';
import { ConfigFields, NO_BUFFER, type Random } from '@virtio-platform/device-kit';
import { BALLOON_CONFIG } from './balloon-config.ts';
import { VIRTIO_BALLOON_F_DEFLATE_ON_OOM, VIRTIO_BALLOON_F_PAGE_POISON } from './balloon-features.ts';
import { balloonQueueList, balloonQueues } from './balloon-queues.ts';
import { GuestPages } from './guest-pages.ts';
import { HintQueue } from './hint-queue.ts';
import { BALLOON_PAGE_SIZE } from './layout.ts';
import { PageNumberQueue } from './page-number-queue.ts';
import { ReportingQueue } from './reporting-queue.ts';
import { StatisticsQueue } from './statistics-queue.ts';

/** What free pages are filled with where PAGE_POISON was accepted: Linux's PAGE_POISON in each byte. */
export const POISON = 0xaaaa_aaaa;

/**
 * The driver half of a memory balloon (specification 1.4 section 5.5), after Linux's virtio_balloon: gives pages of
 * guest memory to the device until the balloon has what the device asks for, and takes pages back when it asks for
 * less. It uses no page of the balloon before the device acknowledged that, with or without MUST_TELL_HOST. Sizes are
 * in pages of the guest unless a name says bytes; 4096 bytes each unless `pageSize` says otherwise.
 */
export class BalloonDriver implements DriverHalf {
  /** All pages that driver and workload have taken from guest memory. */
  readonly pages: GuestPages;
  readonly statistics: StatisticsQueue | undefined;
  readonly hints: HintQueue | undefined;
  readonly reports: ReportingQueue | undefined;
  /** What free pages are filled with; `undefined` without PAGE_POISON. */
  readonly poison: number | undefined;
  /** Whether a guest without free memory may take pages back, whatever the target. */
  readonly mayDeflateOnOom: boolean;
  readonly #context: DriverContext;
  readonly #inflate: PageNumberQueue;
  readonly #deflate: PageNumberQueue;
  readonly #queues: readonly Virtqueue[];
  /** By place in `#queues`: whether the device wants to be notified. */
  readonly #wanted: boolean[];
  /** The addresses of the pages that the device acknowledged and was not asked for, the first `#count`. */
  readonly #balloon: Float64Array;
  #count = 0;
  #targetBytes = 0;
  #told = 0;
  #inflated = 0;
  #deflated = 0;

  /**
   * `context.bytes` is the page size of the guest: a multiple of 4096, of which 256 numbers have room. Throws
   * {@link DmaError} and {@link DeviceError}, and then nothing stays allocated.
   */
  constructor(context: DriverContext) {
    const { memory, accepted, transport } = context;
    const pageSize = context.bytes;
    this.#context = context;
    this.pages = new GuestPages(memory, pageSize);
    this.#balloon = new Float64Array(Math.ceil(memory.size / pageSize));
    this.mayDeflateOnOom = accepted.has(VIRTIO_BALLOON_F_DEFLATE_ON_OOM);
    this.poison = accepted.has(VIRTIO_BALLOON_F_PAGE_POISON) ? POISON : undefined;
    const { statistics, hints, reports } = balloonQueues(context);
    const indices = balloonQueueList(context);
    const given = (index: number): DriverQueue => context.queues[indices.indexOf(index)]!;
    this.#queues = context.queues.map(({ queue }) => queue);
    this.#wanted = this.#queues.map(() => false);
    const opened: { dispose(): void }[] = [];
    const open = <Part extends { dispose(): void }>(part: Part): Part => {
      opened.push(part);
      return part;
    };
    try {
      this.#readConfig();
      this.#inflate = open(new PageNumberQueue(context, context.queues[0]!, pageSize));
      this.#deflate = open(new PageNumberQueue(context, context.queues[1]!, pageSize));
      if (statistics !== undefined) this.statistics = open(new StatisticsQueue(context, given(statistics)));
      if (hints !== undefined) this.hints = open(new HintQueue(context, given(hints), this.pages));
      if (reports !== undefined) this.reports = new ReportingQueue(context, given(reports), this.pages);
    } catch (error) {
      for (const part of opened) part.dispose();
      throw error;
    }
    // Before DRIVER_OK, and not changed after it (section 5.5.6.5).
    if (this.poison !== undefined) transport.writeConfig(BALLOON_CONFIG.poison_val.offset, littleEndian(this.poison));
  }

  /** Pages that the device asks for: whole ones, as many as it takes. */
  get target(): number {
    return Math.ceil(this.#targetBytes / this.pages.size);
  }

  /** Pages in the balloon: those that the device acknowledged, and those that it was asked for and has still. */
  get size(): number {
    return this.#count + this.#deflate.pagesInFlight;
  }

  /** Pages that the balloon will have once everything in flight is acknowledged. */
  get planned(): number {
    return this.#count + this.#inflate.pagesInFlight;
  }

  /** Pages that went into the balloon, and out of it, in all. */
  get moved(): number {
    return this.#inflated + this.#deflated;
  }

  /** Buffers that the device has of inflateq and deflateq. */
  get inFlight(): number {
    return this.#inflate.slots.inFlight + this.#deflate.slots.inFlight;
  }

  /** Whether a page is in the balloon for good: the device acknowledged it, and was not asked for it. Cold. */
  holds(address: number): boolean {
    return this.#balloon.subarray(0, this.#count).includes(address);
  }

  /**
   * Gives the device up to `most` pages that are free, in one request. Returns how many pages: 0 where none is free, or
   * a negative reason. The device has them once {@link poll} counted the request.
   */
  inflate(most: number): number {
    const queue = this.#inflate;
    const slot = queue.take();
    if (slot < 0) return NO_BUFFER;
    const limit = Math.min(most, queue.capacity);
    while (queue.count(slot) < limit) {
      const address = this.pages.take();
      if (address < 0) break;
      queue.append(slot, address);
    }
    const count = queue.count(slot);
    const reason = count === 0 ? 0 : queue.submit(slot);
    if (count > 0 && reason === 0) return count;
    for (let i = 0; i < count; i++) this.pages.give(queue.page(slot, i));
    queue.slots.give(slot);
    return reason;
  }

  /**
   * Asks the device for up to `most` pages of the balloon, in one request: those that came last, or with `random` any.
   * Returns how many: 0 where the balloon has none, or a negative reason. They are free once {@link poll} counted the
   * request.
   */
  deflate(most: number, random?: Random): number {
    const queue = this.#deflate;
    const slot = queue.take();
    if (slot < 0) return NO_BUFFER;
    const limit = Math.min(most, queue.capacity, this.#count);
    while (queue.count(slot) < limit) queue.append(slot, this.#pick(random));
    const count = queue.count(slot);
    const reason = count === 0 ? 0 : queue.submit(slot);
    if (count > 0 && reason === 0) return count;
    for (let i = 0; i < count; i++) this.#balloon[this.#count++] = queue.page(slot, i);
    queue.slots.give(slot);
    return reason;
  }

  /** Reports up to `most` blocks of free pages; see {@link ReportingQueue.report}. 0 without PAGE_REPORTING. */
  report(most: number): number {
    return this.reports?.report(most, this.poison) ?? 0;
  }

  /**
   * Does what is due by itself: requests that a queue reset returned, statistics that the device asked for, and up to
   * `most` buffers of the round of hints. Returns 0, or the negative reason why something is not done yet.
   */
  step(most: number): number {
    let reason = Math.min(this.#inflate.resubmit(), this.#deflate.resubmit(), this.reports?.resubmit() ?? 0);
    if (this.statistics?.isDue === true) reason = Math.min(reason, this.statistics.fill(this.#statistics()));
    return Math.min(reason, this.hints?.step(most) ?? 0);
  }

  /** Shows what was added to the device. Hot. */
  publish(): void {
    const queues = this.#queues;
    for (let i = 0; i < queues.length; i++) if (queues[i]!.publish()) this.#wanted[i] = true;
  }

  /** Notifies the device of what was published, where it wants that. Hot. */
  notify(): void {
    for (let i = 0; i < this.#queues.length; i++) {
      if (!this.#wanted[i]!) continue;
      this.#wanted[i] = false;
      this.#context.notify(this.#queues[i]!);
    }
  }

  /** Takes back the requests of pages that the device acknowledged, and returns how many. Hot. */
  poll(): number {
    const inflate = this.#inflate;
    const deflate = this.#deflate;
    const given = inflate.poll();
    for (let i = 0; i < given; i++) {
      const slot = inflate.slots.completedSlots[i]!;
      const count = inflate.count(slot);
      for (let at = 0; at < count; at++) this.#balloon[this.#count++] = inflate.page(slot, at);
      this.#inflated += count;
      inflate.slots.give(slot);
    }
    const taken = deflate.poll();
    for (let i = 0; i < taken; i++) {
      const slot = deflate.slots.completedSlots[i]!;
      const count = deflate.count(slot);
      for (let at = 0; at < count; at++) this.#release(deflate.page(slot, at));
      this.#deflated += count;
      deflate.slots.give(slot);
    }
    return given + taken;
  }

  /** Tells the device how large the balloon is, where that changed since it was told. Returns whether it did. */
  updateActual(): boolean {
    const actual = this.size * (this.pages.size / BALLOON_PAGE_SIZE);
    if (actual === this.#told) return false;
    this.#context.transport.writeConfig(BALLOON_CONFIG.actual.offset, littleEndian(actual));
    this.#told = actual;
    return true;
  }

  /** What the device was told last of the size of the balloon, and what it says itself: pages of 4096 bytes. Cold. */
  readActual(): { readonly told: number; readonly says: number } {
    return { told: this.#told, says: new ConfigFields(this.#context).number(BALLOON_CONFIG.actual, 0) };
  }

  configChanged(): string | undefined {
    const before = this.target;
    const hints = this.#readConfig();
    const target = this.target === before ? undefined : `target ${before} to ${this.target} pages`;
    return target !== undefined && hints !== undefined ? `${target}, and ${hints}` : (target ?? hints);
  }

  /** A queue reset returned the buffers with these ids: {@link step} submits them again. */
  recover(index: number, ids: readonly number[]): void {
    if (index === this.#inflate.slots.queue.index) this.#inflate.recover(ids);
    else if (index === this.#deflate.slots.queue.index) this.#deflate.recover(ids);
    else if (index === this.statistics?.slots.queue.index) this.statistics.recover(ids);
    else if (index === this.hints?.queue.index) this.hints.recover(ids);
    else if (index === this.reports?.queue.index) this.reports.recover(ids);
  }

  describeBuffer(queue: number, id: number): string | undefined {
    if (queue === this.#inflate.slots.queue.index) return `inflation by ${pages(this.#inflate.countOf(id))}`;
    if (queue === this.#deflate.slots.queue.index) return `deflation by ${pages(this.#deflate.countOf(id))}`;
    if (queue === this.statistics?.slots.queue.index) return 'report of the statistics';
    if (queue === this.hints?.queue.index) return this.hints.describeBuffer(id);
    if (queue === this.reports?.queue.index) return `report of free memory, ${this.reports.count} blocks`;
    return undefined;
  }

  dispose(): void {
    this.#inflate.dispose();
    this.#deflate.dispose();
    this.statistics?.dispose();
    this.hints?.dispose();
    this.pages.dispose();
  }

  /** Takes one page out of the list of the balloon. */
  #pick(random: Random | undefined): number {
    const at = random === undefined ? this.#count - 1 : random.below(this.#count);
    const page = this.#balloon[at]!;
    this.#balloon[at] = this.#balloon[--this.#count]!;
    return page;
  }

  /** Makes a page that left the balloon free, with what free pages have. */
  #release(address: number): void {
    const { u32 } = this.#context.memory;
    if (this.poison !== undefined) u32.fill(this.poison, address / 4, (address + this.pages.size) / 4);
    this.pages.give(address);
  }

  /** As Linux, the guest has less memory by what is in the balloon, unless it may take pages back at any time. */
  #statistics(): { free: number; total: number; pageFaults: number } {
    const { memory } = this.#context;
    const total = this.mayDeflateOnOom ? memory.size : memory.size - this.size * this.pages.size;
    return { free: Math.min(this.pages.free, total), total, pageFaults: this.pages.takenInAll };
  }

  /** Reads what the device asks for. Says what a new command id means. */
  #readConfig(): string | undefined {
    const fields = new ConfigFields(this.#context);
    this.#targetBytes = fields.number(BALLOON_CONFIG.num_pages, 0) * BALLOON_PAGE_SIZE;
    return this.hints?.receive(fields.number(BALLOON_CONFIG.free_page_hint_cmd_id, 0));
  }
}

function pages(count: number): string {
  return `${count} ${count === 1 ? 'page' : 'pages'}`;
}

/** A field of the configuration space, which the driver writes as a whole. */
function littleEndian(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}
