import { ContractError } from '../errors/coded-error.ts';
import { describeValue } from '../errors/message-of.ts';
import type { ByteOrder } from '../queue/ring/ring-format.ts';
import type { DeviceModel } from './device-model.ts';
import type { DeviceTypePlugin } from './device-type.ts';

/** What a device half is made from, of a device type. */
export type ModelType = Pick<DeviceTypePlugin, 'features' | 'config' | 'model'>;

/** Entries of the largest queue (specification 1.4 section 2.6). */
const MOST_ENTRIES = 32768;
/** Queues of which a mailbox has doorbells. */
const MOST_QUEUES = 64;
const METHODS = ['start', 'wants', 'process', 'forget', 'dispose'] as const;
const OPTIONAL_METHODS = ['writeConfig', 'connect'] as const;

/**
 * Makes the device half of a type. Throws {@link ContractError} for what is none, and what `model` throws; then no
 * device half is left.
 */
export function openModel(type: ModelType, settings: unknown, byteOrder: ByteOrder): DeviceModel {
  const model: unknown = type.model(settings, byteOrder);
  try {
    const wrong = modelProblem(model, type);
    if (wrong !== undefined) throw new ContractError('device', 'model', wrong);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- just checked
    return model as DeviceModel;
  } catch (error) {
    disposeModel(model);
    throw error;
  }
}

/** Ends a device half that is given up, as far as it can be ended: why it is given up says more. Never throws. */
export function disposeModel(model: unknown): void {
  try {
    const dispose: unknown = Reflect.get(Object(model), 'dispose');
    if (typeof dispose === 'function') Reflect.apply(dispose, model, []);
  } catch {
    // It was given up anyway.
  }
}

/** What is wrong with a device half; completes "its `model` ...". */
function modelProblem(model: unknown, type: ModelType): string | undefined {
  if (typeof model !== 'object' || model === null) return `gave ${describeValue(model)}, not a device half`;
  const member = (name: string): unknown => Reflect.get(model, name);
  const wrong = [
    ...METHODS.filter((name) => typeof member(name) !== 'function'),
    ...OPTIONAL_METHODS.filter((name) => !['function', 'undefined'].includes(typeof member(name))),
  ];
  if (wrong.length > 0) return `gave a device half whose ${wrong.join(', ')} is no function`;
  return (
    featuresProblem(member('features'), type) ??
    queuesProblem(member('queueSizes')) ??
    (member('config') instanceof Uint8Array
      ? undefined
      : `gave a device half whose config is ${describeValue(member('config'))}, not a Uint8Array`)
  );
}

function featuresProblem(features: unknown, { features: table }: ModelType): string | undefined {
  const bits: unknown = Reflect.get(Object(features), 'bits');
  if (typeof bits !== 'bigint')
    return `gave a device half whose features are ${describeValue(features)}, not a FeatureSet`;
  const known = table.rows.reduce((all, { bit }) => all | (1n << BigInt(bit)), 0n);
  const unknown = bits & ~known;
  if (unknown === 0n) return undefined;
  const bit = unknown.toString(2).length - 1;
  return `gave a device half with feature bit ${bit}, which has no row in the features of the type`;
}

function queuesProblem(sizes: unknown): string | undefined {
  if (!Array.isArray(sizes)) return `gave a device half whose queueSizes are ${describeValue(sizes)}, not a list`;
  if (sizes.length === 0 || sizes.length > MOST_QUEUES)
    return `gave a device half with ${sizes.length} queues: it has 1 to ${MOST_QUEUES}`;
  const wrong = sizes.findIndex((size) => !Number.isInteger(size) || size < 1 || size > MOST_ENTRIES);
  if (wrong < 0) return undefined;
  return `gave a device half whose queue ${wrong} has ${describeValue(sizes[wrong])} entries: it has 1 to ${MOST_ENTRIES}`;
}
