import type { DaemonDisk } from './back-end/storage-daemon.ts';
import type { MeasureTask } from './measured/measure-task.ts';
import type { ReferenceProgram } from './processes/c-reference.ts';

/** The name of what is measured of this project, in figures. */
export const OURS = 'virtio-platform';
/** The name of the C reference that checks what the ring checks. */
export const C_CHECKED = 'C, every check';
/** The name of the C reference that checks nothing. */
export const C_UNCHECKED = 'C, no check';

/** What one figure of a case is of: a process of ours, of C, or of a command, whose whole time counts. */
export type BenchSubject = { readonly name: string } & (
  | { readonly kind: 'task'; readonly task: MeasureTask }
  | {
      readonly kind: 'reference';
      readonly program: ReferenceProgram;
      /** Of the program, before the numbers of requests and samples. */
      readonly parameters: readonly string[];
    }
  | {
      /** A driver of a disk that a back-end serves, which is started for each process; of ours without a program. */
      readonly kind: 'front-end';
      readonly disk: DaemonDisk;
      /** Requests in flight. */
      readonly depth: number;
      readonly program?: ReferenceProgram;
    }
  | { readonly kind: 'command'; readonly command: readonly string[] }
);

/** One thing that is measured: ours first, then what it is compared with, each in processes of its own. */
export interface BenchCase {
  /** Stable, and what peers and saved reports name it by: `ends/split/driver/3-descriptors/batch-32`. */
  readonly id: string;
  /** What the case is one of: the name of a {@link BenchPart}. */
  readonly part: string;
  /** What tells it from the others of its part. */
  readonly axes: Readonly<Record<string, string | number>>;
  readonly subjects: readonly BenchSubject[];
  /** The id of a case of the same part that the ratio `times` is taken of as well. */
  readonly baseline?: string;
}

/** A group of cases that are shown together. */
export interface BenchPart {
  readonly name: string;
  /** What is measured, in a sentence. */
  readonly title: string;
  readonly unit: 'ns/request' | 'ns/mapping' | 'ns/copy' | 'ms';
  /** The axis of {@link BenchCase.axes} that a curve of this part runs along. */
  readonly curve?: string;
  /** What the baselines of its cases are, in a few words. */
  readonly base?: string;
  readonly cases: readonly BenchCase[];
}
