import { openSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CodedError, codedErrorOf } from '../../src/index.ts';

/** What `body` throws. */
function thrownBy(body: () => unknown): unknown {
  try {
    body();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('codedErrorOf', () => {
  it('keeps an error that has a code', () => {
    const error = new CodedError('ERR_DMA_RANGE', 'message');
    expect(codedErrorOf(error)).toBe(error);
  });

  it.each([
    ['a missing file', () => openSync('/nonexistent', 'r'), 'ERR_SYSCALL'],
    ['a folder', () => openSync('/', 'w'), 'ERR_SYSCALL'],
    ['memory that is not there', () => new SharedArrayBuffer(2 ** 53 - 1), 'ERR_MACHINE_MEMORY'],
    ['a range of a mistake', () => new Uint8Array(-1), 'ERR_INTERNAL'],
    ['an access to nothing', () => (undefined as unknown as { x: number }).x, 'ERR_INTERNAL'],
  ])('T9 says what the cause is: %s', (_, body, code) => {
    const thrown = thrownBy(body);
    const error = codedErrorOf(thrown);
    expect(error).toMatchObject({ code, cause: thrown, hint: expect.stringMatching(/./) });
    expect(error.message).toContain((thrown as Error).message);
  });

  it.each([
    ['nothing', undefined],
    ['null', null],
    ['an object without text', Object.create(null)],
    ['a symbol', Symbol('x')],
    ['an error without a stack', Object.assign(new Error('x'), { stack: undefined })],
    ['a text', 'x'],
  ])('takes anything: %s', (_, thrown) => {
    expect(codedErrorOf(thrown)).toMatchObject({ code: 'ERR_INTERNAL', message: expect.stringMatching(/./) });
  });
});
