import { statusNames } from '@virtio-platform/core/device';
import { VIRTIO_RING_F_EVENT_IDX } from '@virtio-platform/core/features';
import { changedFields } from '../state/changed-fields.ts';
import { ringView, type Descriptor } from '../state/ring-view.ts';
import { hasFeature, type MappingState, type QueueState, type RunState } from '../state/run-state.ts';
import { tellStep } from '../tell/step-texts.ts';
import type { Step, Walk } from '../walk.ts';
import { ringFields } from './ring-fields.ts';

/** The most buffers, and the most mappings, that a step lists; `counts` has how many there are. */
const MOST_LISTED = 32;

/** A step as plain data: the event, what it says, and the state after it. 64-bit values are hexadecimal texts. */
export function stepJson(walk: Walk, step: Step): unknown {
  const { at, event, before, after, buffers } = step;
  const { text, section } = tellStep(walk, step);
  const { index, time, kind, queue, id, address, deviceAddress, length, extra } = event;
  return {
    step: at + 1,
    event: {
      index,
      time,
      kind,
      queue,
      id,
      address,
      deviceAddress: hex(deviceAddress),
      length,
      extra,
      text: event.text,
    },
    says: text,
    section,
    buffers,
    memory: changedFields(event, before, after).map((change) => ({
      ...change,
      before: hex(change.before),
      after: hex(change.after),
    })),
    state: stateJson(after, buffers),
  };
}

function stateJson(state: RunState, serials: readonly number[]): unknown {
  const { status, offered, accepted, decisions, path, refusal, added, returned, notified, interrupts, faults } = state;
  const own = state.buffers.filter(({ serial }) => serials.includes(serial));
  return {
    status: status < 0 ? null : { value: status, names: statusNames(status) },
    offered: offered === null ? null : hex(offered),
    accepted: accepted === null ? null : hex(accepted),
    decisions: Object.fromEntries(decisions.map(({ feature, outcome }) => [feature, outcome])),
    path,
    refusal,
    queues: state.queues.map((queue) => queueJson(state, queue, serials)),
    buffers: firstOf(state.buffers, ({ serial }) => serials.includes(serial)),
    mappings: firstOf(state.mappings, ({ id, queue }) =>
      own.some((one) => one.queue === queue && one.mappings.includes(id)),
    ).map(mappingJson),
    counts: {
      added,
      returned,
      outstanding: state.buffers.length,
      mapped: state.mappings.length,
      notified,
      interrupts,
      faults,
    },
    seesDevice: state.seesDevice,
  };
}

/** The descriptors are those of the buffers that the event is about. */
function queueJson(state: RunState, queue: QueueState, serials: readonly number[]): unknown {
  const { index, size, isEnabled, available, taken, place } = queue;
  const view = ringView(queue);
  const fields = view && ringFields(queue, view, hasFeature(state, VIRTIO_RING_F_EVENT_IDX));
  const slots = state.buffers
    .filter((one) => one.queue === index && serials.includes(one.serial))
    .slice(0, MOST_LISTED)
    .flatMap((one) => one.slots);
  return {
    index,
    size,
    layout: place?.layout ?? null,
    isEnabled,
    available,
    taken,
    ring: fields && Object.fromEntries(fields.map(({ name, value }) => [name, value])),
    descriptors: view && slots.map((slot) => descriptorJson(view.descriptor(slot))),
  };
}

function descriptorJson({ address, ...descriptor }: Descriptor): unknown {
  return { ...descriptor, address: hex(address) };
}

/** At most {@link MOST_LISTED}, those that `is` chooses first. */
function firstOf<T>(list: readonly T[], is: (one: T) => boolean): T[] {
  if (list.length <= MOST_LISTED) return [...list];
  return [...list.filter(is), ...list.filter((one) => !is(one))].slice(0, MOST_LISTED);
}

function mappingJson({ deviceAddress, ...mapping }: MappingState): unknown {
  return { ...mapping, deviceAddress: hex(deviceAddress) };
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}
