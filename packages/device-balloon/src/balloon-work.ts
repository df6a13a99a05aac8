import {
  DeviceError,
  type MismatchKind,
  type WorkDone,
  type Workload,
  type WorkloadContext,
} from '@virtio-platform/core';
import { formatByteSize } from '@virtio-platform/core/memory';
import { hexadecimal, MismatchLog, NO_BUFFER, Random } from '@virtio-platform/device-kit';
import type { BalloonDriver } from './balloon-driver.ts';
import type { BalloonSettings } from './balloon-settings.ts';
import { GuestContent } from './guest-content.ts';

/** The options of the workloads over a balloon. */
export interface BalloonWorkOptions {
  /** Bytes of a page of the guest: a power of two from 4096 to 1 MiB. */
  readonly pageSize: number;
  /** Pages of the guest in one request at most. */
  readonly batch: number;
  /** The part of the requests that report free pages, 0 to 1. */
  readonly reports: number;
  /** The part of the rounds in which the guest runs out of memory, 0 to 1. */
  readonly pressure: number;
}

/** Pages that the guest itself uses at most, and how many of them come or go in one round. */
const MOST_USED = 96;
const CHURN = 2;
/** Blocks of one report at most. */
const MOST_REPORTED = 4;
/** Buffers of a round of hints that are added at once. */
const HINTS_AT_ONCE = 8;
/** How often the device is told of the size of the balloon until it is asked: another thread takes long to answer. */
const LOOK_EVERY = 16;
/** How long the guest may have no free page for a balloon that wants more. */
const OUT_OF_PAGES_MS = 1000;

/**
 * Moves pages into the balloon and out of it, as the device asks. A request is a buffer of page numbers, or a report.
 * Where the balloon has what the device asks for, pages are exchanged, as Linux does when it compacts memory: other
 * pages go in, then pages come out. What is compared: every page that is not in the balloon keeps its content, reported
 * pages keep the poison, and the device says of `actual` what it was told. Statistics and hints are answered.
 */
export class BalloonWork implements Workload {
  readonly #context: WorkloadContext<BalloonSettings, BalloonWorkOptions>;
  readonly #driver: BalloonDriver;
  readonly #random: Random;
  readonly #content: GuestContent;
  readonly #mismatches: MismatchLog;
  /** Requests that were submitted, and those that came back. */
  #made = 0;
  #completed = 0;
  #reportedBytes = 0;
  #repeated = 0;
  /** Since when no page is free although the device wants more; -1 while one is. */
  #outSince = -1;
  /** How often the device was told of the size of the balloon. */
  #updates = 0;

  constructor(driver: BalloonDriver, context: WorkloadContext<BalloonSettings, BalloonWorkOptions>) {
    const { memory, inspected, seed } = context;
    this.#context = context;
    this.#mismatches = new MismatchLog(context.loop);
    this.#driver = driver;
    this.#random = new Random(seed);
    const { pages } = driver;
    const mismatches = this.#mismatches;
    this.#content = new GuestContent({ memory, inspected, pages, seed, most: MOST_USED, mismatches });
  }

