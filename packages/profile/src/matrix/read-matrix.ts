import { issueAt, MAX_ISSUES, type Place, type ProfileIssue } from '../source/profile-issue.ts';
import { SECTIONS } from '../schema/profile-schema.ts';
import type { MapEntry, MapNode, SourceNode } from '../source/source-node.ts';
import { closest } from '../source/suggestion.ts';
import { wrapNode } from './wrap-node.ts';

/** Keys of one dotted path. Profiles need about three; merging recurses, and far more would end the process. */
const MAX_STEPS = 16;

/** Paths of one matrix: every run lays each of them over the profile. */
const MAX_PATHS = 64;

/** Values that exclude each other: each run has one of them. */
export interface MatrixAxis {
  /** The dotted path of the values; empty where they are partial profiles. */
  readonly path: string;
  readonly alternatives: readonly MatrixAlternative[];
}

/** One value of a path of a matrix, or one part of a profile. */
export interface MatrixAlternative {
  /** What stands in the list. */
  readonly value: SourceNode;
  /** The same as a partial profile. Maps that only lead to the value have the places they have in the profile. */
  readonly overlay: MapNode;
}

/** The axes of a `matrix`, in the order in which they are written, without those that cannot be read. */
export class MatrixReader {
  readonly issues: ProfileIssue[] = [];
  readonly #profile: MapNode;

  /** Takes the profile without its `matrix`. */
  constructor(profile: MapNode) {
    this.#profile = profile;
  }

  read({ key, value: matrix }: MapEntry): MatrixAxis[] {
    if (matrix.kind === 'map' && matrix.entries.size > MAX_PATHS) {
      this.reject(key, [], `has ${matrix.entries.size} paths, more than ${MAX_PATHS}`);
      return [];
    }
    if (matrix.kind === 'map')
      return Array.from(matrix.entries).flatMap(([path, entry]) => this.#readAxis(path, entry));
    if (matrix.kind === 'list') return this.#readPartialProfiles(matrix.items);
    this.reject(
      matrix.value === null ? key : matrix,
      [],
      'must be a map of paths to lists of values, or a list of partial profiles',
    );
    return [];
  }

  /** Notes an issue, up to {@link MAX_ISSUES}. `path` is below `matrix`. */
  reject(place: Place, path: readonly PropertyKey[], message: string, suggestion?: string): void {
    if (this.issues.length < MAX_ISSUES) this.issues.push(issueAt(place, ['matrix', ...path], message, { suggestion }));
  }

  #readAxis(path: string, { key, value: values }: MapEntry): MatrixAxis[] {
    const [section = '', ...steps] = path.split('.');
    const sections: readonly string[] = SECTIONS;
    if (!sections.includes(section)) {
      const meant = closest(section, sections);
      const suggestion = meant && [meant, ...steps].join('.');
      this.reject(key, [path], 'must be the path of a value in a section, such as queue.layout', suggestion);
    } else if (steps.length >= MAX_STEPS || steps.some((step) => step === '' || step === '__proto__')) {
      this.reject(key, [path], 'must be the path of a value, such as queue.layout');
    } else if (values.kind !== 'list' || values.items.length === 0) {
      this.reject(values, [path], 'must be a list of at least one value');
    } else {
      const overlay = (value: SourceNode): MapNode => wrapNode(this.#profile, [section, ...steps], key, value);
      return [{ path, alternatives: values.items.map((value) => ({ value, overlay: overlay(value) })) }];
    }
    return [];
  }

  #readPartialProfiles(items: readonly SourceNode[]): MatrixAxis[] {
    const alternatives = items.flatMap((item, i) => {
      if (item.kind === 'map') return [{ value: item, overlay: this.#withoutSources(item, i) }];
      this.reject(item, [i], 'must be a map: a part of a profile');
      return [];
    });
    return alternatives.length === 0 ? [] : [{ path: '', alternatives }];
  }

  /** What a run is made from was settled before there were runs. */
  #withoutSources(item: MapNode, index: number): MapNode {
    const entries = new Map(item.entries);
    for (const name of ['extends', 'matrix']) {
      const entry = entries.get(name);
      if (entry !== undefined) this.reject(entry.key, [index, name], `\`${name}\` cannot be part of a matrix`);
      entries.delete(name);
    }
    return { ...item, entries };
  }
}
