import { FeatureSet } from '@virtio-platform/core/features';
import { ConfigSpace, readChain, writeChain } from '@virtio-platform/device-kit';
import {
  CFG_EV_BITS,
  CFG_ID_NAME,
  EV_KEY,
  EV_LED,
  EVENT_BYTES,
  EVENT_QUEUE,
  eventOf,
  INPUT_CONFIG,
  LED_CAPSL,
} from './layout.js';

/** Events that wait for the driver's buffers. The keyboard drops keys that are typed beyond them. */
const MOST_PENDING = 4096;

/** The device half: a keyboard on which a text is typed, one key in each interval, whether or not the driver waits. */
export class Keyboard {
  features = FeatureSet.EMPTY;
  queueSizes = [64, 64];
  /** The timer runs while the driver is idle. */
  usesEventLoop = true;
  /** Whether the driver turned the light on. */
  isCapsLockOn = false;
  #settings;
  #config;
  #littleEndian;
  #bytes = new Uint8Array(EVENT_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #events;
  #timer;
  #sent = 0;
  #typed = 0;

  constructor(settings, byteOrder) {
    this.#settings = settings;
    this.#littleEndian = byteOrder === 'little';
    this.#config = new ConfigSpace(INPUT_CONFIG, byteOrder);
    this.config = this.#config.bytes;
  }

  connect(events) {
    this.#events = events;
  }

  /** Both halves of a selection are fields of their own: each write answers for what is selected then. */
  writeConfig(offset, source) {
    this.config.set(source, offset);
    const answer = this.#answer(this.config[INPUT_CONFIG.select.offset], this.config[INPUT_CONFIG.subsel.offset]);
    this.#config.set(INPUT_CONFIG.size, answer.length);
    this.#config.setBytes(INPUT_CONFIG.u, new Uint8Array(INPUT_CONFIG.u.width));
    this.#config.setBytes(INPUT_CONFIG.u, answer);
  }

  start() {
    this.#sent = 0;
    this.#typed = 0;
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#type(), this.#settings.interval);
  }

  wants(queue) {
    return queue !== EVENT_QUEUE || this.#sent < this.#typed;
  }

  process(queue, chain, space) {
    if (queue !== EVENT_QUEUE) return this.#obey(chain, space);
    if (chain.writableBytes < EVENT_BYTES) return 0;
    const { type, code, value } = eventOf(this.#settings.text, this.#sent++);
    this.#view.setUint16(0, type, this.#littleEndian);
    this.#view.setUint16(2, code, this.#littleEndian);
    this.#view.setUint32(4, value, this.#littleEndian);
    return writeChain(chain, space, 0, this.#bytes, 0, EVENT_BYTES) ? EVENT_BYTES : 0;
  }

  forget() {}

  dispose() {
    clearInterval(this.#timer);
  }

  #type() {
    if (this.#typed - this.#sent >= MOST_PENDING) return;
    this.#typed += 4;
    this.#events?.queueChanged();
  }

  #obey(chain, space) {
    if (chain.readableBytes < EVENT_BYTES || !readChain(chain, space, 0, this.#bytes, 0, EVENT_BYTES)) return 0;
    const isLight =
      this.#view.getUint16(0, this.#littleEndian) === EV_LED &&
      this.#view.getUint16(2, this.#littleEndian) === LED_CAPSL;
    if (isLight) this.isCapsLockOn = this.#view.getUint32(4, this.#littleEndian) !== 0;
    return 0;
  }

  #answer(select, subsel) {
    if (select === CFG_ID_NAME) return new TextEncoder().encode(this.#settings.name).subarray(0, INPUT_CONFIG.u.width);
    // A bit for each key that it has: all of the first 64.
    if (select === CFG_EV_BITS && subsel === EV_KEY) return new Uint8Array(8).fill(0xff);
    return select === CFG_EV_BITS && subsel === EV_LED ? Uint8Array.of(1 << LED_CAPSL) : new Uint8Array(0);
  }
}
