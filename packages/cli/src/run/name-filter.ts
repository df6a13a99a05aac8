/** Whether a name is one of those that are wanted. */
export type NameFilter = (name: string) => boolean;

/**
 * The filter of `--filter`: a text that is part of the name, upper and lower case being the same, in which `*` stands
 * for any characters; or a regular expression, `/^sev.*packed/`. Of several patterns one has to fit; without any, every
 * name does. Throws `SyntaxError` for a regular expression that is none.
 */
export function nameFilter(patterns: readonly string[]): NameFilter {
  if (patterns.length === 0) return () => true;
  const expressions = patterns.map(expressionOf);
  return (name) => expressions.some((expression) => expression.test(name));
}

function expressionOf(pattern: string): RegExp {
  const [, expression, flags] = /^\/(.+)\/([imsuv]*)$/s.exec(pattern) ?? [];
  if (expression !== undefined) return new RegExp(expression, flags);
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\/-]/g, '\\$&'));
  return new RegExp(parts.join('.*'), 'is');
}
