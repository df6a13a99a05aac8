/**
 * What a front-end said that cannot be: a request is refused, and where the front-end waits for no answer the
 * connection ends. The message completes "the front-end ...".
 */
export class FrontEndViolation extends Error {
  override readonly name = 'FrontEndViolation';
}
