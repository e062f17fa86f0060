import type { Writable } from 'node:stream';
import { SpotError } from '../src/errors.ts';

/** Whoever read our output has gone away (`spotctl … | head`): nothing failed, there is only nobody left to print for. */
export class OutputClosed extends Error {}

/** A stream that is written to one text at a time; `settled` rejects where anything that was written to it, by whomever, was not taken. */
export type Output = { write(text: string): Promise<void>; settled(): Promise<void> };

const CLOSED = new Set(['EPIPE', 'ERR_STREAM_DESTROYED', 'ERR_STREAM_WRITE_AFTER_END']);

/** What a full or broken disk says; the path is good. */
const DEVICE = new Map([
	['ENOSPC', 'no space is left on the device'],
	['EDQUOT', 'the quota of the user is used up'],
	['EFBIG', 'the file is larger than files may be'],
	['EIO', 'the device failed'],
]);

const codeOf = (error: unknown): string => String((error as { code?: unknown } | null)?.code ?? '');

/** Whether the disk is to blame, not the path. */
export const isDeviceProblem = (error: unknown): boolean => DEVICE.has(codeOf(error));

/** The error for output that was not taken: what was printed so far is not whole. */
export const outputFailed = (where: string, error: unknown): SpotError => {
	const code = codeOf(error);
	return new SpotError('unwritten', 'OUTPUT_FAILED', `cannot write to ${where}: ${DEVICE.get(code) ?? 'it was not taken'} (${code})`, {
		hint: 'what is there is not whole: make room or write elsewhere, and run it again',
		cause: error,
	});
};

const problemOf = (error: Error): Error => {
	if (CLOSED.has(codeOf(error))) return new OutputClosed('nobody reads the output', { cause: error });
	return /^E[A-Z0-9]+$/.test(codeOf(error)) ? outputFailed('stdout', error) : error;
};

/** Waits for each text to be taken, so that a slow reader slows us down. Rejects with {@link OutputClosed} when nobody reads. */
export const outputTo = (stream: Writable): Output => {
	let problem: Error | undefined;
	// The error also comes as an event, which would end the process.
	stream.on('error', (error: Error) => {
		problem ??= problemOf(error);
	});
	const write = (text: string): Promise<void> =>
		new Promise((accept, reject) => {
			stream.write(text, (error) => {
				if (error) reject(problem ?? problemOf(error));
				else accept();
			});
		});
	return {
		write,
		settled: async () => {
			await write('');
			if (problem !== undefined) throw problem;
		},
	};
};
