/** An object of which nothing is known yet: what a YAML file, a package.json or the module of a plugin holds. */
export interface UnknownRecord {
  readonly [key: PropertyKey]: unknown;
}

/** Whether members of `value` can be looked at. Lists are records too. */
export function isRecord(value: unknown): value is UnknownRecord {
  return typeof value === 'object' && value !== null;
}

/** The code that Node, or this project, gave an error: `ENOENT`. */
export function errorCode(error: unknown): string | undefined {
  const code = isRecord(error) ? error['code'] : undefined;
  return typeof code === 'string' ? code : undefined;
}
