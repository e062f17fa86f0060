import { SpotError } from '../src/errors.ts';
import type { Host } from './context.ts';
import { safeLines } from './text.ts';

/** What is about to happen. */
export type Confirmation = {
	/** In words that complete "this …": `deletes client "acme" and its 3 agents`. */
	readonly what: string;
	/** `--yes` was given. */
	readonly yes: boolean | undefined;
	/** What must be typed to agree, for what cannot be undone; otherwise y or yes does. */
	readonly typed?: string;
};

const readAnswer = async ({ stdin, stderr, signal }: Host): Promise<string> => {
	const { createInterface } = await import('node:readline');
	const lines = createInterface({ input: stdin, terminal: false, crlfDelay: Number.POSITIVE_INFINITY });
	try {
		return await new Promise((accept, reject) => {
			signal.addEventListener('abort', () => reject(signal.reason), { once: true });
			lines.once('line', accept);
			lines.once('close', () => reject(new SpotError('interrupted', 'NOT_CONFIRMED', 'not confirmed: nothing was changed')));
		});
	} catch (error) {
		stderr.write('\n');
		throw error;
	} finally {
		lines.close();
		stdin.pause();
	}
};

/**
 * Asks on stderr and reads the answer from the terminal. Errors: CONFIRMATION_REQUIRED (exit 2) where nobody can be asked and
 * `--yes` was not given; NOT_CONFIRMED (exit 130) when the answer was no.
 */
export const confirm = async (host: Host, { what, yes, typed }: Confirmation): Promise<void> => {
	if (yes) return;
	if (host.stdin.isTTY !== true || host.stderr.isTTY !== true) {
		throw new SpotError('invalid', 'CONFIRMATION_REQUIRED', `this ${what}; nobody is at a terminal to confirm it`, { hint: 'add --yes' });
	}
	host.signal.throwIfAborted();
	const question = typed === undefined ? 'Go on? [y/N] ' : `Type ${JSON.stringify(typed)} to go on: `;
	host.stderr.write(safeLines(`This ${what}.\n${question}`));
	const answer = (await readAnswer(host)).trim();
	const agreed = typed === undefined ? /^y(es)?$/i.test(answer) : answer === typed || answer === JSON.stringify(typed);
	if (!agreed) throw new SpotError('interrupted', 'NOT_CONFIRMED', 'not confirmed: nothing was changed');
};
