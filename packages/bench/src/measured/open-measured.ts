import { FlightRecorder } from '@virtio-platform/trace';
import { Bounce, RawCopy } from './copies.ts';
import { DeviceEnd } from './device-end.ts';
import { DriverEnd } from './driver-end.ts';
import { LiveMappings } from './live-mappings.ts';
import type { Measured } from './measured.ts';
import type { RingEndTask, RoundsTask } from './measure-task.ts';
import { RingLoop } from './ring-loop.ts';

/** Opens what a process measures. Throws RangeError for a platform that is not measured. */
export function openMeasured(task: RoundsTask): Measured {
  if (task.kind === 'end') return openRingEnd(task);
  if (task.kind === 'loop') return new RingLoop(task);
  if (task.kind === 'live') return new LiveMappings(task);
  return task.kind === 'bounce' ? new Bounce(task) : new RawCopy(task);
}

function openRingEnd(task: RingEndTask): Measured {
  const { end, recorder } = task;
  const recording = recorder === undefined ? undefined : new FlightRecorder(undefined, { detail: recorder });
  return end === 'driver' ? new DriverEnd(task, recording) : new DeviceEnd(task, recording);
}
