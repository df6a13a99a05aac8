import { openModel, type DeviceTypePlugin } from '@virtio-platform/core';
import {
  FeatureSet,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_VERSION_1,
} from '@virtio-platform/core/features';
import { RING_FEATURES, type QueueLayout } from '@virtio-platform/core/queue';
import { hostProblem, ReadableWait, UnixListener } from '@virtio-platform/host';
import { VHOST_USER_CARRIES, type ProtocolFeatureName } from '@virtio-platform/vhost-user';
import { ServedDevice } from './device/served-device.ts';
import { ServedMemory } from './memory/served-memory.ts';
import type { ServeEvent } from './serve-events.ts';
import { FrontEndSession, type SessionOptions } from './session/front-end-session.ts';

/** What is served, and where. */
export interface ServeOptions {
  readonly type: DeviceTypePlugin;
  /** What the type's schema made of the settings. */
  readonly settings: unknown;
  /** What the device offers; `undefined` offers what the device half and the ring implement. */
  readonly offers?: FeatureSet | undefined;
  /** The layout of its rings. Default: both, and the driver chooses. */
  readonly layout?: QueueLayout | undefined;
  /** The path of the Unix socket. */
  readonly socket: string;
  /** Is told of what happens. */
  readonly onEvent?: ((event: ServeEvent) => void) | undefined;
  /** Ends the server. */
  readonly signal: AbortSignal;
}

/**
 * Serves a device to one front-end after the other, until the signal is aborted. The device outlives a connection: what
 * a driver wrote to a disk is there for the next one. Throws {@link HostError}, and what the device half throws when it
 * is made; then no socket is left.
 */
export async function serveDevice(options: ServeOptions): Promise<void> {
  const problem = hostProblem();
  if (problem !== undefined) throw problem;
  const { type, settings, socket, signal, onEvent: emit = () => {} } = options;
  const model = openModel(type, settings, 'little');
  const frontEnd = type.vhostUser?.frontEnd?.(settings, model.queueSizes.length);
  const control = frontEnd?.control === undefined ? 0 : 1;
  const queueCount = Math.min(model.queueSizes.length, (frontEnd?.queueCount ?? Infinity) - control);
  const device = new ServedDevice(model, queueCount);
  try {
    const assumed = (frontEnd?.assumes ?? FeatureSet.EMPTY).and(model.features);
    const hidden = (frontEnd?.hides ?? FeatureSet.EMPTY).minus(assumed);
    const offers = offered(options, model.features).minus(hidden);
    const memory = new ServedMemory();
    try {
      const listener = new UnixListener(socket);
      try {
        emit({ kind: 'listening', path: socket, offers });
        await serveEach(listener, { type, device, memory, offers, assumed, protocol: protocolOf(type), emit }, signal);
      } finally {
        listener.dispose();
      }
    } finally {
      memory.dispose();
    }
  } finally {
    device.dispose();
  }
}

/** Accepts connections one after the other; others wait meanwhile. */
async function serveEach(listener: UnixListener, options: SessionOptions, signal: AbortSignal): Promise<void> {
  const wait = new ReadableWait(listener.descriptor);
  let session: FrontEndSession | undefined;
  const end = (): void => {
    wait.wake();
    session?.end();
  };
  signal.addEventListener('abort', end, { once: true });
  try {
    while (!signal.aborted) {
      await wait.wait();
      const socket = signal.aborted ? undefined : listener.accept();
      if (socket === undefined) continue;
      options.emit({ kind: 'connected' });
      session = new FrontEndSession(socket, options);
      await session.run();
      options.emit({ kind: 'disconnected', statistics: session.statistics });
      session = undefined;
    }
  } finally {
    signal.removeEventListener('abort', end);
    wait.dispose();
  }
}

/** ACCESS_PLATFORM only where it is asked for: some front-ends refuse a device that offers it and has no IOMMU. */
function offered({ offers, layout }: ServeOptions, implemented: FeatureSet): FeatureSet {
  const all = offers ?? new FeatureSet(implemented.bits | RING_FEATURES.bits).with(VIRTIO_F_VERSION_1);
  const carried = all.and(VHOST_USER_CARRIES);
  const shown = offers === undefined ? carried.without(VIRTIO_F_ACCESS_PLATFORM) : carried;
  return layout === 'split' ? shown.without(VIRTIO_F_RING_PACKED) : shown;
}

/** What the protocol has of every device. */
const PROTOCOL = [
  'MQ',
  'LOG_SHMFD',
  'REPLY_ACK',
  'BACKEND_REQ',
  'INFLIGHT_SHMFD',
  'RESET_DEVICE',
  'CONFIGURE_MEM_SLOTS',
  'STATUS',
] as const;

/** The configuration is the back-end's unless the type says that none has it. */
function protocolOf({ vhostUser, config }: DeviceTypePlugin): readonly ProtocolFeatureName[] {
  const hasConfig = vhostUser === undefined ? Object.keys(config).length > 0 : vhostUser.config !== 'none';
  return hasConfig ? [...PROTOCOL, 'CONFIG'] : PROTOCOL;
}
