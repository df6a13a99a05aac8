import { mergeMaps, mergeProfiles } from '../source/merge-profiles.ts';
import type { ProfileIssue } from '../source/profile-issue.ts';
import { MatrixReader, type MatrixAxis } from './read-matrix.ts';
import type { MapNode, SourceNode } from '../source/source-node.ts';

/** Runs that one profile may make. */
const MAX_RUNS = 256;
/** Characters that one axis adds to the name of a run. */
const MAX_LABEL = 60;
/** What no run is named after. */
const UNNAMED: ReadonlySet<string> = new Set(['profile', 'summary', 'expect']);

/** One run of a profile, before anything in it was checked. */
export interface ProfileRun {
  /** The profile with the values of this run laid over it, and without `matrix`. */
  readonly root: MapNode;
  /** What tells this run from the others; empty where it has a name of its own, or there is no matrix. */
  readonly label: string;
}

/** The runs that a profile makes, and what is wrong with its `matrix`. */
export interface ExpandedMatrix {
  /** At least one, in the order in which they are written; of several paths the first varies slowest. */
  readonly runs: readonly ProfileRun[];
  /** What is wrong with `matrix` itself; what is wrong with its values is found when the runs are checked. */
  readonly issues: readonly ProfileIssue[];
}

/**
 * Multiplies a profile over its `matrix`: a map of lists gives every combination, a list of partial profiles a run
 * each.
 */
export function expandMatrix(root: MapNode): ExpandedMatrix {
  const matrix = root.entries.get('matrix');
  if (matrix === undefined) return { runs: [{ root, label: '' }], issues: [] };
  const entries = new Map(root.entries);
  entries.delete('matrix');
  const profile: MapNode = { ...root, entries };

  const reader = new MatrixReader(profile);
  const axes = reader.read(matrix);
  const count = axes.reduce((product, { alternatives }) => product * alternatives.length, 1);
  if (count > MAX_RUNS) {
    reader.reject(matrix.key, [], `makes ${count} runs of this profile, more than ${MAX_RUNS}`);
    return { runs: [{ root: profile, label: '' }], issues: reader.issues };
  }
  const runs = axes.reduce(multiply, [{ root: { ...profile, entries: new Map() }, label: '' }]);
  return {
    // A profile stays where it is, whatever part of it stands in the matrix.
    runs: runs.map((run) => ({ ...run, root: { ...profile, entries: mergeProfiles(profile, run.root).entries } })),
    issues: reader.issues,
  };
}

/** Continues each of `runs`, which are still partial profiles, with each alternative of an axis. */
function multiply(runs: readonly ProfileRun[], axis: MatrixAxis): ProfileRun[] {
  const labels = labelsOf(axis);
  return runs.flatMap((run) =>
    axis.alternatives.map(({ overlay }, i) => ({
      root: mergeMaps(run.root, overlay),
      label: joinLabels([run.label, labels[i]!]),
    })),
  );
}

/** Names alternatives by the single values they set, or by their number where those do not tell them apart. */
function labelsOf({ path, alternatives }: MatrixAxis): string[] {
  if (alternatives.length === 1) return [''];
  const labels = alternatives.map(({ value }) => labelOf(path, value));
  return alternatives.map(({ value }, i) => {
    if (path === '' && value.kind === 'map' && value.entries.has('profile')) return '';
    const label = labels[i]!;
    const tells = label !== '' && label.length <= MAX_LABEL && labels.indexOf(label) === labels.lastIndexOf(label);
    return tells ? label : `${path}#${i + 1}`;
  });
}

function labelOf(path: string, value: SourceNode): string {
  if (value.kind === 'scalar') return `${path}=${value.text}`;
  if (value.kind === 'list') return '';
  const named = Array.from(value.entries).filter(([key]) => path !== '' || !UNNAMED.has(key));
  return joinLabels(named.map(([key, entry]) => labelOf(path === '' ? key : `${path}.${key}`, entry.value)));
}

function joinLabels(labels: readonly string[]): string {
  return labels.filter((label) => label !== '').join(', ');
}
