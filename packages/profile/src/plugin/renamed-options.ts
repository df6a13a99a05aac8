import type { PluginUse } from '../schema/profile.ts';
import { isRecord } from '../source/unknown-value.ts';

/** The options of a plugin under their new names, and where an option that was read under an old name stands. */
export interface RenamedOptions {
  readonly options: unknown;
  /** One line for each old name in use: file, line, column, the old name, the new name. */
  readonly warnings: readonly string[];
  /** The path of an option in the source: the old path where the profile has the old name. */
  readonly sourcePath: (path: readonly PropertyKey[]) => readonly PropertyKey[];
}

/**
 * Reads options that had another name in the release before under their new names. `renamed` is
 * `PlatformPlugin.renamedOptions`: old dotted name to new dotted name. A profile that has both names keeps the old one,
 * which the plugin's schema then refuses as unknown.
 */
export function renameOptions(use: PluginUse, renamed: Readonly<Record<string, string>> = {}): RenamedOptions {
  const warnings: string[] = [];
  const moved: (readonly [from: readonly string[], to: readonly string[]])[] = [];
  let { options }: { options: unknown } = use;
  for (const [oldName, newName] of Object.entries(renamed)) {
    const from = oldName.split('.');
    const to = newName.split('.');
    if (!has(options, from) || has(options, to)) continue;
    const value = valueOf(options, from);
    options = withValue(withoutKey(options, from), to, value);
    moved.push([from, to]);
    const { file, line, column } = use.locate(from, 'key');
    warnings.push(
      `${file}:${line}:${column}: \`${oldName}\` is now \`${newName}\`; the old name works until the next release`,
    );
  }
  const sourcePath = (path: readonly PropertyKey[]): readonly PropertyKey[] => {
    const found = moved.find(([, to]) => to.every((key, at) => path[at] === key));
    return found === undefined ? path : [...found[0], ...path.slice(found[1].length)];
  };
  return { options, warnings, sourcePath };
}

/** Whether options have one at this path. */
export function has(options: unknown, path: readonly string[]): boolean {
  return (
    path.length === 0 ||
    (isRecord(options) && Object.hasOwn(options, path[0]!) && has(options[path[0]!], path.slice(1)))
  );
}

function valueOf(options: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((value, key) => (isRecord(value) ? value[key] : undefined), options);
}

function withoutKey(options: unknown, [key, ...rest]: readonly string[]): unknown {
  if (!isRecord(options) || key === undefined) return options;
  const { [key]: value, ...others } = options;
  return rest.length === 0 ? others : { ...others, [key]: withoutKey(value, rest) };
}

function withValue(options: unknown, [key, ...rest]: readonly string[], value: unknown): unknown {
  if (key === undefined) return value;
  const record = isRecord(options) ? options : {};
  return { ...record, [key]: withValue(record[key], rest, value) };
}
