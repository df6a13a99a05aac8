/** One check taken out, one rule broken or one old bug put back, as a replacement in a source file. */
export interface Mutation {
  /** What the code does with it. */
  readonly name: string;
  /** Numbers of `HOSTILE_CASES`: a test of each has to fail. With none, any test of the rings has to. */
  readonly cases: readonly string[];
  /** Below `packages`. */
  readonly file: string;
  /** Is in the file just once. */
  readonly from: string;
  readonly to: string;
}

/** Mutations of one file. */
export function mutationsOf(file: string, mutations: readonly Omit<Mutation, 'file'>[]): readonly Mutation[] {
  return mutations.map((mutation) => ({ ...mutation, file }));
}

/** The source with the mutation in it, or `undefined` where its place is not there just once. */
export function applyMutation(source: string, { from, to }: Mutation): string | undefined {
  return source.split(from).length === 2 ? source.replace(from, () => to) : undefined;
}
