import type { DataDifference } from '@virtio-platform/core';
import type { SenseCode } from '../scsi-sense.ts';
import type { UnitModel } from './unit-model.ts';

/** What became of a command: it was executed, or not, or that is not known. */
export type Outcome = 'executed' | 'refused' | 'unknown';

/** What is wrong with the data of an answer: a text, or the place where it differs. */
export type WrongData = string | DataDifference;

/** A command of a workload, with what its answer has to be. */
export interface Operation {
  /** In words: `write of block 512`. */
  readonly name: string;
  readonly target: number;
  readonly lun: number;
  /** The unit, where the settings have one at this address. */
  readonly unit: UnitModel | undefined;
  readonly cdb: Uint8Array;
  /** Bytes of data-out, written to guest memory by `fill` when the command is made. */
  readonly dataOut: number;
  readonly fill?: ((address: number) => void) | undefined;
  readonly dataIn: number;
  /** Bytes that a command with status GOOD moves; without it any number. */
  readonly moves?: number | undefined;
  /** The sense code that the answer has to have; 0 for GOOD. */
  readonly sense: SenseCode;
  /** Compares data-in of a command with status GOOD, of which `moved` bytes came. */
  readonly check?: ((address: number, moved: number) => WrongData | undefined) | undefined;
  /** Takes what became of it into the model. */
  readonly end?: ((outcome: Outcome) => void) | undefined;
  /** Whether it counts among the requests of the profile. */
  readonly isCounted: boolean;
}

/** An operation at work. */
export interface Pending {
  readonly operation: Operation;
  /** Whether something happened to the unit since that may end it otherwise: a reset, an abort, an event. */
  isDisturbed: boolean;
  /** Whether it is the first command since a reset of the unit was confirmed. */
  isFirstAfterReset: boolean;
  /** Whether a queue reset took it back: the device may have executed it, and its answer be lost. */
  mayBeExecuted: boolean;
  /** How often the device asked to make it again. */
  tries: number;
}
