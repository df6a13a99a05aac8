import type { Duplex } from 'node:stream';
import { GUEST_OFFLOADS, readNetConfig, type NetDriver } from '@virtio-platform/device-net';
import { DeviceClient } from '../device/device-client.ts';
import { fitDepth } from '../device/fit-load.ts';
import { NetWork } from './net-work.ts';
import { OpenedDevice, type WantedDevice } from '../device/open-device.ts';
import { checkCount } from '../device/check-arguments.ts';
import type { OpenOptions, ProfileLike } from '../device/open-options.ts';
import { untilReady } from '../device/until-ready.ts';
import { streamRequests } from '../link/stream-requests.ts';

/** How a network device is opened. */
export interface NetOptions extends OpenOptions {
  /** Frames of each pair of queues that the device has at once. 64 unless given, less in a small guest memory. */
  readonly depth?: number | undefined;
  /**
   * Bytes of the longest frame, with its Ethernet header and without a checksum. Unless given, what the MTU of the
   * device allows, and 1514 at least.
   */
  readonly frameBytes?: number | undefined;
  /** Frames that each stream buffers each way before the other side waits. 16 unless given. */
  readonly highWaterMark?: number | undefined;
}

const WORKLOAD = { kind: 'echo', requests: 1, depth: 1, blockSize: '64B' } as const;
const DEPTH = 64;
const FRAME_BYTES = 1514;
const ETHERNET_HEADER = 14;
/** Bytes of a receive and a transmit buffer beside the frame, rounded up. */
const BUFFER_OVERHEAD = 512;

/**
 * A network device, as {@link openNet} opens it: streams of frames in object mode, each a Buffer with its Ethernet
 * header. A frame that is read belongs to the program; one that is written has to stay as it is until its callback.
 * Frames that come while the program does not read stay with the device, which drops what finds no buffer.
 */
export class NetClient extends DeviceClient {
  readonly #driver: NetDriver;
  readonly #work: NetWork;

  /** Made by {@link openNet}. */
  constructor(device: OpenedDevice, driver: NetDriver, work: NetWork) {
    super(
      'net',
      device,
      streamRequests(() => work.streams),
    );
    this.#driver = driver;
    this.#work = work;
    this.start(work);
  }

  /** One stream for each pair of queues that the device uses. */
  get pairs(): readonly Duplex[] {
    return this.#work.streams;
  }

  /** The stream of the first pair: the only one of a device without NET_MQ. */
  get frames(): Duplex {
    return this.#work.streams[0]!;
  }

  /** Six bytes in hexadecimal, with colons; `undefined` where the device has no address. */
  get mac(): string | undefined {
    return this.#driver.mac;
  }

  /** Bytes of the longest IP packet; `undefined` where the device does not say. */
  get mtu(): number | undefined {
    return this.#driver.mtu;
  }

  /** Whether the link is up. `change` tells when it changes. */
  get isLinkUp(): boolean {
    return this.#driver.isLinkUp;
  }
}

/**
 * Opens the network device of a profile. Rejects with a coded error; then nothing stays. It keeps the process alive
 * until it is closed, as a socket does. The device leaves no checksum or segments to the program: its GUEST offloads
 * are declined.
 */
export async function openNet(profile: ProfileLike, options: NetOptions = {}): Promise<NetClient> {
  const { depth, highWaterMark } = options;
  checkCount('depth', depth);
  checkCount('frameBytes', options.frameBytes);
  let frameBytes = options.frameBytes ?? FRAME_BYTES;
  const load: WantedDevice['load'] = (queueSizes, memoryBytes, negotiated) => {
    const { mtu = 0 } = readNetConfig(negotiated);
    frameBytes = options.frameBytes ?? Math.max(FRAME_BYTES, mtu + ETHERNET_HEADER);
    const pairs = Math.max(1, queueSizes.length >> 1);
    const entries = Math.min(...queueSizes.slice(0, 2 * pairs));
    const requestBytes = 2 * pairs * (frameBytes + BUFFER_OVERHEAD);
    return { depth: fitDepth({ depth, usualDepth: DEPTH }, requestBytes, entries, memoryBytes), bytes: frameBytes };
  };
  const device = await OpenedDevice.open(
    profile,
    { name: 'net', id: 1, workload: WORKLOAD, load, lacks: GUEST_OFFLOADS },
    options,
  );
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the driver half of the type that was asked for
  const driver = device.driver as NetDriver;
  const work = new NetWork(driver, { messageBytes: frameBytes, highWaterMark, wake: () => device.pump.wake() });
  const client = new NetClient(device, driver, work);
  await untilReady(client, work.connected, options.signal);
  return client;
}
