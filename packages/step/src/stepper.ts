import { EVENT_KINDS } from '@virtio-platform/trace';
import type { ScreenView } from './show/screen.ts';
import { tellStep } from './tell/step-texts.ts';
import type { Walk } from './walk.ts';

/** A key as `readline.emitKeypressEvents` tells it. */
export interface Key {
  readonly name?: string | undefined;
  readonly ctrl?: boolean | undefined;
  readonly sequence?: string | undefined;
}

/** Steps that PageUp and PageDown go. */
const PAGE = 10;

/** Where somebody is in a walk, and what each key does there. */
export class Stepper {
  readonly #walk: Walk;
  #at: number;
  #following: number | null = null;
  #message: string | null = null;
  #isHelp = false;
  /** What was typed behind `/`; `null` while the user types no search. */
  #typed: string | null = null;
  #sought = '';

  /** Begins at step `at`, from 0; beyond the end, at the last one. The walk has at least one step. */
  constructor(walk: Walk, at: number) {
    this.#walk = walk;
    this.#at = Math.max(0, Math.min(at, walk.length - 1));
  }

  /** What the screen shows now. */
  get view(): ScreenView {
    const message = this.#typed === null ? this.#message : `/${this.#typed}`;
    return { walk: this.#walk, at: this.#at, following: this.#following, message, isHelp: this.#isHelp };
  }

  /** Takes a key. Returns false where it is the one that ends. */
  press(key: Key): boolean {
    const { name = '', ctrl = false, sequence = '' } = key;
    if (ctrl && (name === 'c' || name === 'd')) return false;
    if (this.#typed !== null) {
      this.#type(this.#typed, name, sequence);
      return true;
    }
    this.#message = null;
    if (this.#isHelp) {
      this.#isHelp = false;
      return name !== 'q';
    }
    if (name === 'q') return false;
    this.#command(sequence === '?' || sequence === '/' || sequence === 'G' || sequence === 'N' ? sequence : name);
    return true;
  }

  #command(command: string): void {
    switch (command) {
      case 'right':
      case 'down':
      case 'space':
      case 'return':
      case 'j':
      case 'n':
        return this.#move(1);
      case 'left':
      case 'up':
      case 'backspace':
      case 'k':
      case 'p':
        return this.#move(-1);
      case 'pagedown':
        return this.#move(PAGE);
      case 'pageup':
        return this.#move(-PAGE);
      case 'g':
      case 'home':
        return this.#move(-this.#walk.length);
      case 'G':
      case 'end':
        return this.#move(this.#walk.length);
      case '/':
        this.#typed = '';
        return undefined;
      case 'N':
        return this.#search(-1);
      case 'b':
        return this.#follow();
      case '?':
      case 'h':
        this.#isHelp = true;
        return undefined;
      default:
        this.#message = 'no such key: ? shows the keys';
    }
  }

  /** Goes `by` steps on; with a buffer followed, so many of its own events, or to its last one. */
  #move(by: number): void {
    const serial = this.#following;
    const direction = by > 0 ? 1 : -1;
    for (let left = Math.abs(by); left > 0; left--) {
      const from = this.#at + direction;
      const next = this.#walk.find(
        from,
        direction,
        (at) => serial === null || this.#walk.buffersOf(at).includes(serial),
      );
      if (next < 0) {
        if (left === Math.abs(by)) this.#message = endText(direction, serial);
        return;
      }
      this.#at = next;
    }
  }

  #follow(): void {
    if (this.#following !== null) {
      this.#message = `no longer following #${this.#following}`;
      this.#following = null;
      return;
    }
    const serial = this.#walk.buffersOf(this.#at)[0];
    if (serial === undefined) this.#message = 'this event is about no buffer: go to one that is, and press b there';
    else this.#following = serial;
  }

  #type(typed: string, name: string, sequence: string): void {
    if (name === 'escape') this.#typed = null;
    else if (name === 'backspace') this.#typed = typed === '' ? null : typed.slice(0, -1);
    else if (name === 'return' || name === 'enter') {
      this.#typed = null;
      if (typed.trim() !== '') this.#sought = typed.trim();
      this.#search(1);
    } else if (/^[\x20-\x7e]$/.test(sequence) && typed.length < 60) this.#typed = typed + sequence;
  }

  /** Goes to the next event that fits; and stays where none does. */
  #search(direction: 1 | -1): void {
    if (this.#sought === '') {
      this.#message = 'search for what? / and a word';
      return;
    }
    const is = matcher(this.#walk, this.#sought);
    const found = this.#walk.find(this.#at + direction, direction, is);
    if (found >= 0) this.#at = found;
    else this.#message = `“${this.#sought}” is in no event ${direction > 0 ? 'behind' : 'before'} this one`;
  }
}

function endText(direction: number, serial: number | null): string {
  const of = serial === null ? 'event' : `event of #${serial}`;
  return direction > 0 ? `that is the last ${of}` : `that is the first ${of}`;
}

/** Whether an event fits what somebody searches: a buffer, a kind, or words of what it says. */
function matcher(walk: Walk, sought: string): (at: number) => boolean {
  const serial = /^#(\d+)$/.exec(sought)?.[1];
  if (serial !== undefined) return (at) => walk.buffersOf(at).includes(Number(serial));
  const id = /^buffer (\d+)$/i.exec(sought)?.[1];
  if (id !== undefined) return (at) => walk.buffersOf(at).some((one) => walk.idOf(one) === Number(id));
  const words = sought.toLowerCase();
  const kinds = Object.entries(EVENT_KINDS)
    .filter(([kind, { name }]) => kind.toLowerCase() === words || name.toLowerCase() === words)
    .map(([kind]) => kind);
  if (kinds.length > 0) return (at) => kinds.includes(walk.recording.events[at]!.kind);
  return (at) => tellStep(walk, walk.step(at)).text.toLowerCase().includes(words);
}