  get done(): WorkDone {
    const bytes = this.#driver.moved * this.#driver.pages.size + this.#reportedBytes;
    const mismatches = this.#mismatches.report;
    return { requests: this.#completed, bytes, repeated: this.#repeated, mismatches };
  }

  async run(): Promise<void> {
    const { loop, requests } = this.#context;
    const driver = this.#driver;
    // The device may have changed since the driver half was opened: it is started only now.
    driver.configChanged();
    while (this.#completed < requests) {
      for (let i = 0; i < CHURN; i++) this.#content.churn(this.#random, this.#completed + 1);
      const reason = Math.min(driver.step(HINTS_AT_ONCE), this.#submit());
      if (reason < 0 && reason !== NO_BUFFER && !this.#isBusy) loop.failedToAdd(reason);
      driver.publish();
      loop.disrupt(this.#completed);
      driver.notify();
      const came = this.#collect();
      if (driver.updateActual() && this.#updates++ % LOOK_EVERY === 0) this.#checkActual();
      await loop.turn(came, this.#completed);
    }
    this.#content.check(this.#completed);
    if (this.#updates > 0) this.#checkActual();
  }

  recover(queue: number, ids: readonly number[]): void {
    this.#driver.recover(queue, ids);
    this.#repeated += ids.length;
  }

  /** Whether the device has something that it is going to give back. */
  get #isBusy(): boolean {
    const { inFlight, reports } = this.#driver;
    return inFlight > 0 || (reports?.queue.outstanding ?? 0) > 0;
  }

  /** Submits requests, as many as there is room for. Returns 0, or the negative reason why one was not added. */
  #submit(): number {
    const { requests, depth } = this.#context;
    for (let i = 0; i < depth && this.#made < requests; i++) {
      const result = this.#make();
      if (result < 0) return result;
      if (result === 0) return 0;
      this.#made++;
    }
    return 0;
  }

  /** Makes one request. Returns a negative reason, or 0 where nothing can be asked for now. */
  #make(): number {
    const driver = this.#driver;
    const { batch, reports, pressure } = this.#context.options;
    const draw = this.#random.next() / 2 ** 32;
    if (draw < reports) {
      const result = driver.report(1 + this.#random.below(MOST_REPORTED));
      if (result !== 0) return result;
    }
    const most = 1 + this.#random.below(batch);
    const wanted = driver.target - driver.planned;
    const isPressed = driver.mayDeflateOnOom && draw > 1 - pressure;
    if (isPressed && driver.size > 0) return driver.deflate(most, this.#random);
    if (wanted < 0) return driver.deflate(Math.min(most, -wanted), this.#random);
    const given = driver.inflate(wanted === 0 ? most : Math.min(most, wanted));
    if (given !== 0) {
      this.#outSince = -1;
      return given;
    }
    return this.#runOutOfPages();
  }

  /** No page is free. The guest does without pages of its own, or takes pages back where it may. */
  #runOutOfPages(): number {
    const driver = this.#driver;
    if (driver.mayDeflateOnOom && driver.size > 0) return driver.deflate(this.#context.options.batch, this.#random);
    if (this.#content.drop(this.#random, this.#completed + 1) || this.#isBusy) return 0;
    const now = performance.now();
    if (this.#outSince < 0) this.#outSince = now;
    if (now - this.#outSince < OUT_OF_PAGES_MS) return 0;
    const { target, size, pages } = driver;
    const [asked, has] = [target, size].map((count) => formatByteSize(count * pages.size));
    throw new DeviceError('ERR_DMA_EXHAUSTED', `the balloon is to have ${asked}, has ${has}, and no page is free`, {
      hint: 'make the targets of the device smaller than the memory of the guest, or machine.memory larger',
    });
  }

  /** Takes back what came. */
  #collect(): number {
    const driver = this.#driver;
    const moved = driver.poll();
    const reported = driver.reports?.poll() ?? 0;
    if (reported > 0) this.#checkReport();
    this.#completed += moved + reported;
    // What the device asks for by itself is no progress: it may go on for ever.
    driver.statistics?.poll();
    driver.hints?.poll();
    return moved + reported;
  }

  /** A device may write to pages that were reported, but with PAGE_POISON nothing else than the poison. */
  #checkReport(): void {
    const { reports, poison } = this.#driver;
    if (reports === undefined) return;
    const wrong = poison === undefined ? -1 : reports.firstUnpoisoned(poison);
    if (wrong < 0) this.#reportedBytes += reports.count * reports.blockBytes;
    else this.#note('data', reports.queue.index, `reported page ${hexadecimal(wrong)}`, 'the poison is gone', wrong);
    reports.release();
  }

  #checkActual(): void {
    const { told, says } = this.#driver.readActual();
    if (told === says) return;
    const detail = `the device says ${says} pages, and was told ${told}`;
    this.#note('data', 0, 'actual', detail, undefined);
  }

  #note(kind: MismatchKind, queue: number, what: string, detail: string, address: number | undefined): void {
    this.#mismatches.note(kind, () => ({
      request: this.#completed + 1,
      what,
      detail,
      queue,
      buffer: null,
      address: address === undefined ? null : hexadecimal(address),
      deviceAddress: null,
      difference: null,
      status: null,
      used: null,
    }));
  }
}
