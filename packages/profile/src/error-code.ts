import { isRecord } from './unknown-record.ts';

/** The code that Node, or this project, gave an error: `ENOENT`. */
export function errorCode(error: unknown): string | undefined {
  const code = isRecord(error) ? error['code'] : undefined;
  return typeof code === 'string' ? code : undefined;
}

/** What an error says, also of the things that are thrown and are no errors. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
