/** The message of anything that was thrown, also of a value that is no error. Never throws. */
export function messageOf(thrown: unknown): string {
  try {
    return thrown instanceof Error ? thrown.message : String(thrown);
  } catch {
    return 'a value that has no text';
  }
}
