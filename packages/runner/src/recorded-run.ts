import type { CodedError, MachineEvent, MachineRecorder, Mismatch } from '@virtio-platform/core';
import { FaultLog, type DeviceFault } from '@virtio-platform/core/address-space';
import type { BouncePoolStatistics } from '@virtio-platform/core/dma';
import type { NegotiationResult } from '@virtio-platform/core/negotiation';
import type { DmaFinding } from '@virtio-platform/dma-sanitizer';
import { observeHooks, type ComposedRun, type HookCall, type PluginUse, type Profile } from '@virtio-platform/profile';
import type { SessionWatch } from '@virtio-platform/session';
import {
  FlightRecorder,
  KIND,
  watchDevice,
  watchSession,
  type DeviceRecording,
  type RecordingWatch,
} from '@virtio-platform/trace';
import { count } from './failure/diagnosis.ts';
import type { LogCut, RunReport } from './report/report.ts';
import { RequestTimes } from './report/request-times.ts';

/**
 * Milliseconds from which on a call of a plugin that returns at once is recorded. Most of them read a property in a
 * microsecond.
 */
const LONG_CALL = { flight: 1, full: 0.02 } as const;

/** The recorder of one run, and what it stands in front of. */
export class RecordedRun implements MachineRecorder {
  readonly recorder: FlightRecorder;
  /** Of the device, where it is in this thread. */
  readonly device: DeviceRecording;
  readonly #session: RecordingWatch;
  readonly #times = new RequestTimes();
  readonly #ends: (() => void)[];
  #run: ComposedRun | undefined;
  #cut: LogCut | null = null;
  /** Not known before the first batch: a platform may open its pool with its first mapping. */
  #hasPool: boolean | undefined;

  /** Records the calls of the profile's plugins until {@link end}. */
  constructor(profile: Profile, recorder: FlightRecorder = new FlightRecorder()) {
    this.recorder = recorder;
    this.device = watchDevice(recorder, { isPaired: true });
    this.#session = watchSession(recorder, () => this.#pool());
    const uses: readonly PluginUse[] = [profile.platform, profile.machine, profile.device.use];
    this.#ends = uses.map((use) => observeHooks(use, (call) => this.#noteCall(use, call)));
  }

  /** The run is put together: records the faults of its machine as they happen. */
  booted(run: ComposedRun): void {
    this.#run = run;
    const { faults } = run.machine;
    // A machine from another project may have a list that is no log: the report has its faults.
    if (faults instanceof FaultLog) faults.watch((fault) => this.#noteFault(fault));
  }

  /** The recorder behind `outer`; `inner` is nearer to the parts that driver and device share. */
  watch(outer: SessionWatch = {}, inner: SessionWatch = {}): SessionWatch {
    const session = this.#session;
    return {
      transport: (transport) => {
        const recorded = session.transport(inner.transport?.(transport) ?? transport);
        return outer.transport?.(recorded) ?? recorded;
      },
      mapping: (mapping, queue) => {
        const recorded = session.mapping(inner.mapping?.(mapping, queue) ?? mapping, queue);
        return outer.mapping?.(recorded, queue) ?? recorded;
      },
      queue: (queue, mapping) => {
        const timed = this.#times.watch(session.queue(inner.queue?.(queue, mapping) ?? queue));
        return outer.queue?.(timed, mapping) ?? timed;
      },
      memory: outer.memory,
    };
  }

  /** How long the buffers of the run were away, so far. */
  get latency(): RunReport['latency'] {
    return this.#times.latency;
  }

  /** Records the decisions of a negotiation, and what came of it. */
  negotiated({ decisions, path, refusal }: NegotiationResult): void {
    const note = (text: string): void => this.recorder.note(KIND.negotiation, -1, 0, text);
    for (const { name, outcome, rule, reason } of decisions) note(`${name} ${outcome} by ${rule}: ${reason}`);
    if (refusal !== undefined) note(`refused by ${refusal.rule}: ${refusal.reason}`);
    else note(`path ${path ?? 'none'}`);
  }

  record(event: MachineEvent, queue: number, address: number, low: number, high: number, length: number): void {
    this.recorder.tick();
    this.recorder.record(KIND[event], queue, 0, address, low, high, length, 0);
  }

  external(at: number, text: string): void {
    this.recorder.noteExternal(at, text);
  }

  logCut(program: string, at: number, bytes: number): void {
    const before = Math.max(0, Math.round((at - this.recorder.startedAt) * 1000));
    this.#cut = { program, before, bytes };
    this.recorder.noteExternal(at, `the log of ${program} was too long: its first ${bytes} bytes are missing`);
  }

  /** Where the log of the machine's own program was cut; `null` where it was not. */
  get cut(): LogCut | null {
    return this.#cut;
  }

  /** Records a finding of the DMA sanitizer. */
  readonly found = ({ code, what, queue = -1, descriptor = -1, buffer, deviceAddress }: DmaFinding): void => {
    const { address, length } = buffer ?? {};
    this.recorder.note(KIND.finding, queue, descriptor, `${code}: ${what}`, { address, length, deviceAddress });
  };

  /** Records what a request that came back got wrong. */
  readonly mismatched = ({ kind, request, what, detail, queue, buffer, address, deviceAddress }: Mismatch): void => {
    const text = `${kind} in request ${request}, ${what}: ${detail}`;
    const place = {
      address: address === null ? undefined : Number(address),
      deviceAddress: deviceAddress === null ? undefined : BigInt(deviceAddress),
    };
    this.recorder.note(KIND.mismatch, queue, buffer ?? -1, text, place);
  };

  /** Records an error of the run. */
  readonly failed = ({ code, message }: CodedError): void => {
    this.recorder.note(KIND.failure, -1, 0, `${code}: ${message}`);
  };

  /** Records no call of a plugin any more. */
  end(): void {
    for (const end of this.#ends) end();
  }

  #pool(): BouncePoolStatistics | undefined {
    if (this.#hasPool === false) return undefined;
    const pool = this.#run?.platform.bouncePool;
    this.#hasPool ??= pool !== undefined;
    return pool;
  }

  #noteFault({ access, length, address, cause, detail }: DeviceFault): void {
    const what = detail ?? `${access} of ${count(length, 'byte')} at 0x${address.toString(16)}: ${cause}`;
    const place = { deviceAddress: address, length };
    this.recorder.note(KIND.fault, -1, access === 'write' ? 1 : 0, what, place);
  }

  #noteCall({ use }: PluginUse, { kind, hook, duration, hasThrown, isSync }: HookCall): void {
    if (isSync && duration < LONG_CALL[this.recorder.detail]) return;
    const length = Math.round(duration * 1000);
    this.recorder.note(KIND.plugin, -1, hasThrown ? 1 : 0, `${hook} of ${kind} ${use}`, { length });
  }
}
