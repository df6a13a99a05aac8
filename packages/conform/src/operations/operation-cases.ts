import type { ConformCase, DeviceCases } from '@virtio-platform/core';
import type { QueueLayout } from '@virtio-platform/core/queue';
import type { PlannedCase } from '../run/planned-case.ts';
import { generateLegal } from './generate-operations.ts';
import { isHostile, type Operation } from './operation.ts';
import { playOperations, type Pace } from './play-operations.ts';

/** Operations of the long run; more find what happens rarely. */
export const USUAL_OPERATIONS = 600;
/** The seed of {@link randomCase} unless another is given. */
export const USUAL_SEED = 1;

/** A case that takes these steps. One that breaks the rules is hostile. */
export function operationCase(
  id: string,
  title: string,
  operations: readonly Operation[],
  openModel: DeviceCases['openModel'],
  layouts: readonly QueueLayout[] = ['split', 'packed'],
  pace?: Pace,
): ConformCase {
  return {
    id,
    clause: '2.6',
    level: 'MUST',
    title,
    layouts,
    isHostile: isHostile(operations),
    run: (bench) => playOperations(bench, operations, openModel, pace),
  };
}

/** The same as a planned case on one layout. */
export function plannedOperations(
  id: string,
  layout: QueueLayout,
  operations: readonly Operation[],
  openModel: DeviceCases['openModel'],
  pace?: Pace,
): PlannedCase {
  const conformCase = operationCase(id, 'takes the steps of a file', operations, openModel, [layout], pace);
  return { id, conformCase, layout };
}

/** A long run of operations that follow from a seed, whose data is verified. */
export function randomCase(
  openModel: DeviceCases['openModel'],
  seed: number = USUAL_SEED,
  count: number = USUAL_OPERATIONS,
): ConformCase {
  const title = `does what a model does in ${count} random operations (--seed ${seed})`;
  return operationCase('random/operations', title, generateLegal(seed, count), openModel);
}
