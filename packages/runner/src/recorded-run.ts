import type { NegotiationResult } from '@virtio-platform/core/negotiation';
import type { SessionWatch } from '@virtio-platform/session';
import {
  FlightRecorder,
  KIND,
  watchDevice,
  watchSession,
  type DeviceRecording,
  type RecordingWatch,
} from '@virtio-platform/trace';

/** The recorder of one run, and what it stands in front of. */
export class RecordedRun {
  readonly recorder: FlightRecorder;
  /** Of the device, where it is in this thread. */
  readonly device: DeviceRecording;
  readonly #session: RecordingWatch;

  constructor(recorder: FlightRecorder = new FlightRecorder()) {
    this.recorder = recorder;
    this.device = watchDevice(recorder);
    this.#session = watchSession(recorder);
  }

  /** The recorder nearest to the parts that driver and device share, and `outer` in front of it. */
  watch(outer: SessionWatch = {}): SessionWatch {
    const session = this.#session;
    return {
      transport: (transport) => {
        const recorded = session.transport(transport);
        return outer.transport?.(recorded) ?? recorded;
      },
      mapping: (mapping, queue) => {
        const recorded = session.mapping(mapping, queue);
        return outer.mapping?.(recorded, queue) ?? recorded;
      },
      queue: (queue, mapping) => {
        const recorded = session.queue(queue);
        return outer.queue?.(recorded, mapping) ?? recorded;
      },
      memory: outer.memory,
    };
  }

  /** Records the decisions of a negotiation, and what came of it. */
  negotiated({ decisions, path, refusal }: NegotiationResult): void {
    const note = (text: string): void => this.recorder.note(KIND.negotiation, -1, 0, text);
    for (const { name, outcome, rule, reason } of decisions) note(`${name} ${outcome} by ${rule}: ${reason}`);
    if (refusal !== undefined) note(`refused by ${refusal.rule}: ${refusal.reason}`);
    else note(`path ${path ?? 'none'}`);
  }
}
