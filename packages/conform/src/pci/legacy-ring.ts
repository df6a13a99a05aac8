import type { BenchBuffer, ConformBench, LaidOutRequest } from '@virtio-platform/core';
import { DeviceStatus } from '@virtio-platform/core/device';
import { LEGACY, type LegacyRegisters } from './legacy-registers.ts';

const PAGE = 4096;
const NEXT = 1;
const WRITE = 2;

/** A split ring at the place that the legacy interface has for it, little-endian, filled by hand. */
export class LegacyRing {
  readonly queue: number;
  readonly size: number;
  readonly #bench: ConformBench;
  readonly #registers: LegacyRegisters;
  readonly #buffer: BenchBuffer;
  readonly #used: number;
  #available = 0;
  #taken = 0;
  #descriptor = 0;

  /** Makes a queue of the device start at its own pages. Skips the case where it cannot. */
  constructor(bench: ConformBench, registers: LegacyRegisters, queue: number) {
    this.#bench = bench;
    this.#registers = registers;
    this.queue = queue;
    this.size = registers.readOf(queue, LEGACY.queueSize);
    if (this.size === 0) bench.fail(`queue ${queue} has no entries`);
    this.#used = Math.ceil((16 * this.size + 6 + 2 * this.size) / PAGE) * PAGE;
    this.#buffer = bench.allocate(`the legacy queue ${queue}`, this.#used + 6 + 8 * this.size, PAGE);
    if (this.#buffer.high !== 0 || this.#buffer.low % PAGE !== 0)
      bench.skip('its memory has no page frame number of 32 bits');
    this.#buffer.write(new Uint8Array(this.#buffer.length));
    bench.lend(this.#buffer);
    registers.write(LEGACY.queueAddress, this.frame);
  }

  /** The page frame number. */
  get frame(): number {
    return this.#buffer.low / PAGE;
  }

  /** Describes a request and makes it available. */
  add({ segments }: LaidOutRequest): void {
    const head = this.#descriptor;
    for (const [i, { buffer, isWritable = false }] of segments.entries()) {
      if (isWritable) this.#bench.lend(buffer);
      const isLast = i === segments.length - 1;
      const at = this.#descriptor;
      this.#descriptor = (at + 1) % this.size;
      const bytes = new DataView(new ArrayBuffer(16));
      bytes.setUint32(0, buffer.low, true);
      bytes.setUint32(4, buffer.high, true);
      bytes.setUint32(8, buffer.length, true);
      bytes.setUint16(12, (isWritable ? WRITE : 0) | (isLast ? 0 : NEXT), true);
      bytes.setUint16(14, this.#descriptor, true);
      this.#buffer.write(new Uint8Array(bytes.buffer), 16 * at);
    }
    const ring = 16 * this.size;
    this.#buffer.write(Uint8Array.of(head & 0xff, head >>> 8), ring + 4 + 2 * (this.#available % this.size));
    this.#available = (this.#available + 1) & 0xffff;
    this.#buffer.write(Uint8Array.of(this.#available & 0xff, this.#available >>> 8), ring + 2);
  }

  /** Writes the flags of the available ring. */
  wantNotifications(isWanted: boolean): void {
    this.#buffer.write(Uint8Array.of(isWanted ? 0 : 1, 0), 16 * this.size);
  }

  kick(): void {
    this.#registers.write(LEGACY.queueNotify, this.queue);
  }

  /** The next used entry: its length; `undefined` where there is none. */
  take(): number | undefined {
    const [low = 0, high = 0] = this.#buffer.read(this.#used + 2, 2);
    if ((low | (high << 8)) === this.#taken) return undefined;
    const at = this.#used + 4 + 8 * (this.#taken % this.size);
    this.#taken = (this.#taken + 1) & 0xffff;
    return new DataView(this.#buffer.read(at, 8).slice().buffer).getUint32(4, true);
  }

  /** Serves a request, and checks what comes back. */
  async serve(laid: LaidOutRequest): Promise<void> {
    this.add(laid);
    this.kick();
    await this.takeBack(laid);
  }

  async takeBack(laid: LaidOutRequest): Promise<void> {
    let length: number | undefined;
    await this.#bench.until(`return a buffer of queue ${this.queue}`, () => (length = this.take()) !== undefined);
    const wrong = laid.check({ id: 0, length: length!, flags: 0 });
    if (wrong !== undefined) this.#bench.fail(wrong);
  }
}

/** Starts the device over its legacy interface, with no feature; the queue of the type's requests is set up. */
export async function startLegacy(
  bench: ConformBench,
  registers: LegacyRegisters,
  prepare: () => void = () => {},
): Promise<LegacyRing> {
  // The bench knows by this which queues the requests of the type need.
  await bench.start();
  const { enabled } = bench;
  const queue = bench.layOut(0).request.queue;
  await bench.reset();
  if (enabled.length > 1) bench.skip('its requests need more than one queue');
  if (bench.device.guestByteOrder === 'big') bench.skip('a legacy driver here is big-endian, and the requests are not');
  registers.write(LEGACY.status, DeviceStatus.Acknowledge);
  registers.write(LEGACY.status, DeviceStatus.Acknowledge | DeviceStatus.Driver);
  registers.write(LEGACY.driverFeatures, 0);
  const ring = new LegacyRing(bench, registers, queue);
  prepare();
  registers.write(LEGACY.status, DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.DriverOk);
  return ring;
}
