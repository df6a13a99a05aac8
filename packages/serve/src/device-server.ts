import { misbehaving, openModel, type DeviceTypePlugin } from '@virtio-platform/core';
import {
  FeatureSet,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_VERSION_1,
} from '@virtio-platform/core/features';
import { RING_FEATURES, type QueueLayout } from '@virtio-platform/core/queue';
import type { Misbehavior } from '@virtio-platform/core/failure';
import { hostProblem, ReadableWait, UnixListener } from '@virtio-platform/host';
import { VHOST_USER_CARRIES, type ProtocolFeatureName } from '@virtio-platform/vhost-user';
import { ServedDevice } from './device/served-device.ts';
import type { ServedRecording } from './device/served-recording.ts';
import { ServedMemory } from './memory/served-memory.ts';
import type { ServeEvent } from './serve-events.ts';
import type { CountedFinding, DriverFinding } from './strict/driver-finding.ts';
import { DriverFindings, type StrictMode } from './strict/driver-findings.ts';
import { StrictCheck } from './strict/strict-check.ts';
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
  /** How the device misbehaves on purpose. */
  readonly misbehaves?: Misbehavior | undefined;
  /** Whether mistakes of drivers are looked for, and whether the first one ends the device. Default: they are not. */
  readonly strict?: StrictMode | undefined;
  /** Microseconds for which rings are looked at, at most, before a notification is waited for. Default: 0. */
  readonly pollMicros?: number | undefined;
  /** Stands in front of the parts of the device while it is recorded. */
  readonly recording?: ServedRecording | undefined;
  /** Is told of what happens. */
  readonly onEvent?: ((event: ServeEvent) => void) | undefined;
  /** Ends the server. */
  readonly signal: AbortSignal;
}

/** What was seen of drivers when a device is not served any more. */
export interface ServeResult {
  /** With `strict`: what they did wrong. */
  readonly findings: readonly CountedFinding[];
  /** The finding that ended the device, with `strict: 'fail'`. */
  readonly failedBy: DriverFinding | undefined;
  /** Whether the device died on purpose. */
  readonly hasDied: boolean;
}

/** How long a driver whose device was ended may see that it needs a reset, before its connection ends too. */
const FAILED_MS = 100;

/**
 * Serves a device to one front-end after the other, until the signal is aborted, a finding ends it, or
 * it dies on purpose. The device outlives a connection: what
 * a driver wrote to a disk is there for the next one. Throws {@link HostError}, and what the device half throws when it
 * is made; then no socket is left.
 */
export async function serveDevice(options: ServeOptions): Promise<ServeResult> {
  const problem = hostProblem();
  if (problem !== undefined) throw problem;
  const { type, settings, socket, strict, recording, pollMicros, onEvent: emit = () => {} } = options;
  const model = misbehaving(openModel(type, settings, 'little'), options.misbehaves);
  const frontEnd = type.vhostUser?.frontEnd?.(settings, model.queueSizes.length);
  const control = frontEnd?.control === undefined ? 0 : 1;
  const queueCount = Math.min(model.queueSizes.length, (frontEnd?.queueCount ?? Infinity) - control);
  let hasDied = false;
  const failed = new AbortController();
  const signal = AbortSignal.any([options.signal, failed.signal]);
  const fail = ({ code }: DriverFinding): void => {
    device.fail(`needs a reset, and ends: ${code}`);
    setTimeout(() => failed.abort(), FAILED_MS);
  };
  const found = (finding: DriverFinding): void => emit({ kind: 'finding', finding });
  const findings = strict === undefined ? undefined : new DriverFindings(strict, { found, failed: fail });
  const assumed = (frontEnd?.assumes ?? FeatureSet.EMPTY).and(model.features);
  const watch = findings && new StrictCheck({ type, settings, model, findings, assumed });
  const device = new ServedDevice(model, queueCount, { watch, recording, pollMicros });
  try {
    const hidden = (frontEnd?.hides ?? FeatureSet.EMPTY).minus(assumed);
    const offers = offered(options, model.features).minus(hidden);
    const memory = new ServedMemory();
    try {
      const listener = new UnixListener(socket);
      try {
        emit({ kind: 'listening', path: socket, offers });
        const protocol = protocolOf(type);
        const died = (): void => {
          hasDied = true;
          failed.abort();
        };
        await serveEach(listener, { type, device, memory, offers, assumed, protocol, emit, died }, signal);
      } finally {
        listener.dispose();
      }
    } finally {
      memory.dispose();
    }
  } finally {
    device.dispose();
  }
  if (findings === undefined) return { findings: [], failedBy: undefined, hasDied };
  const { entries, errors, failedBy } = findings;
  emit({ kind: 'findings', findings: entries, errors });
  return { findings: entries, failedBy, hasDied };
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
