/**
 * The part of Standard Schema (standardschema.dev, version 1) that options are checked with: zod, valibot, arktype and
 * others implement it, and it is small enough to write by hand.
 */
export interface OptionsSchema<Options> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Options> | Promise<SchemaResult<Options>>;
    /** Only the types, for inference. */
    readonly types?: { readonly input: unknown; readonly output: Options } | undefined;
  };
}

/** The result of a validation: the value, or the issues. Standard Schema version 1. */
export type SchemaResult<Options> =
  | { readonly value: Options; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** One thing that is wrong with options. Standard Schema version 1. */
export interface SchemaIssue {
  readonly message: string;
  /** Keys from the options object down to what is wrong. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}
