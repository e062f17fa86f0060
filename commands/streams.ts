import type { Writable } from 'node:stream';

/** Whoever read our output has gone away (`spotctl … | head`): nothing failed, there is only nobody left to print for. */
export class OutputClosed extends Error {}

/** A stream that is written to one text at a time. */
export type Output = { write(text: string): Promise<void> };

const CLOSED = new Set(['EPIPE', 'ERR_STREAM_DESTROYED', 'ERR_STREAM_WRITE_AFTER_END']);

/** Waits for each text to be taken, so that a slow reader slows us down. Rejects with {@link OutputClosed} when nobody reads. */
export const outputTo = (stream: Writable): Output => {
	// The error also comes as an event, which would end the process.
	stream.on('error', () => undefined);
	return {
		write: (text) =>
			new Promise((accept, reject) => {
				stream.write(text, (error) => {
					if (!error) accept();
					else
						reject(
							'code' in error && CLOSED.has(String(error.code)) ? new OutputClosed('nobody reads the output', { cause: error }) : error,
						);
				});
			}),
	};
};
