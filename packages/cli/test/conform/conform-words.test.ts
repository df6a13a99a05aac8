import { describe, expect, it } from 'vitest';
import { conformTarget, repeatedCommand, withoutJobs } from '../../src/conform/conform-words.ts';

const TYPE = { type: 'block' } as const;

describe('the words of conform', () => {
  it('name one device', () => {
    expect(conformTarget(['conform', 'a.yaml'], ['a.yaml'], TYPE)).toEqual({ kind: 'profile', path: 'a.yaml' });
    expect(conformTarget(['conform'], [], { ...TYPE, socket: 's' })).toEqual({ kind: 'socket', path: 's', ...TYPE });
    expect(conformTarget(['conform'], [], { ...TYPE, pci: '0000:00:03.0' })).toEqual({
      kind: 'pci',
      address: '0000:00:03.0',
    });
  });

  it('take all behind -- as a command, options included', () => {
    const words = ['conform', '--json', '--', 'be', '--socket', '{socket}'];
    const command = ['be', '--socket', '{socket}'];
    expect(conformTarget(words, command, TYPE)).toEqual({ kind: 'command', command, ...TYPE });
  });

  it('refuse none, and several', () => {
    expect(() => conformTarget(['conform'], [], TYPE)).toThrow('no device is named');
    expect(() => conformTarget(['conform', 'a', 'b'], ['a', 'b'], TYPE)).toThrow('more than one');
    expect(() => conformTarget(['conform', 'a'], ['a'], { ...TYPE, socket: 's' })).toThrow('more than one');
  });

  it('refuse a command that is not told where to listen', () => {
    expect(() => conformTarget(['conform', '--', 'be'], ['be'], TYPE)).toThrow('no word of the command');
  });

  it('name no device where cases are only listed', () => {
    expect(conformTarget(['conform', '--list'], [], { ...TYPE, list: true })).toMatchObject({
      kind: 'socket',
      ...TYPE,
    });
  });

  it('are given again without the filter, as a shell takes them', () => {
    const words = ['conform', '--filter', 'ring', '--filter=x', '--json', '--', 'be', '--filter', "it's"];
    expect(repeatedCommand(words)).toBe(String.raw`virtio-platform conform -- be --filter 'it'\''s'`);
  });

  it('are given to each process of several without what belongs to one', () => {
    const words = ['conform', '-j', '2', '--filter', 'ring', '--junit=a', '--html', 'b', '-j4', '--', 'be', '-j', '3'];
    expect(withoutJobs(words)).toEqual(['--filter', 'ring', '--', 'be', '-j', '3']);
    expect(repeatedCommand(words)).toBe('virtio-platform conform -- be -j 3');
  });
});
