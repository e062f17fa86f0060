import type { CommanderError } from 'commander';
import { SpotError } from '../src/errors.ts';
import type { Context } from './context.ts';
import { OutputClosed } from './streams.ts';
import { safeLines } from './text.ts';

/** What a run came to: its exit code, and what to tell on stderr. */
export type Outcome = { readonly code: number; readonly lines: readonly string[] };

const isUsage = (error: unknown): error is CommanderError =>
	error instanceof Error && 'code' in error && String(error.code).startsWith('commander.');

const usage = (error: CommanderError): Outcome => {
	if (error.exitCode === 0) return { code: 0, lines: [] };
	// Help in place of an action: it was already printed.
	if (error.code === 'commander.help') return { code: 2, lines: [] };
	const [what = '', ...rest] = error.message.replace(/^error: /, '').split('\n');
	return { code: 2, lines: [what, ...rest.map((line) => line.replace(/^\(|\)$/g, ''))] };
};

const withRequest = ({ kind, message, extras }: SpotError): string => {
	const id = extras['request_id'];
	return (kind === 'bug' || kind === 'unavailable') && typeof id === 'string' ? `${message} (request ${id})` : message;
};

const hintOf = (error: SpotError, context: Context): string | undefined => {
	const connection = context.connection();
	if (error.kind !== 'unauthenticated' || connection?.kind !== 'http') return error.hint;
	if (!connection.hasToken) return `no token was sent: ${connection.tokenFrom}; give one with --token-file FILE or SPOTCTL_TOKEN_FILE`;
	return error.hint ?? `the token came from ${connection.tokenFrom}`;
};

const detailsOf = ({ extras }: SpotError): string[] => {
	const { details } = extras;
	const list: unknown[] = Array.isArray(details) ? details : [];
	return list.flatMap((detail: unknown) => {
		if (typeof detail === 'string') return [detail];
		if (typeof detail !== 'object' || detail === null || !('message' in detail)) return [];
		return [
			'path' in detail && detail.path !== '' ? `${[detail.path].flat().join('.')}: ${String(detail.message)}` : String(detail.message),
		];
	});
};

const outcomeOf = (error: unknown, context: Context): Outcome => {
	if (error instanceof OutputClosed) return { code: 0, lines: [] };
	if (isUsage(error)) return usage(error);
	if (error instanceof SpotError) {
		const hint = hintOf(error, context);
		return { code: error.exitCode, lines: [withRequest(error), ...detailsOf(error), ...(hint === undefined ? [] : [hint])] };
	}
	if (context.signal.aborted) return { code: 130, lines: ['interrupted'] };
	const message = error instanceof Error ? error.message : String(error);
	return {
		code: 1,
		lines: [`this is a bug: ${message}`, ...(context.globals().debug ? [] : ['run it again with --debug and report what it prints'])],
	};
};

const stackOf = (error: unknown): string => {
	if (!(error instanceof Error)) return String(error);
	const cause = error.cause === undefined ? '' : `\ncaused by ${stackOf(error.cause)}`;
	return `${error.stack ?? error.message}${cause}`;
};

/** Tells on stderr what went wrong and what to do: `spotctl: <what>`, then the rest indented. Answers the exit code. */
export const report = (error: unknown, context: Context): number => {
	const { code, lines } = outcomeOf(error, context);
	const [what, ...rest] = lines;
	if (what !== undefined) {
		const text = [`spotctl: ${what}`, ...rest.flatMap((line) => line.split('\n').map((each) => `  ${each}`))].join('\n');
		context.host.stderr.write(`${safeLines(text)}\n`);
	}
	if (context.globals().debug && code !== 0) context.host.stderr.write(`${safeLines(stackOf(error))}\n`);
	return code;
};
